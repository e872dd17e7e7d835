//! All that the monitor knows, and the questions that every part of the core asks about it.
//!
//! Owns the state. Its transitions stand where their rules are: `take`, `release`, `labels`,
//! `look`, `lifecycle`, `target_override`; what follows from it in `plan` and `view`. The state
//! does no I/O, and knows the time only as an argument.

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    values::ProfileKey,
    wire::{RunnerCounts, RunnerStatus},
};

use crate::{
    BackOff, Credentials, DurableState, HostCapacity, Images, Policy, Resources, RunnerId,
    RunnerRecord, Software,
    state::action_log::ActionLog,
    state::durable_state::SnapshotError,
    state::observed::{Observed, Sighting},
    state::poll_schedule::PollSchedule,
    state::runner::InFlight,
};

/// The state of one server's pool.
pub struct Monitor {
    pub(crate) policy: Policy,
    pub(crate) durable: DurableState,
    /// Grows with every change of the durable state.
    pub(crate) revision: u64,
    /// The revision that is known to be on disk.
    pub(crate) saved_revision: u64,
    pub(crate) observed: Observed,
    /// Runners of which nothing is left, and since when. A list that was asked for earlier may
    /// still show them.
    pub(crate) removed: BTreeMap<RunnerId, Timestamp>,
    /// None before the first answer.
    pub(crate) host: Option<HostCapacity>,
    pub(crate) host_rhythm: PollSchedule,
    pub(crate) guest_rhythm: PollSchedule,
    pub(crate) registration_rhythm: PollSchedule,
    /// The secrets of guests.
    pub credentials: Credentials,
    pub(crate) creation_back_offs: BTreeMap<ProfileKey, BackOff>,
    pub(crate) images: Images,
    pub(crate) software: Software,
    pub(crate) action_log: ActionLog,
}

impl Monitor {
    /// A pool as the last run left it, or an empty one.
    ///
    /// # Errors
    /// When the snapshot cannot be understood. Starting without it would give ids out again.
    pub fn new(
        policy: Policy,
        snapshot: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Self, SnapshotError> {
        let durable = match snapshot {
            Some(snapshot) => DurableState::from_snapshot(snapshot, now)?,
            None => DurableState::default(),
        };
        Ok(Self {
            policy,
            durable,
            revision: 0,
            saved_revision: 0,
            observed: Observed::default(),
            removed: BTreeMap::new(),
            host: None,
            host_rhythm: PollSchedule::default(),
            guest_rhythm: PollSchedule::default(),
            registration_rhythm: PollSchedule::default(),
            credentials: Credentials::default(),
            creation_back_offs: BTreeMap::new(),
            images: Images::default(),
            software: Software::default(),
            action_log: ActionLog::default(),
        })
    }

    /// The durable state has changed, and has to be saved.
    pub(crate) fn mark_dirty(&mut self) {
        self.revision += 1;
    }

    /// The revision of the durable state. It grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The revision that is on disk.
    pub fn saved_revision(&self) -> u64 {
        self.saved_revision
    }

    /// The durable state as it is to be saved.
    pub fn snapshot(&self) -> Vec<u8> {
        self.durable.to_snapshot()
    }

    /// Whether the world has been looked at since the start. Before that nothing is decided.
    pub fn is_ready(&self) -> bool {
        self.observed.is_complete() && !self.is_host_unknown()
    }

    /// The name of a runner's guest, be it there or not.
    pub fn guest_name_of(&self, id: RunnerId) -> Option<String> {
        let record = self.durable.runners.get(&id)?;
        Some(self.policy.guest_name(&record.profile_key, id))
    }

    /// The profile of a runner.
    pub fn profile_of(&self, id: RunnerId) -> Option<ProfileKey> {
        let record = self.durable.runners.get(&id)?;
        Some(record.profile_key.clone())
    }

    /// What every runner is doing.
    pub(crate) fn statuses(&self) -> BTreeMap<RunnerId, RunnerStatus> {
        let reserved = self.reserved_runners();
        let records = self.durable.runners.iter();
        records
            .map(|(id, record)| {
                let is_reserved = reserved.contains_key(id);
                (*id, self.observed.status(*id, record, is_reserved))
            })
            .collect()
    }

    /// What each profile has and wants; also those that have left the settings, while they have
    /// runners.
    pub(crate) fn counts(&self) -> BTreeMap<ProfileKey, RunnerCounts> {
        let mut all: BTreeMap<ProfileKey, RunnerCounts> = BTreeMap::new();
        for (id, status) in self.statuses() {
            let profile_key = &self.durable.runners[&id].profile_key;
            let counts = all.entry(profile_key.clone()).or_default();
            match status {
                RunnerStatus::Starting => counts.started_or_crashed += 1,
                RunnerStatus::Idle => counts.idle += 1,
                RunnerStatus::Reserved => counts.reserved += 1,
                RunnerStatus::Busy => counts.busy += 1,
                RunnerStatus::Invalid | RunnerStatus::Done => {}
            }
        }
        for (profile_key, target) in self.targets() {
            all.entry(profile_key).or_default().target = target;
        }
        for counts in all.values_mut() {
            counts.healthy =
                counts.started_or_crashed + counts.idle + counts.reserved + counts.busy;
            counts.wanted = counts.target.saturating_sub(counts.healthy);
            let excess = counts.healthy.saturating_sub(counts.target);
            counts.excess_healthy = excess.min(counts.idle);
        }
        all
    }

    /// What all runners and rebuilds take of the host, those that are being made or destroyed
    /// included. None if there is a guest of which nobody knows what it takes: then nothing more may be made.
    pub(crate) fn resources_in_use(&self) -> Option<Resources> {
        self.resources_of(|_, _| true)
    }

    /// The same of all rebuilds and of some of the runners.
    pub(crate) fn resources_of(
        &self,
        counts: impl Fn(RunnerId, &RunnerRecord) -> bool,
    ) -> Option<Resources> {
        let records = self.durable.runners.iter();
        let of_runners: Option<Resources> = records
            .filter(|(id, record)| counts(**id, record))
            .filter(|(id, record)| {
                let is_gone = self.observed.guest(**id, record) == Sighting::Absent;
                record.flight == Some(InFlight::Creating) || !is_gone
            })
            .map(|(_, record)| record.needs)
            .sum();
        Some(of_runners? + self.images.resources_in_use())
    }
}
