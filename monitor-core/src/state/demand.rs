//! Demand: how many runners the jobs that wait at queues could use at once, and the targets that follow from it.
//!
//! Responsible for remembering what each queue stated last, for as long as that counts. Which targets follow is
//! decided in `planning::demand`.

use std::{collections::BTreeMap, time::Duration};

use shared::{clock::Timestamp, values::ProfileKey, wire::TargetReason};

/// How long the statement of a queue counts. A queue repeats it with every poll, which it sends every few seconds.
const LIFETIME: Duration = Duration::from_secs(30);
/// Maximum number of queues whose statements are remembered. A queue that is started again is another one.
const QUEUES_MAX: usize = 16;
/// Maximum number of runners of a profile that is believed.
const COUNT_MAX: usize = 1000;

/// What queues have stated, and what follows from it.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    queues: BTreeMap<u64, Statement>,
    adjusted: BTreeMap<ProfileKey, AdjustedTarget>,
    profiles: BTreeMap<ProfileKey, ProfileDemand>,
}

#[derive(Clone, Debug)]
struct Statement {
    counts: BTreeMap<ProfileKey, usize>,
    stated_at: Timestamp,
}

/// A target that follows from demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdjustedTarget {
    pub target: usize,
    pub reason: TargetReason,
}

/// What is remembered of one profile.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProfileDemand {
    /// How many runners are granted to what jobs wait for, those in use included.
    pub accepted: usize,
    /// The least that was asked for since it has exceeded what is granted, and since when that is so.
    pub pending: Option<(usize, Timestamp)>,
    /// When its target was last raised because of jobs that wait.
    pub raised_at: Option<Timestamp>,
    /// When jobs last waited for more of them than there would be without demand.
    pub exceeded_at: Option<Timestamp>,
}

impl Demand {
    /// Records what a queue states: of each profile, how many runners besides those in use it could give jobs to.
    pub fn record(&mut self, queue: u64, counts: BTreeMap<ProfileKey, usize>, now: Timestamp) {
        let is_known = self.queues.contains_key(&queue);
        if !is_known && self.queues.len() >= QUEUES_MAX {
            let oldest = self.queues.iter().min_by_key(|(_, it)| it.stated_at);
            let oldest = oldest.map(|(queue, _)| *queue);
            oldest.and_then(|queue| self.queues.remove(&queue));
        }
        let stated_at = now;
        self.queues.insert(queue, Statement { counts, stated_at });
    }

    /// Forgets what no longer counts. Returns whether any queue is left.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        self.queues
            .retain(|_, it| now.since(it.stated_at) <= LIFETIME);
        !self.queues.is_empty()
    }

    /// How many runners of a profile all queues together could give jobs to.
    pub fn of(&self, profile_key: &ProfileKey) -> usize {
        let stated = self.queues.values();
        let counts = stated.filter_map(|it| it.counts.get(profile_key));
        counts.fold(0, |sum, count| (sum + count.min(&COUNT_MAX)).min(COUNT_MAX))
    }

    /// What is remembered of a profile.
    pub fn profile(&self, profile_key: &ProfileKey) -> ProfileDemand {
        self.profiles.get(profile_key).copied().unwrap_or_default()
    }

    pub fn set_profile(&mut self, profile_key: &ProfileKey, profile: ProfileDemand) {
        self.profiles.insert(profile_key.clone(), profile);
    }

    /// The targets that differ from what they would be without demand.
    pub fn adjusted(&self) -> &BTreeMap<ProfileKey, AdjustedTarget> {
        &self.adjusted
    }

    pub fn set_adjusted(&mut self, adjusted: BTreeMap<ProfileKey, AdjustedTarget>) {
        self.adjusted = adjusted;
    }

    /// Forgets what follows from demand, because targets do not follow it for now.
    pub fn reset(&mut self) {
        self.adjusted.clear();
        self.profiles.clear();
    }
}
