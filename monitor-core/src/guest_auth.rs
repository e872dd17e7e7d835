//! Guest authentication: which guest sent a request, by its address and a secret.
//!
//! Responsible for what each profile requires as proof. The address that a guest really has is known
//! to the hypervisor only, so the caller compares it.

use std::net::IpAddr;

use shared::values::ProfileKey;

use crate::{
    CredentialHandover, GuestAuth, Monitor, RunnerId,
    state::{observed::Presence, runner_event::RunnerStep},
};

/// The sender of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestIdentity {
    /// The guest of this runner.
    Guest(RunnerId),
    /// The guest that builds the image of this profile, provided that the request comes from the
    /// address that the hypervisor shows for `guest_name`.
    BuilderIfAt {
        profile_key: ProfileKey,
        guest_name: String,
    },
    /// The guest of this runner, provided that the request comes from the address that the
    /// hypervisor shows for `guest_name`.
    GuestIfAt { id: RunnerId, guest_name: String },
    /// The one of these guests that has the address from which the request comes, if any.
    OneOf(Vec<Candidate>),
    /// None of this server's guests.
    Unknown,
}

/// A guest that authenticates by its address alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub guest_name: String,
    pub purpose: CandidatePurpose,
}

/// What such a guest was created for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidatePurpose {
    Runner(RunnerId),
    /// Builds the image of this profile.
    Builder(ProfileKey),
}

impl Monitor {
    /// Identifies the guest that sent a request with this secret, or without a secret.
    pub fn identify_guest(&self, guest_secret: Option<&str>) -> GuestIdentity {
        match guest_secret {
            Some(guest_secret) => {
                let id = self.credentials.guest_with_secret(guest_secret);
                let builder = self.images.builder_with_secret(guest_secret);
                match (id, builder) {
                    (Some(id), _) => self.identify_by_secret_of(id),
                    (None, Some(profile_key)) => GuestIdentity::BuilderIfAt {
                        profile_key: profile_key.clone(),
                        guest_name: self.policy.builder_name(profile_key),
                    },
                    (None, None) => GuestIdentity::Unknown,
                }
            }
            None => self.identify_by_address(),
        }
    }

    /// Hands the JIT configuration of a runner to its guest, which has authenticated, once.
    pub fn hand_over_credential(&mut self, id: RunnerId) -> CredentialHandover {
        let handover = self.credentials.hand_over_to(id);
        if matches!(handover, CredentialHandover::Granted(..)) {
            self.record_step(id, RunnerStep::CredentialFetched);
        }
        handover
    }

    fn identify_by_secret_of(&self, id: RunnerId) -> GuestIdentity {
        match self.auth_of(id) {
            Some(GuestAuth::Secret) => GuestIdentity::Guest(id),
            Some(GuestAuth::SecretAndAddress | GuestAuth::Address) => self.guest_if_at(id),
            None => GuestIdentity::Unknown,
        }
    }

    /// All guests that may authenticate by their address. Which of them has it is known to the
    /// hypervisor: an address may have changed since the last poll.
    fn identify_by_address(&self) -> GuestIdentity {
        let by_address = |key: &ProfileKey| {
            let profile = self.policy.profiles.get(key);
            profile.is_some_and(|it| it.guest_auth == GuestAuth::Address)
        };
        let runners = self.durable.runners.iter().filter(|(id, record)| {
            let guest = self.observed.guest(**id, record);
            by_address(&record.profile_key) && !matches!(guest, Presence::Absent)
        });
        let runners = runners.map(|(id, record)| Candidate {
            guest_name: self.policy.guest_name(&record.profile_key, *id),
            purpose: CandidatePurpose::Runner(*id),
        });
        let builders = self.images.in_flight().filter(|key| by_address(key));
        let builders = builders.map(|key| Candidate {
            guest_name: self.policy.builder_name(key),
            purpose: CandidatePurpose::Builder(key.clone()),
        });
        let candidates: Vec<_> = runners.chain(builders).collect();
        match candidates.is_empty() {
            true => GuestIdentity::Unknown,
            false => GuestIdentity::OneOf(candidates),
        }
    }

    fn guest_if_at(&self, id: RunnerId) -> GuestIdentity {
        let record = self.durable.runners.get(&id);
        record.map_or(GuestIdentity::Unknown, |record| GuestIdentity::GuestIfAt {
            id,
            guest_name: self.policy.guest_name(&record.profile_key, id),
        })
    }

    fn auth_of(&self, id: RunnerId) -> Option<GuestAuth> {
        let record = self.durable.runners.get(&id)?;
        let profile = self.policy.profiles.get(&record.profile_key)?;
        Some(profile.guest_auth)
    }

    /// Whether any guest of this server has this address.
    pub fn has_guest_at(&self, address: IpAddr) -> bool {
        let guests = self.observed.all_guests();
        let mut addresses = guests.filter_map(|guest| guest.ipv4_address);
        addresses.any(|known| IpAddr::V4(known) == address)
    }
}

#[cfg(test)]
mod tests {
    use shared::secret::Secret;

    use super::*;
    use crate::{
        HostCapacity, ObservedGuest, Resources,
        testing::{TestPool, policy, profile_key},
    };

    /// A pool with a profile for each kind of authentication, and one runner of each. The guests'
    /// secrets are `secret-<n>`.
    fn pool() -> TestPool {
        let targets = [("a-secret", 1), ("b-both", 1), ("c-address", 1)];
        let mut policy = policy(&targets);
        for (key, guest_auth) in [
            ("a-secret", GuestAuth::Secret),
            ("b-both", GuestAuth::SecretAndAddress),
            ("c-address", GuestAuth::Address),
        ] {
            policy
                .profiles
                .get_mut(&profile_key(key))
                .unwrap()
                .guest_auth = guest_auth;
        }
        let mut pool = TestPool::new(policy);
        let images = ["b-both", "c-address"].map(|key| (profile_key(key), pool.now));
        pool.monitor.handle_images(images.into());
        pool.monitor.handle_host(HostCapacity::default(), pool.now);
        pool.converge();
        pool
    }

    fn set_addresses(pool: &mut TestPool, address: impl Fn(RunnerId) -> Option<[u8; 4]>) {
        let guests = pool.world.guests.iter().map(|name| {
            let (_, id) = pool.monitor.policy.parse_guest_name(name).unwrap();
            ObservedGuest {
                name: name.clone(),
                ipv4_address: address(id).map(Into::into),
            }
        });
        let (guests, now) = (guests.collect(), pool.now);
        pool.monitor.handle_guests(guests, now, now);
    }

    fn secret_of(pool: &TestPool, id: u64) -> String {
        let mut candidates = (0..1000).map(|number| format!("secret-{number}"));
        candidates
            .find(|it| pool.monitor.credentials.guest_with_secret(it) == Some(RunnerId(id)))
            .unwrap()
    }

    fn if_at(id: u64, guest_name: &str) -> GuestIdentity {
        GuestIdentity::GuestIfAt {
            id: RunnerId(id),
            guest_name: guest_name.to_owned(),
        }
    }

    #[test]
    fn a_secret_suffices_only_for_guests_without_an_address() {
        let mut pool = pool();
        set_addresses(&mut pool, |RunnerId(id)| {
            Some([10, 0, 0, u8::try_from(id).unwrap()])
        });
        let identify = |secret: &str| pool.monitor.identify_guest(Some(secret));
        assert_eq!(
            identify(&secret_of(&pool, 0)),
            GuestIdentity::Guest(RunnerId(0))
        );
        let both = identify(&secret_of(&pool, 1));
        assert_eq!(both, if_at(1, "ci-runner-b-both.1"));
        let address = identify(&secret_of(&pool, 2));
        assert_eq!(address, if_at(2, "ci-runner-c-address.2"));
        assert_eq!(identify("secret-guessed"), GuestIdentity::Unknown);
    }

    #[test]
    fn a_guest_that_builds_an_image_may_authenticate_by_its_address_where_that_is_allowed() {
        let mut pool = pool();
        for key in ["b-both", "c-address"] {
            let (needs, secret, now) = (Resources::default(), Secret::new(key), pool.now);
            let images = &mut pool.monitor.images;
            images.start(profile_key(key), needs, secret, now);
        }
        let GuestIdentity::OneOf(candidates) = pool.monitor.identify_guest(None) else {
            panic!("there are candidates");
        };
        let purposes: Vec<_> = candidates.into_iter().map(|it| it.purpose).collect();
        assert_eq!(
            purposes,
            [
                CandidatePurpose::Runner(RunnerId(2)),
                CandidatePurpose::Builder(profile_key("c-address"))
            ]
        );
    }

    #[test]
    fn an_address_suffices_only_for_profiles_that_allow_it() {
        let mut pool = pool();
        let runner = Candidate {
            guest_name: "ci-runner-c-address.2".to_owned(),
            purpose: CandidatePurpose::Runner(RunnerId(2)),
        };
        let candidates = GuestIdentity::OneOf(vec![runner]);
        set_addresses(&mut pool, |_| None);
        assert_eq!(pool.monitor.identify_guest(None), candidates);
        set_addresses(&mut pool, |RunnerId(id)| {
            Some([10, 0, 0, u8::try_from(id).unwrap()])
        });
        assert_eq!(pool.monitor.identify_guest(None), candidates);
        for (last, is_known) in [(0, true), (2, true), (3, false)] {
            let address = [10, 0, 0, last].into();
            assert_eq!(pool.monitor.has_guest_at(address), is_known, "{last}");
        }
        pool.monitor
            .handle_guest_ended("ci-runner-c-address.2", crate::GuestEnd::default());
        pool.monitor.handle_guests(Vec::new(), pool.now, pool.now);
        assert_eq!(pool.monitor.identify_guest(None), GuestIdentity::Unknown);
    }
}
