//! What the next scheduling pass has to look at.

use std::collections::BTreeSet;

use shared::values::{ProfileKey, UniqueId};

/// Profiles and jobs that changed since the last scheduling pass.
#[derive(Debug, Default)]
pub struct Dirty {
    profiles: BTreeSet<ProfileKey>,
    jobs: BTreeSet<UniqueId>,
}

impl Dirty {
    /// Runners of the profile, or its queue, changed: a job may be assignable now.
    pub fn mark_profile(&mut self, profile_key: ProfileKey) {
        self.profiles.insert(profile_key);
    }

    /// What servers hold for a job, or whether it waits, changed: it may be able to adopt runners.
    pub fn mark_job(&mut self, unique_id: UniqueId) {
        self.jobs.insert(unique_id);
    }

    /// Removes and returns one profile, in the order of their keys.
    pub fn pop_profile(&mut self) -> Option<ProfileKey> {
        self.profiles.pop_first()
    }

    /// Removes and returns one job, in the order of their names.
    pub fn pop_job(&mut self) -> Option<UniqueId> {
        self.jobs.pop_first()
    }

    /// Whether a scheduling pass would have nothing to look at.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty() && self.jobs.is_empty()
    }
}
