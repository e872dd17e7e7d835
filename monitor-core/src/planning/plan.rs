//! What to do next, and why: the difference between what should be and what is.
//!
//! Owns every decision about runners, and takes none of them twice: the same state gives the same
//! plan, and a plan that was carried out leaves nothing to plan. Nothing is begun with a runner
//! that something is being done to.
//!
//! Destruction comes first: while something is still to be destroyed, nothing is created. A runner
//! that cannot be destroyed after a few tries no longer holds up the others; until it is gone it
//! only counts against what the host can bear.

use std::{collections::BTreeMap, fmt, time::Duration};

use shared::{
    clock::Timestamp,
    values::{ProfileKey, UniqueId},
    wire::{ReservationState, RunnerCounts, RunnerStatus},
};

use crate::{
    Monitor, Obstacle, Reason, RunnerId,
    state::runner::{InFlight, RunnerRecord},
};

/// The most runners that are created at a time: guests that boot together slow each other down.
const CREATIONS_MAX: usize = 8;
/// The most runners that are destroyed at a time.
const DESTRUCTIONS_MAX: usize = 16;

/// What to do now. Empty when all is as it should be, or has to be waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub steps: Vec<Step>,
    /// What is wanted and cannot be had.
    pub shortfalls: Vec<Shortfall>,
}

/// One action and its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: Reason,
}

/// Something that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Register a new runner and make its guest.
    Create(RunnerId, ProfileKey),
    /// Build a new image of a profile.
    Rebuild(ProfileKey),
    /// Unregister a runner, unless it is busy, and destroy its guest.
    Destroy(RunnerId, ProfileKey),
    /// Put the labels of a reservation on its runners.
    AddLabels(UniqueId),
    /// Remove the labels of an earlier reservation from a runner.
    RemoveLabels(RunnerId),
}

/// Runners that are wanted and not created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Of which profile.
    pub profile_key: ProfileKey,
    /// How many.
    pub count: usize,
    /// Why.
    pub obstacle: Obstacle,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, reason } = self;
        match action {
            Action::Create(id, profile_key) => {
                write!(formatter, "create runner {id} ({profile_key})")
            }
            Action::Destroy(id, profile_key) => {
                write!(formatter, "destroy runner {id} ({profile_key})")
            }
            Action::Rebuild(profile_key) => write!(formatter, "rebuild the image of {profile_key}"),
            Action::AddLabels(unique_id) => write!(formatter, "add the labels of {unique_id}"),
            Action::RemoveLabels(id) => write!(formatter, "remove labels from runner {id}"),
        }?;
        write!(formatter, ": {reason}")
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            profile_key,
            count,
            obstacle,
        } = self;
        write!(formatter, "{count} more of {profile_key}: {obstacle}")
    }
}

impl Monitor {
    /// What to do now.
    pub fn plan(&self, now: Timestamp) -> Plan {
        if !self.is_ready() {
            return Plan::default();
        }
        let mut plan = Plan::default();
        let mut to_destroy = self.runners_to_destroy(now);
        self.plan_room(now, &mut to_destroy);
        let is_clear = self.plan_destructions(&to_destroy, now, &mut plan);
        self.plan_labels(&to_destroy, &mut plan);
        self.plan_creations(now, is_clear, &mut plan);
        plan
    }

    /// Says whether the way is clear for creations.
    fn plan_destructions(
        &self,
        to_destroy: &BTreeMap<RunnerId, Reason>,
        now: Timestamp,
        plan: &mut Plan,
    ) -> bool {
        let mut under_way = self.flights(InFlight::Destroying).count();
        let mut is_clear = self
            .flights(InFlight::Destroying)
            .all(RunnerRecord::is_stuck);
        for (id, reason) in to_destroy {
            let record = &self.durable.runners[id];
            is_clear &= record.is_stuck();
            let is_due = record.destroy_back_off.until() <= now;
            if is_due && self.knows_registration(*id, record) && under_way < DESTRUCTIONS_MAX {
                plan.steps.push(Step {
                    action: Action::Destroy(*id, record.profile_key.clone()),
                    reason: reason.clone(),
                });
                under_way += 1;
            }
        }
        is_clear
    }

    /// Who is to be destroyed and why, those included for whom it is not yet time.
    fn runners_to_destroy(&self, now: Timestamp) -> BTreeMap<RunnerId, Reason> {
        let mut counts = self.counts();
        let reserved = self.reserved_runners();
        // Newest first, because of those that are too many the youngest go.
        let statuses = self.statuses().into_iter().rev();
        statuses
            .filter_map(|(id, status)| {
                let record = &self.durable.runners[&id];
                if record.flight.is_some() {
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
                Some((
                    id,
                    self.reason_to_destroy(record, status, self.waited(since, now))?,
                ))
            })
            .collect()
    }

    /// For how long a runner could have been seen to come online, or to become busy: while GitHub
    /// is out of reach, nothing of that is to be seen.
    fn waited(&self, since: Timestamp, now: Timestamp) -> Duration {
        self.registration_rhythm.waited(since, now)
    }

    /// `waited` is for how long the runner has been reserved, or else since it was created.
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
                None => Reason::RegistrationGone,
            }),
            RunnerStatus::Reserved => {
                (waited > self.policy.reserve_timeout).then_some(Reason::ReserveTimeout)
            }
            RunnerStatus::Starting if self.policy.destroys_all => Some(Reason::DestroyAll),
            RunnerStatus::Starting => {
                (waited > self.policy.start_timeout).then_some(Reason::StartTimeout)
            }
        }
    }

    fn flights(&self, flight: InFlight) -> impl Iterator<Item = &RunnerRecord> {
        let records = self.durable.runners.values();
        records.filter(move |record| record.flight == Some(flight))
    }

    fn plan_labels(&self, to_destroy: &BTreeMap<RunnerId, Reason>, plan: &mut Plan) {
        let is_free = |id: &RunnerId| {
            let record = self.durable.runners.get(id);
            record.is_some_and(|it| it.flight.is_none()) && !to_destroy.contains_key(id)
        };
        for (unique_id, reservation) in &self.durable.reservations {
            let is_wanted = reservation.state == ReservationState::Held && !reservation.has_labels;
            if is_wanted && reservation.runners.iter().all(|it| is_free(&it.id)) {
                plan.steps.push(Step {
                    action: Action::AddLabels(unique_id.clone()),
                    reason: Reason::TakeOutcome,
                });
            }
        }
        for (id, record) in &self.durable.runners {
            if !record.labels_to_remove.is_empty() && is_free(id) {
                plan.steps.push(Step {
                    action: Action::RemoveLabels(*id),
                    reason: Reason::Released,
                });
            }
        }
    }

    fn plan_creations(&self, now: Timestamp, is_clear: bool, plan: &mut Plan) {
        let mut counts = self.counts();
        let mut in_use = self.resources_in_use();
        if is_clear {
            in_use = self.plan_rebuilds(now, in_use, plan);
        }
        let mut under_way = self.flights(InFlight::Creating).count();
        let mut next_id = self.durable.next_id;
        while let Some(profile_key) = most_wanting(&counts) {
            let needs = self
                .policy
                .profiles
                .get(&profile_key)
                .map(|it| it.needs)
                .unwrap_or_default();
            let after = in_use.map(|in_use| in_use + needs);
            let back_off = self
                .creation_back_offs
                .get(&profile_key)
                .copied()
                .unwrap_or_default();
            let obstacle = if !is_clear {
                Obstacle::Destructions
            } else if self.lacks_image(&profile_key) {
                Obstacle::NoImage
            } else if back_off.until() > now {
                let failure_count = back_off.failure_count();
                Obstacle::BackOff { failure_count }
            } else if under_way >= CREATIONS_MAX {
                Obstacle::Creations
            } else if after.is_none_or(|after| !after.fits_in(self.capacity())) {
                Obstacle::Capacity { needs, in_use }
            } else {
                let action = Action::Create(next_id, profile_key.clone());
                plan.steps.push(Step {
                    action,
                    reason: Reason::BelowTarget,
                });
                next_id = RunnerId(next_id.0 + 1);
                in_use = after;
                under_way += 1;
                if let Some(counts) = counts.get_mut(&profile_key) {
                    counts.healthy += 1;
                    counts.wanted -= 1;
                }
                continue;
            };
            let count = counts
                .remove(&profile_key)
                .map_or(0, |counts| counts.wanted);
            plan.shortfalls.push(Shortfall {
                profile_key,
                count,
                obstacle,
            });
        }
    }
}

/// The profile that has the smallest part of its target; of several such, the first by name. So
/// no profile gets everything where there is too little for all.
fn most_wanting(counts: &BTreeMap<ProfileKey, RunnerCounts>) -> Option<ProfileKey> {
    let wanting = counts.iter().filter(|(_, counts)| counts.wanted > 0);
    let first = wanting.min_by(|(_, one), (_, other)| {
        // one.healthy / one.target against other.healthy / other.target
        (one.healthy * other.target).cmp(&(other.healthy * one.target))
    });
    first.map(|(profile_key, _)| profile_key.clone())
}

#[cfg(test)]
mod tests;
