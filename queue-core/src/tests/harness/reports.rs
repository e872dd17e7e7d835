//! Reports of servers.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    clock::Timestamp,
    problem::catalogue::ProblemKind,
    wire::{ReservationReport, ReservationState, RunnerStatus},
};

use crate::{Forward, Guest, ProfileReport, Report, RunnerId, SeenRunner, ServerId, TicketContent};

/// A report in the making.
#[derive(Clone)]
pub struct ReportBuilder {
    report: Report,
    asked_seconds_ago: u64,
}

/// What a report tells of the take that made a reservation.
#[derive(Clone, Copy)]
pub struct MadeBy {
    sequence: u64,
    enqueued_at: Option<Timestamp>,
}

impl MadeBy {
    /// Some queue, for a job that was enqueued then.
    pub fn queue_at(enqueued_at: Timestamp) -> Self {
        Self {
            sequence: 1,
            enqueued_at: Some(enqueued_at),
        }
    }

    /// An older queue, or a queue at an older monitor: the time of enqueueing is unknown.
    pub fn older_queue() -> Self {
        Self {
            sequence: 1,
            enqueued_at: None,
        }
    }

    /// A client that is no queue.
    pub fn no_queue() -> Self {
        Self {
            sequence: 0,
            enqueued_at: None,
        }
    }

    /// The same with another fencing token.
    pub fn with_sequence(self, sequence: u64) -> Self {
        Self { sequence, ..self }
    }
}

impl From<&Forward> for MadeBy {
    fn from(forward: &Forward) -> Self {
        Self::queue_at(forward.enqueued_at).with_sequence(forward.token.sequence)
    }
}

/// Another queue made it for the job of this ticket.
impl From<&TicketContent> for MadeBy {
    fn from(ticket: &TicketContent) -> Self {
        Self::queue_at(ticket.enqueued_at)
    }
}

/// A report of the profile `linux`: its target, and which runners are idle.
pub fn linux(target: usize, idle: &[RunnerId]) -> ReportBuilder {
    no_profiles().and("linux", target, idle)
}

/// A report of no profile.
pub fn no_profiles() -> ReportBuilder {
    let report = Report {
        reservations: Some(BTreeMap::new()),
        ..Report::default()
    };
    ReportBuilder {
        report,
        asked_seconds_ago: 0,
    }
}

impl ReportBuilder {
    /// Adds a profile.
    pub fn and(mut self, profile_key: &str, target: usize, idle: &[RunnerId]) -> Self {
        let profile = ProfileReport {
            target,
            existing: target,
            idle: idle.iter().copied().collect(),
            ..ProfileReport::default()
        };
        self.report
            .profiles
            .insert(profile_key.parse().unwrap(), profile);
        self.with_statuses(profile_key, idle, RunnerStatus::Idle)
    }

    /// Adds runners of a profile with this status.
    pub fn with_statuses(
        mut self,
        profile_key: &str,
        runners: &[RunnerId],
        status: RunnerStatus,
    ) -> Self {
        let seen = SeenRunner {
            profile_key: profile_key.parse().unwrap(),
            status,
            since: None,
            created_at: None,
        };
        self.report.runners.extend(runners);
        let statuses = runners.iter().map(|id| (*id, seen.clone()));
        self.report.statuses.extend(statuses);
        self
    }

    /// States since when a runner has its status, by the clock of the server.
    pub fn since(mut self, runner: RunnerId, since: Timestamp) -> Self {
        let seen = self.report.statuses.get_mut(&runner);
        seen.expect("the runner has a status").since = Some(since);
        self
    }

    /// States when the creation of a runner began, by the clock of the server.
    pub fn created(mut self, runner: RunnerId, created_at: Timestamp) -> Self {
        let seen = self.report.statuses.get_mut(&runner);
        seen.expect("the runner has a status").created_at = Some(created_at);
        self
    }

    /// Changes what is reported of the profile `linux`.
    pub fn with_linux(mut self, change: impl FnOnce(&mut ProfileReport)) -> Self {
        let linux = self.report.profiles.get_mut("linux");
        change(linux.expect("the report has this profile"));
        self
    }

    /// Adds a reservation whose job has not started.
    pub fn holds(self, job: &str, runners: &[RunnerId], by: impl Into<MadeBy>) -> Self {
        self.with_reservation(job, runners, by.into(), ReservationState::Held)
    }

    /// Adds a reservation on one of whose runners the job has started.
    pub fn runs(self, job: &str, runners: &[RunnerId], by: impl Into<MadeBy>) -> Self {
        self.with_reservation(job, runners, by.into(), ReservationState::Used)
    }

    /// Adds a reservation whose job has used its runners, which are gone.
    pub fn has_finished(mut self, job: &str, runners: &[RunnerId], by: impl Into<MadeBy>) -> Self {
        self = self.with_reservation(job, runners, by.into(), ReservationState::Finished);
        self.report
            .runners
            .retain(|runner| !runners.contains(runner));
        self
    }

    /// Adds runners of unknown status.
    pub fn and_runners(mut self, runners: &[RunnerId]) -> Self {
        self.report.runners.extend(runners);
        self
    }

    /// Makes its reservations those of queues with another key, or of callers that are no queues.
    pub fn without_proof(mut self) -> Self {
        for reservation in self.report.reservations.iter_mut().flatten() {
            reservation.1.proof = Some("of another key".to_owned());
        }
        self
    }

    /// Makes the takes that made its reservations those of another server.
    pub fn proven_for(mut self, server: ServerId) -> Self {
        self.report.prove(|_, _| Some(server));
        self
    }

    /// Adds a problem that the server has.
    pub fn with_problem(mut self, kind: &ProblemKind) -> Self {
        let problem = kind.problem("disk", "it is full", "free some", Timestamp::default());
        self.report.problems.push(problem);
        self
    }

    /// Removes what an older monitor does not report: reservations.
    pub fn of_older_monitor(mut self) -> Self {
        self.report.reservations = None;
        self
    }

    /// Makes it that of the monitor's process with this `instance`.
    pub fn of_instance(mut self, instance: &str) -> Self {
        self.report.instance = Some(instance.to_owned());
        self
    }

    /// Adds guests with registrations.
    pub fn with_guests<const N: usize>(mut self, guests: [Guest; N]) -> Self {
        self.report.guests.extend(guests);
        self
    }

    /// States how many runners of `linux` there are.
    pub fn with_existing(mut self, existing: usize) -> Self {
        if let Some(profile) = self.report.profiles.get_mut("linux") {
            profile.existing = existing;
        }
        self
    }

    /// States how many entries could not be read.
    pub fn with_unreadable(mut self, count: usize) -> Self {
        self.report.unreadable_count = count;
        self
    }

    /// Makes it the answer to a poll that was sent some time ago.
    pub fn asked_seconds_ago(mut self, seconds: u64) -> Self {
        self.asked_seconds_ago = seconds;
        self
    }

    pub fn build(mut self, now: Timestamp) -> Report {
        self.report.asked_at = now - Duration::from_secs(self.asked_seconds_ago);
        self.report
    }

    fn with_reservation(
        mut self,
        job: &str,
        runners: &[RunnerId],
        by: MadeBy,
        state: ReservationState,
    ) -> Self {
        let reservation = ReservationReport {
            runners: runners.to_vec(),
            state,
            attempt: by.sequence,
            enqueued_at: by.enqueued_at,
            proof: None,
        };
        let status = match state {
            ReservationState::Held => Some(RunnerStatus::Reserved),
            ReservationState::Used => Some(RunnerStatus::Busy),
            ReservationState::Finished => None,
        };
        let profile_key = self.report.profiles.keys().next().cloned();
        if let Some((key, status)) = profile_key.zip(status) {
            self = self.with_statuses(key.as_str(), runners, status);
        }
        self.report.runners.extend(runners);
        self.report
            .reservations
            .get_or_insert_default()
            .insert(job.parse().unwrap(), reservation);
        self
    }
}
