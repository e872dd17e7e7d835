//! What the queue knows, in parts with private fields.
//!
//! Responsible for keeping each part consistent. Not responsible for what follows from an input
//! (`transitions`) or for which job gets runners (`scheduling`).

pub mod accounts;
pub mod dirty;
pub mod fencing;
pub mod fleet;
pub mod held_calls;
pub mod job;
pub mod jobs;
pub mod pauses;
pub mod pending_releases;
mod profile_queue;
pub mod profile_queues;
pub mod repo_use;
mod retired;
pub mod timers;

use std::{collections::VecDeque, time::Duration};

use shared::{clock::Timestamp, values::UniqueId};

use self::{
    accounts::Accounts,
    dirty::Dirty,
    fencing::Fencing,
    fleet::{Fleet, ServerId},
    held_calls::HeldCalls,
    job::{Retirement, TicketContent},
    jobs::Jobs,
    pauses::Pauses,
    pending_releases::PendingReleases,
    profile_queues::ProfileQueues,
    repo_use::LazyRepoUse,
    timers::{Timer, Timers},
};
use crate::{
    config::Config,
    effect::{Answer, Effect, Refusal, WaitingAnswer},
    estimate::{self, Forecasts},
    event::{Assignment, JobEvent, JobStep},
    input::CallId,
};

/// The longest `Retry-After`. No longer than the default startup grace period, so that after a
/// restart every client has polled again before the first runner is assigned.
const RETRY_AFTER_SECONDS_MAX: u64 = 5;
/// `Retry-After` grows by one second for this many jobs ahead: clients far back need not poll often.
const JOBS_AHEAD_PER_SECOND: u64 = 100;

/// All state of a queue.
#[derive(Debug)]
pub struct State {
    pub config: Config,
    pub jobs: Jobs,
    pub profile_queues: ProfileQueues,
    pub pauses: Pauses,
    pub fleet: Fleet,
    pub pending_releases: PendingReleases,
    pub held_calls: HeldCalls,
    pub timers: Timers,
    pub fencing: Fencing,
    pub dirty: Dirty,
    pub estimates: Forecasts,
    pub accounts: Accounts,
    pub effects: VecDeque<Effect>,
    /// No client counts as silent before this time.
    pub silence_counts_from: Timestamp,
    dispatching_from: Timestamp,
}

impl State {
    pub fn new(config: Config, servers: &[String], instance: u64, now: Timestamp) -> Self {
        let dispatching_from = now + config.startup_grace;
        let mut timers = Timers::default();
        timers.set(dispatching_from, Timer::StartupGrace);
        Self {
            jobs: Jobs::default(),
            profile_queues: ProfileQueues::grouped(&config.limits),
            pauses: Pauses::default(),
            fleet: Fleet::new(servers, config.stale_after, now),
            pending_releases: PendingReleases::default(),
            held_calls: HeldCalls::new(config.limits.held_max),
            timers,
            fencing: Fencing::new(instance, now),
            dirty: Dirty::default(),
            estimates: Forecasts::default(),
            accounts: Accounts::default(),
            effects: VecDeque::new(),
            silence_counts_from: Timestamp::default(),
            dispatching_from,
            config,
        }
    }

    /// When this queue was started.
    pub fn started_at(&self) -> Timestamp {
        self.dispatching_from - self.config.startup_grace
    }

    /// Whether a ticket issued at `enqueued_at` has expired. The clock of the queue that issued it may
    /// have been wrong, or this one's may be.
    pub fn is_expired(&self, enqueued_at: Timestamp, now: Timestamp) -> bool {
        // It was issued before the clock of its host was set, so that its time proves nothing.
        if enqueued_at < self.config.believable_from {
            return false;
        }
        // What was valid when the last process ended stays so for as long as a new ticket: the time
        // in between may be a jump of the clock. Afterwards all of those have expired in any case.
        let lifetime = self.config.ticket_lifetime;
        let is_new = now.since(self.started_at()) < lifetime;
        let down_for = if is_new {
            self.config.down_for
        } else {
            Duration::ZERO
        };
        now - down_for >= enqueued_at + lifetime
    }

    /// Whether the startup grace period is over.
    pub fn is_dispatching(&self, now: Timestamp) -> bool {
        now >= self.dispatching_from
    }

    /// Whether `server` may be asked for idle runners for this job. It may not
    /// - while it has not confirmed a release for the job, because what it holds is unknown;
    /// - while it reports runners for the job, because a reservation cannot be made larger;
    /// - for a while after it refused the job.
    pub fn can_forward(&self, now: Timestamp, server: ServerId, unique_id: &UniqueId) -> bool {
        self.jobs.get(unique_id).is_some_and(|job| {
            !self
                .fleet
                .is_held(server, unique_id, job.ticket.enqueued_at)
                && !self.pending_releases.contains(server, unique_id)
                && !job.is_excluded(server, now)
        })
    }

    /// Retires a job: removes it everywhere and refuses its held takes. What it held is not released
    /// here.
    pub fn retire(&mut self, now: Timestamp, unique_id: &UniqueId, retirement: Retirement) {
        let lifetime = self.config.ticket_lifetime;
        let Some(mut job) = self.jobs.retire(unique_id, retirement, lifetime, now) else {
            return;
        };
        self.profile_queues.remove(&job.ticket);
        let assignment = job.assignment.take().map(|assignment| *assignment);
        let assigned_at = assignment.as_ref().and_then(|it| it.assigned_at);
        let took = assigned_at.map_or(Duration::ZERO, |at| now.since(at));
        let policy = self.config.limits.policy.as_deref();
        self.accounts.settle(policy, now, &job.ticket, took);
        self.record_retirement(now, &job.ticket, retirement, assignment.unwrap_or_default());
        // It may have blocked the jobs behind it.
        self.dirty
            .mark_profile(job.request().spec.profile_key.clone());
        for call in self.held_calls.remove_all(unique_id) {
            self.refuse(call, Refusal::UnknownJob);
        }
    }

    /// When the startup grace period ends.
    pub fn dispatching_from(&self) -> Timestamp {
        self.dispatching_from
    }

    /// Where a job stands, for its client; `None` if it has its runners, or is not known.
    pub fn waiting_answer(
        &mut self,
        now: Timestamp,
        unique_id: &UniqueId,
    ) -> Option<WaitingAnswer> {
        let job = self.jobs.get(unique_id).filter(|job| job.is_queued())?;
        let profile_key = job.request().spec.profile_key.clone();
        let repo_use = LazyRepoUse::new(self, now, &profile_key);
        if !estimate::is_next(self, now, job, &repo_use) {
            estimate::refresh(self, now, &profile_key);
        }
        let job = self.jobs.get(unique_id)?;
        let ahead = self.profile_queues.ahead_of(&job.ticket);
        Some(WaitingAnswer {
            ahead,
            prospect: estimate::prospect_of(self, now, job),
            retry_after_seconds: (1 + ahead as u64 / JOBS_AHEAD_PER_SECOND)
                .min(RETRY_AFTER_SECONDS_MAX),
        })
    }

    /// Records what has happened to a job.
    pub fn record(&mut self, now: Timestamp, ticket: &TicketContent, step: JobStep) {
        self.effects.push_back(Effect::Record(JobEvent {
            at: now,
            job: ticket.request.spec.clone(),
            enqueued_at: ticket.enqueued_at,
            queued_at: ticket.queued_at,
            lane: ticket.lane.clone(),
            step,
        }));
    }

    /// Records that a job is over. If it had no runners of this queue, its runners are those on which it
    /// has finished according to servers.
    pub fn record_retirement(
        &mut self,
        now: Timestamp,
        ticket: &TicketContent,
        retirement: Retirement,
        mut assignment: Assignment,
    ) {
        if assignment.runners.is_empty() {
            let unique_id = &ticket.request.spec.unique_id;
            assignment.runners = self.fleet.finished_on(unique_id, ticket.enqueued_at);
        }
        let step = JobStep::Retired {
            retirement,
            assignment,
        };
        self.record(now, ticket, step);
    }

    pub fn answer(&mut self, call: CallId, answer: Answer) {
        self.effects.push_back(Effect::Answer { call, answer });
    }

    pub fn refuse(&mut self, call: CallId, refusal: Refusal) {
        self.answer(call, Answer::Refused(refusal));
    }

    /// Marks every profile that `server` reports.
    pub fn mark_profiles_of(&mut self, server: ServerId) {
        for key in self.fleet.profiles(server) {
            self.dirty.mark_profile(key);
        }
    }
}
