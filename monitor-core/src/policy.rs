//! What the settings want of the pool.
//!
//! Owns no state: it is made once from the settings and read by everything else in the core.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    runner_name::{RunnerName, RunnerNames},
    values::ProfileKey,
};

use crate::{GuestAuth, Resources, RunnerId};

/// The largest id that is believed when a name carries it: the largest that JSON numbers keep
/// exactly. A made-up name with a larger one would use up all ids at once.
const ID_MAX: u64 = (1 << 53) - 1;

/// The part of the settings that decisions depend on.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How the names of this server's runners are made.
    pub names: RunnerNames,
    /// The kinds of runner to keep.
    pub profiles: BTreeMap<ProfileKey, ProfilePolicy>,
    /// What the settings let all runners together take of the host.
    pub capacity: Resources,
    /// Which labels new runners get.
    pub labels: LabelPolicy,
    /// How long a runner may take to come online.
    pub start_timeout: Duration,
    /// How long a reserved runner waits for its job.
    pub reserve_timeout: Duration,
    /// How long to wait between two looks at something that may change.
    pub poll_interval: Duration,
    /// How old GitHub's list may get while nothing suggests a change.
    pub cache_timeout: Duration,
    /// How old an image may become before it is rebuilt.
    pub image_max_age: Duration,
    /// Where people reach this server, ends with a slash.
    pub base_url: String,
    /// What the names of the guests begin with in which images are built.
    pub builder_prefix: String,
    /// Whether runners are made at all; if not, every target is zero.
    pub makes_runners: bool,
    /// Whether starting runners, too, are destroyed. (Idle ones beyond the target always are.)
    pub destroys_all: bool,
}

/// One kind of runner.
#[derive(Clone, Debug)]
pub struct ProfilePolicy {
    /// How many there should be.
    pub target_count: usize,
    /// What each takes of the host.
    pub needs: Resources,
    /// The labels of its idle runners, where those of a reservation are added to them.
    pub idle_labels: Vec<String>,
    /// How its guests show which one they are.
    pub guest_auth: GuestAuth,
    /// Whether its image is built here.
    pub builds_image: bool,
}

impl ProfilePolicy {
    /// Whether its guests are virtual machines. A process has no address to prove itself by.
    pub fn is_virtual(&self) -> bool {
        self.guest_auth != GuestAuth::Secret
    }
}

/// How a reservation becomes something that a workflow can ask GitHub for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelPolicy {
    /// Every runner has one label, its own, for all its life; a take tells it.
    FromBirth,
    /// Runners have the labels of their profile; a take adds those of the reservation.
    OnTake,
}

impl Policy {
    /// Whether any guest is a virtual machine.
    pub fn makes_virtual_machines(&self) -> bool {
        let mut profiles = self.profiles.values();
        profiles.any(ProfilePolicy::is_virtual)
    }

    /// The name of a runner's guest: that of the runner without the server's suffix.
    pub fn guest_name(&self, profile_key: &ProfileKey, id: RunnerId) -> String {
        format!("{}-{profile_key}.{id}", self.names.prefix)
    }

    /// The name of the guest in which the image of a profile is built.
    pub fn builder_name(&self, profile_key: &ProfileKey) -> String {
        format!("{}-{profile_key}", self.builder_prefix)
    }

    /// What the name of a guest says, if it is one of ours.
    pub fn parse_guest_name(&self, name: &str) -> Option<(ProfileKey, RunnerId)> {
        self.parse_runner_name(&format!("{name}@{}", self.names.suffix))
    }

    /// What the name of a registration says, if it is one of ours.
    pub fn parse_runner_name(&self, name: &str) -> Option<(ProfileKey, RunnerId)> {
        let RunnerName { profile_key, id } = self.names.parse(name)?;
        (id <= ID_MAX).then_some((profile_key, RunnerId(id)))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::policy;

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
    fn foreign_guests_and_impossible_ids_are_nobodys() {
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
}
