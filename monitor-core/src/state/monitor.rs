//! The state of one server's pool as a whole, and the questions that several parts of the crate ask.
//!
//! Not responsible for changes: those are in `observation`, `execution`, `reservations` and
//! `target_override`.

use std::collections::BTreeMap;

use shared::{
    backoff::Failures,
    clock::Timestamp,
    values::{ProfileKey, UniqueId},
    wire::{ReservationState, RunnerStatus},
};

use super::{
    action_log::ActionLog,
    credentials::Credentials,
    demand::Demand,
    durable_state::{DurableState, SnapshotError},
    host::HostCapacity,
    images::Images,
    observed::{Observed, Presence},
    poll_schedule::PollSchedule,
    runner::{InFlight, Registrar, RegistrationRef, RunnerRecord},
    runner_event::{RunnerEvent, RunnerJob, RunnerStep},
    software::Software,
};
use crate::{Policy, Poll, Resources, RunnerId};

/// Failed creations of a profile, in a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct CreationFailures {
    /// All of them, for the pace of creations.
    pub failures: Failures,
    /// How many of them did not only follow from a problem of access to GitHub.
    pub own_count: u32,
    /// When the first of those was.
    pub own_since: Option<Timestamp>,
    /// The runner that was the last of those.
    pub last: Option<RunnerId>,
    /// Why it failed: a clause.
    pub cause: String,
    /// The last lines of the output of its guest, which only readers with the API token may see.
    pub output: Vec<String>,
}

impl CreationFailures {
    /// Records a failure that is not one of access to GitHub.
    pub fn record_own(&mut self, id: RunnerId, now: Timestamp, cause: String, output: Vec<String>) {
        self.own_count = self.own_count.saturating_add(1);
        self.own_since.get_or_insert(now);
        self.last = Some(id);
        self.cause = cause;
        self.output = output;
    }

    /// The last failure that is not one of access to GitHub: a clause; empty if there is none.
    pub fn last_failure(&self) -> String {
        let failure = |id| format!("runner {id}: {}", self.cause);
        self.last.map(failure).unwrap_or_default()
    }
}

/// A step of a runner that has not been taken yet.
struct PendingEvent {
    runner: RunnerId,
    profile_key: ProfileKey,
    job: Option<RunnerJob>,
    step: RunnerStep,
}

/// State machine of one server's runner pool. Performs no I/O.
///
/// One turn of the control loop: send the polls of [`start_polls`](Self::start_polls) and pass
/// their results to `handle_*`; [`review_targets`](Self::review_targets); [`plan`](Self::plan); perform the effects of
/// [`begin`](Self::begin) and pass their outcomes to `handle_*`. The next turn is due at
/// [`next_poll_at`](Self::next_poll_at) or after the next change.
pub struct Monitor {
    pub(crate) policy: Policy,
    pub(crate) durable: DurableState,
    /// Number of changes of the durable state.
    revision: u64,
    pub(crate) started_at: Timestamp,
    /// The time of the last turn, for what is shown.
    pub(crate) now: Timestamp,
    /// The revision that is known to be on disk.
    saved_revision: u64,
    pub(crate) observed: Observed,
    /// Runners of which nothing is left, and since when. A list that was requested earlier may
    /// still show them.
    pub(crate) removed: BTreeMap<RunnerId, Timestamp>,
    /// None before the first answer.
    pub(crate) host: Option<HostCapacity>,
    pub(crate) host_schedule: PollSchedule,
    pub(crate) guest_schedule: PollSchedule,
    pub(crate) registration_schedule: PollSchedule,
    /// The secrets of guests.
    pub credentials: Credentials,
    pub(crate) creation_failures: BTreeMap<ProfileKey, CreationFailures>,
    pub(crate) images: Images,
    pub(crate) software: Software,
    pub(crate) action_log: ActionLog,
    /// What jobs wait for, and which targets follow from it.
    pub(crate) demand: Demand,
    /// Steps of runners since the last call of [`take_events`](Self::take_events).
    pending_events: Vec<PendingEvent>,
}

impl Monitor {
    /// Restores the pool from the last run's snapshot, or begins with an empty one.
    ///
    /// # Errors
    /// If the snapshot cannot be read. An empty pool instead would give out ids again.
    pub fn new(
        policy: Policy,
        snapshot: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Self, SnapshotError> {
        let mut durable = match snapshot {
            Some(snapshot) => DurableState::from_snapshot(snapshot, now)?,
            None => DurableState::default(),
        };
        durable.complete(&policy);
        Ok(Self {
            policy,
            durable,
            revision: 0,
            started_at: now,
            now,
            saved_revision: 0,
            observed: Observed::default(),
            removed: BTreeMap::new(),
            host: None,
            host_schedule: PollSchedule::default(),
            guest_schedule: PollSchedule::default(),
            registration_schedule: PollSchedule::default(),
            credentials: Credentials::default(),
            creation_failures: BTreeMap::new(),
            images: Images::default(),
            software: Software::default(),
            action_log: ActionLog::default(),
            demand: Demand::default(),
            pending_events: Vec::new(),
        })
    }

    /// The steps of runners since the last call. To be called after every change, with its time.
    pub fn take_events(&mut self, now: Timestamp) -> Vec<RunnerEvent> {
        let pending = std::mem::take(&mut self.pending_events);
        let stamp = |event: PendingEvent| RunnerEvent {
            at: now,
            runner: event.runner,
            profile_key: event.profile_key,
            job: event.job,
            step: event.step,
        };
        pending.into_iter().map(stamp).collect()
    }

    /// Records a step of a runner that exists.
    pub(crate) fn record_step(&mut self, id: RunnerId, step: RunnerStep) {
        let job = self.job_of(id);
        self.record_step_of_job(id, job, step);
    }

    /// Records a step of a runner that exists, which is about this job.
    pub(crate) fn record_step_of_job(
        &mut self,
        id: RunnerId,
        job: Option<RunnerJob>,
        step: RunnerStep,
    ) {
        if let Some(record) = self.durable.runners.get(&id) {
            self.pending_events.push(PendingEvent {
                runner: id,
                profile_key: record.profile_key.clone(),
                job,
                step,
            });
        }
    }

    /// The job that a runner has, or is reserved for.
    fn job_of(&self, id: RunnerId) -> Option<RunnerJob> {
        self.job_among(&self.reserved_runners(), id)
    }

    /// The same, with the jobs that runners are reserved for.
    pub(crate) fn job_among(
        &self,
        reserved: &BTreeMap<RunnerId, &UniqueId>,
        id: RunnerId,
    ) -> Option<RunnerJob> {
        let reservation = reserved
            .get(&id)
            .and_then(|unique_id| self.durable.reservations.get(*unique_id));
        if let Some(reservation) = reservation {
            return Some(reservation.runner_job());
        }
        let record = self.durable.runners.get(&id)?;
        // A former reservation leaves its run behind, whose job has not been seen.
        let workflow_run = record
            .workflow_run
            .clone()
            .filter(|_| record.job_was_seen)?;
        Some(RunnerJob {
            unique_id: None,
            qualified_repo: workflow_run.qualified_repo,
            run_id: workflow_run.run_id,
        })
    }

    /// Records that the durable state has changed and has to be saved.
    pub(crate) fn mark_dirty(&mut self) {
        self.revision += 1;
    }

    /// Revision of the durable state. It grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The revision that is on disk.
    pub fn saved_revision(&self) -> u64 {
        self.saved_revision
    }

    /// The durable state, as it is to be saved.
    pub fn snapshot(&self) -> Vec<u8> {
        self.durable.to_snapshot()
    }

    /// The durable state is on disk up to `revision`.
    pub fn handle_saved(&mut self, revision: u64) {
        self.saved_revision = self.saved_revision.max(revision);
    }

    /// Where runners are registered now.
    pub(crate) fn current_registrar(&self) -> Registrar {
        Registrar {
            scope: self.policy.scope.clone(),
            suffix: self.policy.names.suffix.clone(),
        }
    }

    /// Where a runner was registered.
    pub(crate) fn registrar_of(&self, record: &RunnerRecord) -> Registrar {
        let registrar = record.registrar.clone();
        registrar.unwrap_or_else(|| self.current_registrar())
    }

    /// The registration of a runner, for requests about it; none if it never had one, or it is gone.
    pub(crate) fn registration_ref(&self, record: &RunnerRecord) -> Option<RegistrationRef> {
        let id = record.registration_id?;
        let scope = self.registrar_of(record).scope;
        record
            .unregistered
            .is_none()
            .then_some(RegistrationRef { scope, id })
    }

    /// When the current image of a profile was built, according to the last poll.
    pub fn image_built_at(&self, profile_key: &ProfileKey) -> Option<Timestamp> {
        self.images.built_at(profile_key)
    }

    /// Whether every poll has been answered since the start. Before that nothing is decided.
    pub fn is_ready(&self) -> bool {
        self.observed.is_complete() && !self.is_host_unknown()
    }

    /// The polls that have not succeeded yet, without which the monitor is not ready.
    pub fn missing_polls(&self) -> Vec<Poll> {
        let missing = [
            (Poll::Registrations, self.observed.registrations.is_none()),
            (Poll::Guests, self.observed.guests.is_none()),
            (Poll::Host, self.is_host_unknown()),
        ];
        let missing = missing.into_iter().filter(|(_, is_missing)| *is_missing);
        missing.map(|(poll, _)| poll).collect()
    }

    fn is_host_unknown(&self) -> bool {
        self.policy.makes_virtual_machines() && self.host.is_none()
    }

    /// What all guests together may use.
    pub(crate) fn capacity(&self) -> Resources {
        let host = self.host.unwrap_or_default();
        host.limit(self.policy.capacity)
    }

    /// A sentence for each setting that exceeds what the host has.
    pub(crate) fn capacity_warnings(&self) -> Vec<String> {
        let host = self.host.unwrap_or_default();
        host.warnings(self.policy.capacity)
    }

    /// Name of a runner's guest, whether or not the guest exists; none if there is no such runner.
    pub fn guest_name_of(&self, id: RunnerId) -> Option<String> {
        let record = self.durable.runners.get(&id)?;
        Some(self.policy.guest_name(&record.profile_key, id))
    }

    /// Name of the guest that builds the image of a profile, whether or not the guest exists; none
    /// if this server does not build the image.
    pub fn builder_name(&self, profile_key: &ProfileKey) -> Option<String> {
        let profile = self.policy.profiles.get(profile_key)?;
        let name = self.policy.builder_name(profile_key);
        profile.builds_image.then_some(name)
    }

    /// Profile of a runner; none if there is no such runner.
    pub fn profile_of(&self, id: RunnerId) -> Option<ProfileKey> {
        let record = self.durable.runners.get(&id)?;
        Some(record.profile_key.clone())
    }

    /// Status of every runner.
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

    /// The runners that are held for a job, and for which one. Reservations that are finished hold
    /// none.
    pub(crate) fn reserved_runners(&self) -> BTreeMap<RunnerId, &UniqueId> {
        let open = self.durable.reservations.iter();
        open.filter(|(_, reservation)| reservation.state != ReservationState::Finished)
            .flat_map(|(unique_id, reservation)| {
                reservation
                    .runners
                    .iter()
                    .map(move |runner| (runner.id, unique_id))
            })
            .collect()
    }

    /// What all runners and image builds use of the server, including runners that are being
    /// created or destroyed. None if there is a guest whose needs are unknown: then nothing more
    /// may be created.
    pub(crate) fn resources_in_use(&self) -> Option<Resources> {
        self.resources_of(|_, _| true)
    }

    /// Whether a runner uses the server: until its guest is gone, and already while that is being created.
    pub(crate) fn occupies_host(&self, id: RunnerId, record: &RunnerRecord) -> bool {
        let is_gone = self.observed.guest(id, record) == Presence::Absent;
        record.in_flight == Some(InFlight::Creating) || !is_gone
    }

    /// The same for all image builds and the runners that `counts` selects.
    pub(crate) fn resources_of(
        &self,
        counts: impl Fn(RunnerId, &RunnerRecord) -> bool,
    ) -> Option<Resources> {
        let records = self.durable.runners.iter();
        let of_runners: Option<Resources> = records
            .filter(|(id, record)| counts(**id, record))
            .filter(|(id, record)| self.occupies_host(**id, record))
            .map(|(_, record)| record.needs)
            .sum();
        Some(of_runners? + self.images.resources_in_use())
    }
}
