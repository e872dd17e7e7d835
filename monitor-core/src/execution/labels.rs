//! The outcomes of adding labels to runners and removing them.

use shared::values::UniqueId;

use crate::{
    Monitor, RunnerId,
    reservations::release::Fate,
    state::runner::{InFlight, MustDestroy},
};

impl Monitor {
    /// The labels of a reservation were added to its runners, or adding one of them failed. Then the
    /// reservation is useless, and ends; its runners are destroyed if their own labels may be known.
    pub fn handle_labels_added(&mut self, unique_id: &UniqueId, ids: &[RunnerId], is_done: bool) {
        let reservation = self.durable.reservations.get_mut(unique_id);
        // It may have been released in the meantime, and made again with other runners.
        let reservation = reservation.filter(|it| it.runners.iter().map(|it| &it.id).eq(ids));
        match reservation {
            Some(reservation) if is_done => reservation.has_labels = true,
            Some(reservation) => {
                let fate = match reservation.own_labels_known {
                    true => Fate::Destroyed,
                    false => Fate::Idle,
                };
                self.end_reservation(unique_id, fate);
            }
            None => {}
        }
        // Only now: `end_reservation` has to see that labels were in flight.
        for id in ids {
            self.finish_labelling(*id);
        }
        self.mark_dirty();
    }

    /// The labels of an earlier reservation were removed from a runner, or that failed.
    pub fn handle_labels_removed(&mut self, id: RunnerId, is_done: bool) {
        self.finish_labelling(id);
        if let Some(record) = self.durable.runners.get_mut(&id) {
            if is_done {
                record.labels_to_remove.clear();
                // Only later lists show whether GitHub has assigned a job by them.
                record.may_be_assigned = true;
                record.free_since = None;
            } else {
                record.must_destroy = Some(MustDestroy::LeftoverLabels);
            }
        }
        self.mark_dirty();
    }

    fn finish_labelling(&mut self, id: RunnerId) {
        if let Some(record) = self.durable.runners.get_mut(&id)
            && record.in_flight == Some(InFlight::Labelling)
        {
            record.in_flight = None;
        }
    }
}

#[cfg(test)]
mod tests;
