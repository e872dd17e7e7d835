//! Which runners are destroyed, and why.

use std::{collections::BTreeMap, time::Duration};

use shared::{clock::Timestamp, wire::RunnerStatus};

use super::{
    plan::{Action, Plan},
    reason::Reason,
};
use crate::{
    Monitor, RunnerId,
    state::runner::{InFlight, RunnerRecord},
};

/// How long a runner that was online may be offline: GitHub's lists show that for some seconds
/// although nothing is wrong.
const OFFLINE_MAX: Duration = Duration::from_secs(60);
/// Maximum number of runners that are being destroyed at a time.
const DESTRUCTIONS_MAX: usize = 16;

impl Monitor {
    /// The runners that are to be destroyed, and why; including those for which a back-off lasts.
    pub(crate) fn runners_to_destroy(&self, now: Timestamp) -> BTreeMap<RunnerId, Reason> {
        let mut counts = self.counts();
        let reserved = self.reserved_runners();
        // Newest first: of idle runners beyond the target the newest are destroyed.
        let statuses = self.statuses().into_iter().rev();
        statuses
            .filter_map(|(id, status)| {
                let record = &self.durable.runners[&id];
                if record.in_flight.is_some() {
                    return None;
                }
                let excess = &mut counts.get_mut(&record.profile_key)?.excess_healthy;
                if status == RunnerStatus::Idle {
                    *excess = excess.checked_sub(1)?;
                    return Some((id, Reason::BeyondTarget));
                }
                let since = match reserved.get(&id) {
                    Some(unique_id) => self.durable.reservations.get(*unique_id)?.since,
                    None => record.created_at,
                };
                let waited = self.registration_schedule.observable_time(since, now);
                Some((id, self.reason_to_destroy(record, status, waited)?))
            })
            .collect()
    }

    /// `waited` is how long the runner has been reserved or, if it is not, how old it is.
    fn reason_to_destroy(
        &self,
        record: &RunnerRecord,
        status: RunnerStatus,
        waited: Duration,
    ) -> Option<Reason> {
        match status {
            RunnerStatus::Busy | RunnerStatus::Idle => None,
            RunnerStatus::Invalid | RunnerStatus::Done => Some(match record.must_destroy {
                Some(cause) => Reason::MustDestroy(cause),
                None if status == RunnerStatus::Invalid => Reason::GuestGone,
                None if record.job_completed => Reason::JobCompleted,
                None if record.not_busy_since.is_some() && record.unlisted_since.is_none() => {
                    Reason::NoLongerBusy
                }
                None => Reason::RegistrationGone,
            }),
            RunnerStatus::Reserved => {
                (waited > self.policy.reserve_timeout).then_some(Reason::ReserveTimeout)
            }
            RunnerStatus::Starting if self.policy.destroys_all => Some(Reason::DestroyAll),
            // It may reconnect: only what lists show counts, and not the time of an outage.
            RunnerStatus::Starting if record.came_online => {
                let asked_at = self.observed.registrations_asked_at();
                let since = record.offline_since?;
                (asked_at.since(since) >= OFFLINE_MAX).then_some(Reason::Offline)
            }
            RunnerStatus::Starting => {
                (waited > self.policy.start_timeout).then_some(Reason::StartTimeout)
            }
        }
    }

    /// Adds the destructions that may begin now. Returns whether runners may be created: no
    /// destruction is pending but those of stuck runners.
    pub(super) fn plan_destructions(
        &self,
        to_destroy: &BTreeMap<RunnerId, Reason>,
        now: Timestamp,
        plan: &mut Plan,
    ) -> bool {
        let mut in_flight = self.runners_in_flight(InFlight::Destroying).count();
        for (id, reason) in to_destroy {
            let record = &self.durable.runners[id];
            let is_due = record.destroy_failures.retry_at() <= now
                && !self.may_have_had_unseen_job(*id, record);
            if is_due && self.observed.knows_registration(record) && in_flight < DESTRUCTIONS_MAX {
                let action = Action::Destroy(*id, record.profile_key.clone());
                plan.add(action, reason.clone());
                in_flight += 1;
            }
        }
        !self.has_pending_destructions(to_destroy)
    }

    /// Whether a runner is still to be destroyed, or is being destroyed; those that are stuck do not count.
    pub(super) fn has_pending_destructions(&self, to_destroy: &BTreeMap<RunnerId, Reason>) -> bool {
        let planned = to_destroy.keys().map(|id| &self.durable.runners[id]);
        let in_flight = self.runners_in_flight(InFlight::Destroying);
        !planned.chain(in_flight).all(RunnerRecord::is_stuck)
    }

    pub(super) fn runners_in_flight(
        &self,
        in_flight: InFlight,
    ) -> impl Iterator<Item = &RunnerRecord> {
        let records = self.durable.runners.values();
        records.filter(move |record| record.in_flight == Some(in_flight))
    }
}
