//! Giving runners back: because the job does not want them, because they could not be made ready,
//! or because the reservation never reached the disk.
//!
//! Owns the rules of attempts. Messages are lost, late, repeated and reordered on their way from
//! a queue; the attempt that each carries tells which of them still mean something.

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    values::{FencingToken, UniqueId},
    wire::ReservationState,
};

use crate::{
    Monitor,
    state::reservation::Fence,
    state::runner::{InFlight, MustDestroy},
};

impl Monitor {
    /// Ends a reservation that nobody has used; its runners are idle again, or destroyed if
    /// `destroys`, because their label may be known outside. Harmless when repeated.
    ///
    /// A release of an earlier attempt than the latest take of the same queue changes nothing,
    /// and one by a queue among several that were given it only takes back its own claim. A
    /// release with an attempt also keeps takes of that queue up to that attempt, which may still
    /// be on their way, from having an effect. A release without one, by a person, ends whatever
    /// is held.
    ///
    /// Gives the revision that has to be on disk before this may be confirmed.
    pub fn release(
        &mut self,
        unique_id: &UniqueId,
        attempt: Option<FencingToken>,
        destroys: bool,
        now: Timestamp,
    ) -> u64 {
        if self.is_overtaken(unique_id, attempt) {
            return self.revision;
        }
        if let Some(reservation) = self.durable.reservations.get_mut(unique_id) {
            match attempt {
                Some(attempt) => drop(reservation.claims.remove(&attempt.instance)),
                None => {
                    let claims = std::mem::take(&mut reservation.claims);
                    for (queue, number) in claims {
                        self.raise_fence(
                            unique_id,
                            FencingToken {
                                instance: queue,
                                sequence: number,
                            },
                            now,
                        );
                    }
                }
            }
        }
        if let Some(attempt) = attempt {
            self.raise_fence(unique_id, attempt, now);
        }
        let reservation = self.durable.reservations.get(unique_id);
        if reservation.is_some_and(|reservation| destroys || reservation.claims.is_empty()) {
            self.end_reservation(unique_id, destroys);
        }
        self.revision
    }

    /// Whether a release means nothing any more: its queue was given the reservation again since,
    /// or a job has started on it.
    fn is_overtaken(&self, unique_id: &UniqueId, attempt: Option<FencingToken>) -> bool {
        self.durable
            .reservations
            .get(unique_id)
            .is_some_and(|reservation| {
                let is_given_again = attempt.is_some_and(|attempt| {
                    reservation
                        .claims
                        .get(&attempt.instance)
                        .is_some_and(|&latest| attempt.sequence < latest)
                });
                reservation.state != ReservationState::Held || is_given_again
            })
    }

    fn raise_fence(&mut self, unique_id: &UniqueId, attempt: FencingToken, now: Timestamp) {
        let fence = self.durable.fences.entry(unique_id.clone());
        let fence = fence.or_insert_with(|| Fence {
            attempts: BTreeMap::new(),
            set_at: now,
        });
        fence.raise(attempt, now);
        self.mark_dirty();
        self.forget_old_reservations(now);
    }

    /// Takes the reservation away from its runners.
    pub(crate) fn end_reservation(&mut self, unique_id: &UniqueId, destroys: bool) {
        let Some(reservation) = self.durable.reservations.remove(unique_id) else {
            return;
        };
        for reserved in &reservation.runners {
            let Some(record) = self.durable.runners.get_mut(&reserved.id) else {
                continue;
            };
            // While GitHub is being told, some of the labels may be there already.
            let may_have_labels =
                reservation.has_labels || record.flight == Some(InFlight::Labelling);
            if record.own_label.is_none() && may_have_labels {
                record.labels_to_remove = reservation.github_labels(unique_id);
            }
            if destroys {
                record.must_destroy = Some(MustDestroy::Released);
            }
        }
        self.mark_dirty();
    }

    /// The intent is on disk up to `revision`.
    pub fn handle_saved(&mut self, revision: u64) {
        self.saved_revision = self.saved_revision.max(revision);
    }

    /// The intent could not be saved: reservations that are only in memory end here, because
    /// their takes must not be confirmed.
    pub fn handle_save_failed(&mut self) {
        let unsaved: Vec<UniqueId> = (self.durable.reservations.iter())
            .filter(|(_, it)| it.state == ReservationState::Held)
            .filter(|(_, it)| it.made_at_revision > self.saved_revision)
            .map(|(unique_id, _)| unique_id.clone())
            .collect();
        for unique_id in unsaved {
            self.end_reservation(&unique_id, false);
        }
    }
}

#[cfg(test)]
mod tests;
