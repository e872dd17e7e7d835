//! What a server says in a scene, in few words.

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    wire::{ReservationReport, ReservationState},
};

use crate::report::{ProfileReport, Report, RunnerId};

/// A report in the making.
#[derive(Clone)]
pub struct Word {
    pub report: Report,
    /// How many seconds ago the server was asked.
    pub asked_seconds_ago: u64,
}

/// "Of the profile `linux` I am set up to have `target`, and these are idle."
pub fn linux(target: usize, idle: &[RunnerId]) -> Word {
    nothing().and("linux", target, idle)
}

/// "I have nothing at all."
pub fn nothing() -> Word {
    let report = Report {
        reservations: Some(BTreeMap::new()),
        ..Report::default()
    };
    Word {
        report,
        asked_seconds_ago: 0,
    }
}

impl Word {
    /// "And of this profile …"
    pub fn and(mut self, profile_key: &str, target: usize, idle: &[RunnerId]) -> Self {
        let profile = ProfileReport {
            target,
            idle: idle.iter().copied().collect(),
        };
        self.report.runners.extend(idle);
        self.report
            .profiles
            .insert(profile_key.parse().unwrap(), profile);
        self
    }

    /// "These are reserved for that job; the last attempt to ask for them was this one."
    pub fn holds(self, job: &str, runners: &[RunnerId], attempt: u64) -> Self {
        self.with_reservation(job, runners, attempt, ReservationState::Held)
    }

    /// "A job has started on these."
    pub fn runs(self, job: &str, runners: &[RunnerId], attempt: u64) -> Self {
        self.with_reservation(job, runners, attempt, ReservationState::Used)
    }

    /// "A job has run on these, and they are gone."
    pub fn has_served(mut self, job: &str, runners: &[RunnerId], attempt: u64) -> Self {
        self = self.with_reservation(job, runners, attempt, ReservationState::Served);
        self.report
            .runners
            .retain(|runner| !runners.contains(runner));
        self
    }

    /// "And what I report for that job was enqueued then."
    pub fn enqueued_at(mut self, job: &str, enqueued_at: Timestamp) -> Self {
        let reservations = self.report.reservations.as_mut().unwrap();
        reservations.get_mut(job).unwrap().enqueued_at = Some(enqueued_at);
        self
    }

    /// "These exist as well; I do not say what they are doing."
    pub fn and_runners(mut self, runners: &[RunnerId]) -> Self {
        self.report.runners.extend(runners);
        self
    }

    /// The word of an older monitor, which knows no reservations.
    pub fn of_older_monitor(mut self) -> Self {
        self.report.reservations = None;
        self
    }

    /// The answer to a question that was asked some time ago.
    pub fn asked_seconds_ago(mut self, seconds: u64) -> Self {
        self.asked_seconds_ago = seconds;
        self
    }

    fn with_reservation(
        mut self,
        job: &str,
        runners: &[RunnerId],
        attempt: u64,
        state: ReservationState,
    ) -> Self {
        let reservation = ReservationReport {
            runners: runners.to_vec(),
            state,
            attempt,
            enqueued_at: None,
        };
        self.report.runners.extend(runners);
        self.report
            .reservations
            .get_or_insert_default()
            .insert(job.parse().unwrap(), reservation);
        self
    }
}
