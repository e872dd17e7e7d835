//! Which guest is asking, when one asks for what only it may have.
//!
//! Owns what is proof enough for whom. The address that a guest really has is not known in here;
//! whoever calls compares it.

use std::net::IpAddr;

use shared::values::ProfileKey;

use crate::{Monitor, RunnerId, state::observed::Sighting};

/// How a guest shows which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestAuth {
    /// By its secret: it has no address of its own.
    Secret,
    /// By its secret, from its address: a neighbour can learn neither the one nor, without being
    /// noticed, take the other.
    SecretAndAddress,
    /// By its address alone: it cannot be given a secret.
    Address,
}

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestIdentity {
    /// The guest of this runner.
    Guest(RunnerId),
    /// The guest that builds the image of this profile, if it asks from the address that the host
    /// gave to `guest_name`.
    BuilderIfAt {
        /// Which profile.
        profile_key: ProfileKey,
        /// Its guest.
        guest_name: String,
    },
    /// The guest of this runner, if it asks from the address that the host gave to `guest_name`.
    GuestIfAt {
        /// Which runner.
        id: RunnerId,
        /// Its guest.
        guest_name: String,
    },
    /// Perhaps a guest that has only just got its address.
    NotYet,
    /// Nobody of ours.
    Unknown,
}

impl Monitor {
    /// Who asks with this secret, or, if it has none, from this address.
    pub fn identify_guest(
        &self,
        guest_secret: Option<&str>,
        address: Option<IpAddr>,
    ) -> GuestIdentity {
        match guest_secret {
            Some(guest_secret) => {
                let id = self.credentials.guest_with_secret(guest_secret);
                let builder = self.images.builder_with(guest_secret);
                match (id, builder) {
                    (Some(id), _) => self.asker_with_secret_of(id),
                    (None, Some(profile_key)) => GuestIdentity::BuilderIfAt {
                        profile_key: profile_key.clone(),
                        guest_name: self.policy.builder_name(profile_key),
                    },
                    (None, None) => GuestIdentity::Unknown,
                }
            }
            None => self.asker_without_secret(address),
        }
    }

    fn asker_with_secret_of(&self, id: RunnerId) -> GuestIdentity {
        match self.proof_of(id) {
            Some(GuestAuth::Secret) => GuestIdentity::Guest(id),
            Some(GuestAuth::SecretAndAddress | GuestAuth::Address) => self.guest_if_at(id),
            None => GuestIdentity::Unknown,
        }
    }

    fn asker_without_secret(&self, address: Option<IpAddr>) -> GuestIdentity {
        let mut asker = GuestIdentity::Unknown;
        for (id, record) in &self.durable.runners {
            if self.proof_of(*id) != Some(GuestAuth::Address) {
                continue;
            }
            let known = match self.observed.guest(*id, record) {
                Sighting::Present(guest) => guest.ipv4_address,
                Sighting::Absent => continue,
                Sighting::Unknown => None,
            };
            match known {
                Some(known) if Some(IpAddr::V4(known)) == address => return self.guest_if_at(*id),
                Some(_) => {}
                None => asker = GuestIdentity::NotYet,
            }
        }
        asker
    }

    fn guest_if_at(&self, id: RunnerId) -> GuestIdentity {
        let record = self.durable.runners.get(&id);
        record.map_or(GuestIdentity::Unknown, |record| GuestIdentity::GuestIfAt {
            id,
            guest_name: self.policy.guest_name(&record.profile_key, id),
        })
    }

    fn proof_of(&self, id: RunnerId) -> Option<GuestAuth> {
        let record = self.durable.runners.get(&id)?;
        let profile = self.policy.profiles.get(&record.profile_key)?;
        Some(profile.guest_auth)
    }

    /// Whether this is the address of a guest of ours, whichever.
    pub fn has_guest_at(&self, address: IpAddr) -> bool {
        let guests = self.observed.guests.iter().flat_map(|it| it.seen.values());
        let mut addresses = guests.filter_map(|guest| guest.ipv4_address);
        addresses.any(|known| IpAddr::V4(known) == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        HostCapacity, ObservedGuest,
        testing::{TestPool, policy, profile_key},
    };

    /// A pool with one runner of a profile of each proof, whose guests have addresses by their id.
    /// Their secrets are `secret-<n>`.
    fn pool() -> TestPool {
        let targets = [("a-secret", 1), ("b-both", 1), ("c-address", 1)];
        let mut policy = policy(&targets);
        for (key, proof) in [
            ("a-secret", GuestAuth::Secret),
            ("b-both", GuestAuth::SecretAndAddress),
            ("c-address", GuestAuth::Address),
        ] {
            policy
                .profiles
                .get_mut(&profile_key(key))
                .unwrap()
                .guest_auth = proof;
        }
        let mut pool = TestPool::new(policy);
        pool.monitor.handle_host(HostCapacity::default());
        pool.settle();
        pool
    }

    fn see_addresses(pool: &mut TestPool, address: impl Fn(RunnerId) -> Option<[u8; 4]>) {
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
    fn a_secret_is_enough_only_for_those_that_have_no_address() {
        let mut pool = pool();
        see_addresses(&mut pool, |RunnerId(id)| {
            Some([10, 0, 0, u8::try_from(id).unwrap()])
        });
        let asker = |secret: &str| {
            pool.monitor
                .identify_guest(Some(secret), Some([10, 0, 0, 9].into()))
        };
        assert_eq!(
            asker(&secret_of(&pool, 0)),
            GuestIdentity::Guest(RunnerId(0))
        );
        let both = asker(&secret_of(&pool, 1));
        assert_eq!(both, if_at(1, "ci-runner-b-both.1"));
        let address = asker(&secret_of(&pool, 2));
        assert_eq!(address, if_at(2, "ci-runner-c-address.2"));
        assert_eq!(asker("secret-guessed"), GuestIdentity::Unknown);
    }

    #[test]
    fn an_address_alone_is_enough_only_where_the_profile_says_so() {
        let mut pool = pool();
        let asker = |pool: &TestPool, last: u8| {
            pool.monitor
                .identify_guest(None, Some([10, 0, 0, last].into()))
        };
        see_addresses(&mut pool, |_| None);
        assert_eq!(asker(&pool, 2), GuestIdentity::NotYet);
        see_addresses(&mut pool, |RunnerId(id)| {
            Some([10, 0, 0, u8::try_from(id).unwrap()])
        });
        assert_eq!(asker(&pool, 2), if_at(2, "ci-runner-c-address.2"));
        for other in [0, 1, 3] {
            assert_eq!(asker(&pool, other), GuestIdentity::Unknown, "{other}");
        }
        assert_eq!(
            pool.monitor.identify_guest(None, None),
            GuestIdentity::Unknown
        );
        for (last, is_known) in [(0, true), (2, true), (3, false)] {
            let address = [10, 0, 0, last].into();
            assert_eq!(pool.monitor.has_guest_at(address), is_known, "{last}");
        }
    }
}
