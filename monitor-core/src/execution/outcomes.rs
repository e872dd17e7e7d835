//! How the making and unmaking of runners turned out.
//!
//! Owns what each outcome means: for the runner, for its reservation, and for the pace at which
//! its profile makes new ones.

use std::time::Duration;

use shared::{clock::Timestamp, registration::Deletion, secret::Secret};

use crate::{
    Monitor, RunnerId, RunnerRecord,
    state::back_off::Pauses,
    state::observed::Sighting,
    state::runner::{InFlight, MustDestroy, Unregistered},
};

/// The pauses after runners of a profile that came to nothing.
const CREATION_PAUSES: Pauses = Pauses {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
};
/// The pauses after failing to destroy a runner.
const DESTRUCTION_PAUSES: Pauses = Pauses {
    first: Duration::from_secs(5),
    longest: Duration::from_secs(300),
};

impl Monitor {
    /// GitHub has registered a new runner; its guest may have the credential from now on.
    pub fn handle_registered(&mut self, id: RunnerId, registration_id: u64, jit_config: Secret) {
        if let Some(record) = self.durable.runners.get_mut(&id) {
            record.registration_id = Some(registration_id);
            self.credentials.provide(id, jit_config);
            self.mark_dirty();
        }
    }

    /// The guest of a new runner is up.
    pub fn handle_created(&mut self, id: RunnerId, now: Timestamp) {
        if let Some(record) = self.land_runner(id) {
            record.settled_at = now;
        }
        self.guest_rhythm.hint();
    }

    /// A runner could not be made, or perhaps only by half: whatever there is of it is to go.
    /// `retry_after` is how long the other side wants to be left alone.
    pub fn handle_creation_failed(
        &mut self,
        id: RunnerId,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) {
        let Some(record) = self.land_runner(id) else {
            return;
        };
        record.settled_at = now;
        record.must_destroy = Some(MustDestroy::PartiallyCreated);
        let profile_key = record.profile_key.clone();
        let back_off = self.creation_back_offs.entry(profile_key).or_default();
        back_off.fail(now, CREATION_PAUSES, retry_after.unwrap_or_default());
        // An unanswered request may have registered it all the same.
        self.registration_rhythm.hint();
        self.mark_dirty();
    }

    /// GitHub's answer to the first half of a destruction. The second half, the guest, may only
    /// follow if this says so.
    pub fn handle_unregistered(
        &mut self,
        id: RunnerId,
        deletion: Deletion,
        now: Timestamp,
    ) -> bool {
        let Some(record) = self.durable.runners.get_mut(&id) else {
            return false;
        };
        match deletion {
            Deletion::Deleted => record.unregistered = Some(Unregistered::Unused),
            Deletion::NotThere => record.unregistered = Some(Unregistered::Used),
            Deletion::Busy => {
                record.flight = None;
                record.found_busy_at = Some(now);
                if self.observed.guest(id, record) == Sighting::Absent {
                    // It cannot finish its job; GitHub notices that after a while.
                    record
                        .destroy_back_off
                        .fail(now, DESTRUCTION_PAUSES, Duration::ZERO);
                }
                self.registration_rhythm.hint();
                self.note_used_reservations();
            }
        }
        self.mark_dirty();
        deletion != Deletion::Busy
    }

    /// Half of a destruction, or all of it, did not work. `retry_after` is how long the other
    /// side wants to be left alone.
    pub fn handle_destruction_failed(
        &mut self,
        id: RunnerId,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) {
        if let Some(record) = self.land_runner(id) {
            let at_least = retry_after.unwrap_or_default();
            record
                .destroy_back_off
                .fail(now, DESTRUCTION_PAUSES, at_least);
        }
    }

    /// Nothing is left of a runner.
    pub fn handle_destroyed(&mut self, id: RunnerId, now: Timestamp) {
        let Some(record) = self.durable.runners.remove(&id) else {
            return;
        };
        self.removed.insert(id, now);
        self.credentials.forget(id);
        self.note_runner_gone(id, now);
        self.note_override_progress();
        self.record_failed_start(&record, now);
        self.mark_dirty();
    }

    /// A runner that came to nothing by itself makes its profile slower. Otherwise one whose
    /// guests end at once would register new ones as fast as GitHub answers.
    fn record_failed_start(&mut self, record: &RunnerRecord, now: Timestamp) {
        let had_its_job = record.unregistered == Some(Unregistered::Used);
        let was_our_wish = record.must_destroy.is_some() || self.policy.destroys_all;
        if record.came_online || had_its_job || was_our_wish {
            return;
        }
        let back_off = self
            .creation_back_offs
            .entry(record.profile_key.clone())
            .or_default();
        back_off.fail(now, CREATION_PAUSES, Duration::ZERO);
    }

    /// What was being done to a runner has ended.
    fn land_runner(&mut self, id: RunnerId) -> Option<&mut RunnerRecord> {
        let record = self.durable.runners.get_mut(&id)?;
        let is_landing = matches!(
            record.flight,
            Some(InFlight::Creating | InFlight::Destroying)
        );
        if is_landing {
            record.flight = None;
        }
        is_landing.then_some(record)
    }
}

#[cfg(test)]
mod tests;
