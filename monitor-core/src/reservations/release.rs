//! Releases: giving runners back, because the job does not want them, because labels could not be
//! added, or because the reservation could not be saved.
//!
//! Responsible for the rules of fencing tokens. Messages of a queue can be lost, late, repeated and
//! reordered; the token that each carries shows which of them are outdated.

use shared::{
    clock::Timestamp,
    values::{FencingToken, UniqueId},
    wire::ReservationState,
};

use crate::{
    Monitor,
    state::{
        fencing::{Fence, LatestTokens},
        runner::{InFlight, MustDestroy},
        runner_event::RunnerStep,
    },
};

/// What becomes of the runners of a reservation that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They are idle again.
    Idle,
    /// Those with a label of their own are destroyed, because it has been given to a job. The other
    /// labels are removed.
    DestroyedIfLabelIsKnown,
    Destroyed,
}

impl Monitor {
    /// Ends a reservation that is not used yet. Its runners are idle again or, if `destroys`,
    /// destroyed, because a workflow may know their labels. Harmless if repeated.
    ///
    /// With a token:
    /// - A release that is older than the latest take of the same queue instance changes nothing.
    /// - If several instances were granted the reservation, it ends with the last release.
    /// - Takes with this token or an earlier one of the same instance, which may still arrive, are
    ///   refused from now on.
    ///
    /// Without a token, as sent by people, it ends the reservation whatever its tokens. Runners with a
    /// label of their own are destroyed then: the job that was given the label may still use it.
    ///
    /// Returns the revision that has to be on disk before the release may be confirmed.
    pub fn release(
        &mut self,
        unique_id: &UniqueId,
        token: Option<FencingToken>,
        destroys: bool,
        now: Timestamp,
    ) -> u64 {
        if self.is_outdated(unique_id, token) {
            return self.revision();
        }
        match token {
            Some(token) => {
                if let Some(reservation) = self.durable.reservations.get_mut(unique_id) {
                    reservation.granted_to.remove(token.instance);
                }
                self.raise_fence(unique_id, token, now);
            }
            None => {
                let reservation = self.durable.reservations.get_mut(unique_id);
                let granted_to = reservation.map(|it| std::mem::take(&mut it.granted_to));
                for token in granted_to.unwrap_or_default().iter() {
                    self.raise_fence(unique_id, token, now);
                }
            }
        }
        let reservation = self.durable.reservations.get(unique_id);
        if reservation.is_some_and(|reservation| destroys || reservation.granted_to.is_empty()) {
            let fate = match token {
                _ if destroys => Fate::Destroyed,
                // A queue knows that it has given the label to no client.
                Some(_) => Fate::Idle,
                None => Fate::DestroyedIfLabelIsKnown,
            };
            self.end_reservation(unique_id, fate);
        }
        self.revision()
    }

    /// Whether a release comes too late: a job has started on the reservation, or its queue instance
    /// was granted the reservation again since.
    fn is_outdated(&self, unique_id: &UniqueId, token: Option<FencingToken>) -> bool {
        let reservation = self.durable.reservations.get(unique_id);
        reservation.is_some_and(|reservation| {
            let granted_to = &reservation.granted_to;
            let is_granted_again = token.is_some_and(|token| granted_to.has_later_than(token));
            reservation.state != ReservationState::Held || is_granted_again
        })
    }

    fn raise_fence(&mut self, unique_id: &UniqueId, token: FencingToken, now: Timestamp) {
        let fence = self.durable.fences.entry(unique_id.clone());
        let fence = fence.or_insert_with(|| Fence {
            released: LatestTokens::default(),
            set_at: now,
        });
        fence.raise(token, now);
        self.mark_dirty();
        self.forget_old_reservations(now);
    }

    /// Ends a reservation: its runners are no longer held.
    pub(crate) fn end_reservation(&mut self, unique_id: &UniqueId, fate: Fate) {
        let Some(reservation) = self.durable.reservations.remove(unique_id) else {
            return;
        };
        for reserved in &reservation.runners {
            let Some(record) = self.durable.runners.get_mut(&reserved.id) else {
                continue;
            };
            // While labels are being added, some of them may be there already.
            let may_have_labels = reservation.has_labels
                || record.in_flight == Some(InFlight::Labelling)
                || reservation.may_have_been_labelled();
            // Its workflow may know a label and start a job nevertheless.
            record.workflow_run = Some(reservation.workflow_run());
            if reservation.needs_labels(record) && may_have_labels {
                record.labels_to_remove = reservation.github_labels();
            }
            let is_destroyed = match fate {
                Fate::Idle => false,
                Fate::DestroyedIfLabelIsKnown => record.own_label.is_some(),
                Fate::Destroyed => true,
            };
            if is_destroyed {
                record.must_destroy = Some(MustDestroy::Released);
            }
            let job = Some(reservation.runner_job());
            self.record_step_of_job(reserved.id, job, RunnerStep::Released);
        }
        self.mark_dirty();
    }

    /// The durable state could not be saved: reservations that are in memory only end, because their
    /// takes must not be confirmed.
    pub fn handle_save_failed(&mut self) {
        let unsaved: Vec<UniqueId> = (self.durable.reservations.iter())
            .filter(|(_, it)| it.state == ReservationState::Held)
            .filter(|(_, it)| it.made_at_revision > self.saved_revision())
            .map(|(unique_id, _)| unique_id.clone())
            .collect();
        for unique_id in unsaved {
            self.end_reservation(&unique_id, Fate::Idle);
        }
    }
}

#[cfg(test)]
mod tests;
