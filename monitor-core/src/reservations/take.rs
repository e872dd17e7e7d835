//! Giving runners to a job: all it asked for or none, and the same ones when it asks again.
//!
//! Owns who gets which runner. The answer may only leave once the reservation is on disk; that is
//! up to the caller, with the revision it is given.

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{FencingToken, ProfileKey, UniqueId},
    wire::{ReservationState, RunnerStatus, TakenRunner},
};

use crate::{
    Monitor, RunnerId,
    state::reservation::{Reservation, ReservedRunner, reserved_for},
};

/// A request for runners.
#[derive(Clone, Debug)]
pub struct Take {
    /// The job, and how many runners it needs, all or none. A repeated take with the same spec
    /// gets the same runners.
    pub job: JobSpec,
    /// Orders this take among those of the same queue. None for callers that are no queue: their
    /// takes are never too late.
    pub attempt: Option<FencingToken>,
    /// When the job was enqueued: distinguishes it from an earlier job of the same name. None for
    /// callers that are no queue, and for older queues.
    pub enqueued_at: Option<Timestamp>,
}

/// Why a take gives nothing. Nothing was changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeRefusal {
    /// The job was given up in this attempt or a later one.
    StaleAttempt,
    /// The job holds runners of another profile, or another number of them.
    OtherParameters,
    /// The job had its runners, and they are gone.
    Served,
    /// There is no such profile.
    UnknownProfile,
    /// The world has not been looked at yet.
    NotReady,
    /// There are not as many idle runners.
    NoCapacity,
}

/// What became of a take that was granted.
#[derive(Clone, Debug, PartialEq)]
pub enum TakeOutcome {
    /// These are the runners, in the order in which they were given.
    Runners(Vec<TakenRunner>),
    /// GitHub still has to be told the labels.
    AwaitingLabels,
    /// It has been released since, or could not be saved or labelled.
    Ended,
}

impl Monitor {
    /// Reserves runners, the oldest first, or finds those that were reserved before.
    ///
    /// Gives the revision that has to be on disk before [`taken`](Self::taken) may be told.
    ///
    /// # Errors
    /// See [`TakeRefusal`].
    pub fn take(&mut self, take: Take, now: Timestamp) -> Result<u64, TakeRefusal> {
        let fence = self.durable.fences.get(&take.job.unique_id);
        if fence.is_some_and(|fence| take.attempt.is_some_and(|it| fence.stops(it))) {
            return Err(TakeRefusal::StaleAttempt);
        }
        if let Some(reservation) = self.durable.reservations.get(&take.job.unique_id)
            && !reservation.is_over_for(&take)
        {
            return self.take_again(&take);
        }
        if !self.policy.profiles.contains_key(&take.job.profile_key) {
            return Err(TakeRefusal::UnknownProfile);
        }
        if !self.observed.is_complete() {
            return Err(TakeRefusal::NotReady);
        }
        let idle = self.idle_runners(&take.job.profile_key);
        let chosen = idle
            .get(..take.job.count.get())
            .ok_or(TakeRefusal::NoCapacity)?;
        self.mark_dirty();
        let reservation = self.reserve(&take, chosen, now);
        self.durable
            .reservations
            .insert(take.job.unique_id, reservation);
        Ok(self.revision)
    }

    fn take_again(&mut self, take: &Take) -> Result<u64, TakeRefusal> {
        let Some(reservation) = self.durable.reservations.get_mut(&take.job.unique_id) else {
            return Err(TakeRefusal::NoCapacity);
        };
        if !reservation.is_for(take) {
            return Err(TakeRefusal::OtherParameters);
        }
        if reservation.state == ReservationState::Served {
            return Err(TakeRefusal::Served);
        }
        if reservation.claim(take) {
            self.mark_dirty();
        }
        Ok(self.revision)
    }

    fn idle_runners(&self, profile_key: &ProfileKey) -> Vec<RunnerId> {
        let statuses = self.statuses().into_iter();
        statuses
            .filter(|(_, status)| *status == RunnerStatus::Idle)
            .filter(|(id, _)| self.durable.runners[id].profile_key == *profile_key)
            .map(|(id, _)| id)
            .collect()
    }

    fn reserve(&self, take: &Take, chosen: &[RunnerId], now: Timestamp) -> Reservation {
        let mut has_labels = true;
        let mut runners = Vec::with_capacity(chosen.len());
        for id in chosen {
            let record = &self.durable.runners[id];
            let label = record.own_label.clone().unwrap_or_else(|| {
                has_labels = false;
                reserved_for(&take.job.unique_id)
            });
            let created_at = record.created_at;
            runners.push(ReservedRunner {
                id: *id,
                label,
                created_at,
            });
        }
        let mut reservation = Reservation {
            job: take.job.clone(),
            enqueued_at: None,
            since: now,
            claims: BTreeMap::new(),
            state: ReservationState::Held,
            served_at: None,
            runners,
            has_labels,
            made_at_revision: self.revision,
        };
        reservation.claim(take);
        reservation
    }

    /// What a granted take comes to, now that it is on disk.
    pub fn take_outcome(&self, unique_id: &UniqueId) -> TakeOutcome {
        let Some(reservation) = self.durable.reservations.get(unique_id) else {
            return TakeOutcome::Ended;
        };
        if !reservation.has_labels {
            return TakeOutcome::AwaitingLabels;
        }
        let runners = reservation.runners.iter().map(|reserved| TakenRunner {
            id: reserved.id.0,
            runner: serde_json::to_value(self.runner_view(reserved.id, reserved.created_at))
                .expect("a runner can always be written as JSON"),
            label: Some(reserved.label.clone()),
            server: None,
        });
        TakeOutcome::Runners(runners.collect())
    }
}

#[cfg(test)]
mod tests;
