//! What the settings want of the pool.
//!
//! Made from the settings; all other modules read it. [`Monitor::apply_policy`] changes what may change while the
//! monitor runs.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    runner_name::{RunnerName, RunnerNames},
    values::ProfileKey,
};

use crate::{Monitor, Resources, RunnerId};

/// Largest id that is accepted from a name: the largest integer that every JSON parser keeps
/// exactly. Without the limit, one forged name with a huge id would use up all ids.
const ID_MAX: u64 = (1 << 53) - 1;

/// The part of the settings that decisions depend on.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Prefix and suffix of the names of this server's runners.
    pub names: RunnerNames,
    /// Where runners are registered: `/orgs/<owner>` or `/repos/<owner>/<repo>`.
    pub scope: String,
    pub profiles: BTreeMap<ProfileKey, ProfilePolicy>,
    /// What all runners together may use of the server, according to the settings.
    pub capacity: Resources,
    /// When runners get the label that a workflow selects them by.
    pub labels: LabelPolicy,
    /// How long a runner may take to come online.
    pub start_timeout: Duration,
    /// How long a reserved runner waits for its job.
    pub reserve_timeout: Duration,
    /// Pause between two polls of something that may change.
    pub poll_interval: Duration,
    /// Maximum age of GitHub's list while nothing suggests a change.
    pub cache_timeout: Duration,
    /// Age at which an image is rebuilt.
    pub image_max_age: Duration,
    /// URL at which people reach this server; ends with a slash.
    pub base_url: String,
    /// Prefix of the names of guests that build images.
    pub builder_prefix: String,
    /// Whether runners are created at all; if not, every target is zero.
    pub makes_runners: bool,
    /// Whether starting runners are destroyed too. (Idle ones beyond the target always are.)
    pub destroys_all: bool,
}

/// What the settings want of one profile.
#[derive(Clone, Debug)]
pub struct ProfilePolicy {
    /// How many runners there should be.
    pub target_count: usize,
    /// The fewest that are kept while jobs wait for runners of other profiles; at most `target_count`.
    pub min_count: usize,
    /// The most that are kept while jobs wait for them; at least `target_count`.
    pub max_count: usize,
    /// What each runner uses of the server.
    pub needs: Resources,
    /// Labels of idle runners under [`LabelPolicy::OnTake`].
    pub idle_labels: Vec<String>,
    /// How its guests authenticate.
    pub guest_auth: GuestAuth,
    /// Whether this server builds its image.
    pub builds_image: bool,
}

/// When a runner gets the label that a workflow selects it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelPolicy {
    /// At registration: every runner has one label of its own, which a take returns. A take whose client
    /// does not read it from the response adds the labels of the reservation.
    FromBirth,
    /// At the take, which adds labels of the reservation to those of the profile.
    OnTake,
}

/// How a guest proves which runner or image build it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestAuth {
    /// By its secret. For processes, which have no address of their own.
    Secret,
    /// By its secret, sent from its address. Another guest can neither read the secret nor take
    /// over the address unnoticed.
    SecretAndAddress,
    /// By its address. For virtual machines that cannot read a secret.
    Address,
}

impl ProfilePolicy {
    /// Whether its target follows what jobs wait for.
    pub fn is_elastic(&self) -> bool {
        self.min_count < self.target_count || self.max_count > self.target_count
    }

    /// Lets it keep this many runners, whatever jobs wait for.
    pub fn set_fixed_target(&mut self, target_count: usize) {
        self.target_count = target_count;
        self.min_count = target_count;
        self.max_count = target_count;
    }

    /// Whether its guests are virtual machines.
    pub fn is_virtual(&self) -> bool {
        // Only processes have no address to authenticate by.
        self.guest_auth != GuestAuth::Secret
    }
}

impl Policy {
    /// Whether runners are registered in this scope now. Like GitHub, ignores upper and lower case.
    pub fn is_current_scope(&self, scope: &str) -> bool {
        self.scope.eq_ignore_ascii_case(scope)
    }

    /// Whether any guest is a virtual machine.
    pub fn makes_virtual_machines(&self) -> bool {
        let mut profiles = self.profiles.values();
        profiles.any(ProfilePolicy::is_virtual)
    }

    /// Name of a runner's guest: the name of the runner without the server's suffix.
    pub fn guest_name(&self, profile_key: &ProfileKey, id: RunnerId) -> String {
        format!("{}-{profile_key}.{id}", self.names.prefix)
    }

    /// Name of the guest that builds the image of a profile.
    pub fn builder_name(&self, profile_key: &ProfileKey) -> String {
        format!("{}-{profile_key}", self.builder_prefix)
    }

    /// Profile and id in the name of a guest; none if the guest is not one of this server's runners.
    pub fn parse_guest_name(&self, name: &str) -> Option<(ProfileKey, RunnerId)> {
        self.parse_runner_name(&format!("{name}@{}", self.names.suffix))
    }

    /// Profile and id in the name of a registration; none if it is not one of this server's runners.
    pub fn parse_runner_name(&self, name: &str) -> Option<(ProfileKey, RunnerId)> {
        let RunnerName { profile_key, id } = self.names.parse(name)?;
        (id <= ID_MAX).then_some((profile_key, RunnerId(id)))
    }
}

impl Monitor {
    /// Applies what may change while the monitor runs: the targets of profiles that it has already, the capacity,
    /// timeouts, and whether runners are made or destroyed. Everything else of `policy` is ignored.
    pub fn apply_policy(&mut self, policy: &Policy) {
        for (profile_key, profile) in &mut self.policy.profiles {
            if let Some(new) = policy.profiles.get(profile_key) {
                profile.target_count = new.target_count;
                profile.min_count = new.min_count;
                profile.max_count = new.max_count;
            }
        }
        self.policy.capacity = policy.capacity;
        self.policy.start_timeout = policy.start_timeout;
        self.policy.reserve_timeout = policy.reserve_timeout;
        self.policy.image_max_age = policy.image_max_age;
        self.policy.cache_timeout = policy.cache_timeout;
        self.policy.makes_runners = policy.makes_runners;
        self.policy.destroys_all = policy.destroys_all;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestPool, policy};

    use super::*;

    #[test]
    fn a_guest_has_its_runners_name_without_the_suffix() {
        let policy = policy(&[]);
        let profile_key: ProfileKey = "mac.os-1".parse().unwrap();
        let name = policy.guest_name(&profile_key, RunnerId(7));
        assert_eq!(name, "ci-runner-mac.os-1.7");
        assert_eq!(
            policy.parse_guest_name(&name),
            Some((profile_key, RunnerId(7)))
        );
    }

    #[test]
    fn another_target_is_reached_and_other_profiles_are_not_added() {
        let mut pool = TestPool::with_idle_linux(1);
        let mut new = pool.monitor.policy.clone();
        let linux: ProfileKey = "linux".parse().unwrap();
        new.profiles.get_mut(&linux).unwrap().target_count = 2;
        let added = new.profiles[&linux].clone();
        new.profiles.insert("windows".parse().unwrap(), added);
        pool.monitor.apply_policy(&new);
        pool.converge();
        assert_eq!(pool.counts("linux").idle, 2);
        assert_eq!(pool.monitor.policy.profiles.len(), 1);
        new.profiles.get_mut(&linux).unwrap().target_count = 0;
        pool.monitor.apply_policy(&new);
        pool.converge();
        assert_eq!(pool.counts("linux").idle, 0);
    }

    #[test]
    fn foreign_names_and_ids_above_the_limit_are_rejected() {
        let policy = policy(&[]);
        for name in [
            "",
            "ci-runner-linux",
            "ci-template-linux.7",
            "ci-runner-linux.9007199254740992",
            "ci-runner-linux.18446744073709551615",
            "ci-runner-linux.7@host",
        ] {
            assert_eq!(policy.parse_guest_name(name), None, "{name}");
        }
        let registration = "ci-runner-linux.9007199254740992@host";
        assert_eq!(policy.parse_runner_name(registration), None);
    }

    #[test]
    fn the_largest_accepted_id_is_the_largest_exact_integer_of_json() {
        let largest = policy(&[]).parse_guest_name("ci-runner-linux.9007199254740991");
        assert_eq!(largest.map(|(_, id)| id), Some(RunnerId(ID_MAX)));
    }
}
