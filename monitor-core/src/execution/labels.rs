//! Labels that come and go with a reservation, for runners that have none of their own.
//!
//! Owns what the success or failure of a change of labels means. Which labels there are stands in
//! `reservation`; the change itself is a task of the plan.

use shared::values::UniqueId;

use crate::{
    Monitor, RunnerId,
    state::runner::{InFlight, MustDestroy},
};

impl Monitor {
    /// GitHub has the labels of a reservation on these runners, or it could not be told all of
    /// them: then the reservation is worth nothing, and ends.
    pub fn handle_labels_added(&mut self, unique_id: &UniqueId, ids: &[RunnerId], is_done: bool) {
        let reservation = self.durable.reservations.get_mut(unique_id);
        // It may have been released in the meantime, and made again with others.
        let reservation = reservation.filter(|it| it.runners.iter().map(|it| &it.id).eq(ids));
        match reservation {
            Some(reservation) if is_done => reservation.has_labels = true,
            Some(_) => self.end_reservation(unique_id, false),
            None => {}
        }
        // Only now: the end of a reservation has to see that labels were on their way.
        for id in ids {
            self.land(*id);
        }
        self.mark_dirty();
    }

    /// The labels of an earlier reservation are gone from a runner, or will not go.
    pub fn handle_labels_removed(&mut self, id: RunnerId, is_done: bool) {
        self.land(id);
        if let Some(record) = self.durable.runners.get_mut(&id) {
            if is_done {
                record.labels_to_remove.clear();
            } else {
                record.must_destroy = Some(MustDestroy::LeftoverLabels);
            }
        }
        self.mark_dirty();
    }

    /// What was being done with the labels of a runner has ended.
    fn land(&mut self, id: RunnerId) {
        if let Some(record) = self.durable.runners.get_mut(&id)
            && record.flight == Some(InFlight::Labelling)
        {
            record.flight = None;
        }
    }
}

#[cfg(test)]
mod tests;
