//! Which labels are added to runners and removed from them.

use std::collections::BTreeMap;

use shared::wire::ReservationState;

use super::{
    plan::{Action, Plan},
    reason::Reason,
};
use crate::{Monitor, RunnerId};

impl Monitor {
    /// Adds the changes of labels that takes and releases wait for.
    pub(super) fn plan_labels(&self, to_destroy: &BTreeMap<RunnerId, Reason>, plan: &mut Plan) {
        let is_free = |id: &RunnerId| {
            let record = self.durable.runners.get(id);
            record.is_some_and(|it| it.in_flight.is_none()) && !to_destroy.contains_key(id)
        };
        for (unique_id, reservation) in &self.durable.reservations {
            let is_wanted = reservation.state == ReservationState::Held && !reservation.has_labels;
            if is_wanted && reservation.runners.iter().all(|it| is_free(&it.id)) {
                plan.add(Action::AddLabels(unique_id.clone()), Reason::Taken);
            }
        }
        for (id, record) in &self.durable.runners {
            if !record.labels_to_remove.is_empty() && is_free(id) {
                plan.add(Action::RemoveLabels(*id), Reason::Released);
            }
        }
    }
}
