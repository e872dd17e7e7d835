//! The outcomes of creating and destroying runners and of building images.
//!
//! Responsible for what each outcome means for the runner, for its reservation, and for the pace at
//! which its profile creates new runners.

use std::time::Duration;

use shared::{
    backoff::Backoff, clock::Timestamp, registration::Deletion, secret::Secret, values::ProfileKey,
};

use crate::{
    Monitor, RunnerId,
    state::{
        observed::Presence,
        runner::{InFlight, MustDestroy, RunnerRecord, Unregistered},
        runner_event::{Cause, FailedStep, Failure, RunnerStep},
    },
};

/// The pauses of a profile after failed creations.
const CREATION_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(60),
    jitter_percent: 50,
};
/// The pauses of a profile whose runners end without having had a job. They may be long: until an
/// operator has changed something, such as the image, the next one most likely ends like that, too.
const FAILED_START_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(600),
    jitter_percent: 50,
};
/// The pauses after failing to destroy a runner.
const DESTRUCTION_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(5),
    max: Duration::from_secs(300),
    jitter_percent: 50,
};

impl Monitor {
    /// GitHub has registered a new runner; from now on its guest may fetch the JIT configuration.
    pub fn handle_registered(&mut self, id: RunnerId, registration_id: u64, jit_config: Secret) {
        if let Some(record) = self.durable.runners.get_mut(&id) {
            record.registration_id = Some(registration_id);
            self.credentials.provide(id, jit_config);
            self.mark_dirty();
        }
    }

    /// The guest of a new runner is up.
    pub fn handle_created(&mut self, id: RunnerId, now: Timestamp) {
        let mut end = None;
        if let Some(record) = self.finish_in_flight(id) {
            record.creation_ended_at = now;
            end = record.guest_end.clone();
            self.record_step(id, RunnerStep::GuestStarted);
        }
        // It may have ended before this.
        if let Some(end) = end {
            self.record_step(id, RunnerStep::Ended { end });
        }
        self.guest_schedule.request_now();
    }

    /// A new runner was certainly not registered.
    pub fn handle_not_registered(
        &mut self,
        id: RunnerId,
        failure: impl Into<Failure>,
        now: Timestamp,
    ) {
        if let Some(record) = self.durable.runners.get_mut(&id) {
            // Whatever GitHub lists by that name is not this runner.
            record.unregistered = Some(Unregistered::Unused);
        }
        self.handle_creation_failed(id, failure, now);
    }

    /// A runner could not be created, or only in part: what there is of it is to be destroyed.
    pub fn handle_creation_failed(
        &mut self,
        id: RunnerId,
        failure: impl Into<Failure>,
        now: Timestamp,
    ) {
        let failure = failure.into();
        let Some(record) = self.finish_in_flight(id) else {
            return;
        };
        record.creation_ended_at = now;
        record.must_destroy = Some(MustDestroy::PartiallyCreated);
        let profile_key = record.profile_key.clone();
        let known = self.creation_failures.entry(profile_key).or_default();
        let retry_after = failure.retry_after.unwrap_or_default();
        known.failures.record(now, CREATION_BACKOFF, retry_after);
        if !failure.is_of_access {
            let cause = failure.short_cause();
            let cause = format!("the monitor failed to {cause}");
            known.record_own(id, now, cause, Vec::new());
        }
        let what = FailedStep::Creation;
        let cause = failure.short_cause();
        self.record_step(id, RunnerStep::Failed { what, cause });
        // A request that got no response may have registered it all the same.
        self.registration_schedule.request_now();
        self.mark_dirty();
    }

    /// GitHub's answer to the first half of a destruction. Returns whether the second half may
    /// follow: destroying the guest.
    pub fn handle_unregistered(
        &mut self,
        id: RunnerId,
        deletion: Deletion,
        now: Timestamp,
    ) -> bool {
        // Without its JIT configuration it cannot have a job, whatever GitHub reports.
        let may_have_job = self.credentials.may_be_fetched(id);
        let Some(record) = self.durable.runners.get(&id) else {
            return false;
        };
        let has_guest = self.observed.guest(id, record) != Presence::Absent;
        // Lists have not agreed with the response for long enough: it may also mean "not visible to you here".
        let is_unconfirmed =
            !self.observed.is_gone_from_lists(record) && self.may_have_job(id, record);
        let Some(record) = self.durable.runners.get_mut(&id) else {
            return false;
        };
        let is_removed = match deletion {
            Deletion::Deleted => {
                record.unregistered = Some(Unregistered::Unused);
                true
            }
            Deletion::NotThere
                if has_guest && !record.has_evidence() && (record.was_busy || is_unconfirmed) =>
            {
                // Only later lists, or evidence, show whether its job has ended.
                record.unlisted_since.get_or_insert(now);
                false
            }
            Deletion::NotThere => {
                record.unregistered = Some(Unregistered::Used);
                true
            }
            Deletion::Busy => {
                record.found_busy_at = Some(now);
                record.was_busy |= may_have_job;
                record.not_busy_since = None;
                record.must_destroy == Some(MustDestroy::RemovedByForce)
            }
        };
        let refusal = match deletion {
            _ if is_removed => None,
            Deletion::Busy => Some("GitHub reports that it runs a job"),
            Deletion::Deleted | Deletion::NotThere => {
                Some("GitHub does not show it, but nothing proves that its job has ended")
            }
        };
        if let Some(cause) = refusal {
            // The list may disagree for hours, so the next try follows after a growing pause.
            record.in_flight = None;
            record
                .destroy_failures
                .record(now, DESTRUCTION_BACKOFF, Duration::ZERO);
            record.lacks_access = false;
            if !record.is_stuck() {
                self.registration_schedule.request_now();
            }
            let (what, cause) = (FailedStep::Destruction, cause.to_owned());
            self.record_step(id, RunnerStep::Failed { what, cause });
        }
        self.mark_dirty();
        is_removed
    }

    /// A destruction failed in its first or second half.
    pub fn handle_destruction_failed(
        &mut self,
        id: RunnerId,
        failure: impl Into<Failure>,
        now: Timestamp,
    ) {
        let failure = failure.into();
        if let Some(record) = self.finish_in_flight(id) {
            let at_least = failure.retry_after.unwrap_or_default();
            record
                .destroy_failures
                .record(now, DESTRUCTION_BACKOFF, at_least);
            record.lacks_access = failure.is_of_access;
            let what = FailedStep::Destruction;
            let cause = failure.short_cause();
            self.record_step(id, RunnerStep::Failed { what, cause });
        }
    }

    /// Nothing is left of a runner.
    pub fn handle_destroyed(&mut self, id: RunnerId, now: Timestamp) {
        let known = self.durable.runners.get(&id);
        let Some(reason) = known.map(|record| record.destroyed_for.clone()) else {
            return;
        };
        let reason = reason.unwrap_or_else(Cause::unknown);
        self.record_failed_start(id, now);
        self.record_step(id, RunnerStep::Destroyed { reason });
        self.durable.runners.remove(&id);
        self.removed.insert(id, now);
        self.credentials.forget(id);
        self.note_runner_gone(id, now);
        self.note_override_progress();
        self.mark_dirty();
    }

    /// Counts a runner that ended by itself, before it had a job or was online for long, as a failed
    /// creation. Otherwise a profile whose guests end at once, or a moment after they came online, would
    /// register new runners as fast as GitHub answers.
    fn record_failed_start(&mut self, id: RunnerId, now: Timestamp) {
        let Some(record) = self.durable.runners.get(&id) else {
            return;
        };
        // No job knows the label of a runner that has its own and is not reserved.
        let may_have_had_a_job =
            record.own_label.is_none() || self.reserved_runners().contains_key(&id);
        let had_a_job = record.was_busy
            || (record.unregistered == Some(Unregistered::Used) && may_have_had_a_job);
        if !record.has_failed || record.is_proven || had_a_job {
            return;
        }
        let end = record.guest_end.clone().unwrap_or_default();
        let cause = match (&end.exit_status, &record.destroyed_for) {
            // `exit status: 3` is how the standard library shows it.
            (Some(status), _) => format!("its guest ended with {}", status.replacen(": ", " ", 1)),
            (None, Some(reason)) => reason.text.clone(),
            (None, None) => "its guest is gone".to_owned(),
        };
        let profile_key = record.profile_key.clone();
        let known = self.creation_failures.entry(profile_key).or_default();
        known
            .failures
            .record(now, FAILED_START_BACKOFF, Duration::ZERO);
        known.record_own(id, now, cause.clone(), end.output);
        let what = FailedStep::Guest;
        self.record_step(id, RunnerStep::Failed { what, cause });
    }

    /// A rebuild has ended, and nothing of its guest is left: with an image that was complete at the
    /// given moment, or with the reason why there is none.
    pub fn handle_rebuilt(
        &mut self,
        profile_key: &ProfileKey,
        outcome: Result<Timestamp, String>,
        now: Timestamp,
    ) {
        let began = self.images.build_since(profile_key);
        if outcome.is_ok() {
            if let Some(began) = began {
                self.fulfil_rebuild_order(profile_key, began);
            }
            // The reason for which runners failed may be gone.
            self.creation_failures.remove(profile_key);
        }
        self.images.finish(profile_key, outcome, now);
    }

    /// Ends the creation or destruction that is in flight for a runner; none if there is none.
    fn finish_in_flight(&mut self, id: RunnerId) -> Option<&mut RunnerRecord> {
        let record = self.durable.runners.get_mut(&id)?;
        let is_in_flight = matches!(
            record.in_flight,
            Some(InFlight::Creating | InFlight::Destroying)
        );
        if is_in_flight {
            record.in_flight = None;
        }
        is_in_flight.then_some(record)
    }
}

#[cfg(test)]
mod tests;
