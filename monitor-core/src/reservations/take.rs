//! Takes: reserving runners for a job. All it needs or none, and the same ones for a repeated take.
//!
//! Responsible for which job gets which runner. The caller answers only once the reservation is on
//! disk, which it knows by the revision that it is given.

use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{FencingToken, ProfileKey, UniqueId},
    wire::{ReservationState, RunnerStatus, TakenRunner},
};

use crate::{
    Monitor, RunnerId,
    state::{
        fencing::LatestTokens,
        reservation::{Reservation, ReservedRunner, reserved_for},
        runner_event::RunnerStep,
    },
};

/// A request for runners.
#[derive(Clone, Debug)]
pub struct Take {
    /// The job. A repeated take for the same job gets the same runners.
    pub job: JobSpec,
    /// Orders this take among those of the same queue instance. None for callers that are not
    /// queues: their takes are never outdated.
    pub token: Option<FencingToken>,
    /// When the job was enqueued: distinguishes it from an earlier job of the same name. None for
    /// callers that are not queues, and for older queues.
    pub enqueued_at: Option<Timestamp>,
    /// What the queue recognises its own reservations by. Kept and reported, never interpreted.
    pub proof: Option<String>,
    /// Whether the client reads the label of its runners from the response. If not, its workflow
    /// selects them by `reserved-for:<unique_id>`, so they get that label before the response.
    pub labels_from_response: bool,
}

/// Why a take is refused. It has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeRefusal {
    /// Its token, or a later one, has been released.
    OutdatedToken,
    /// The `unique_id` holds runners for a job with other parameters.
    OtherParameters,
    /// The job has used its runners.
    Finished,
    UnknownProfile,
    /// The runners are not known yet.
    NotReady,
    /// There are not enough idle runners.
    NoCapacity,
    /// An operator has drained the server.
    Drained,
}

/// What became of a take that was granted a reservation.
#[derive(Clone, Debug, PartialEq)]
pub enum TakeOutcome {
    /// The runners, in the order in which they were reserved.
    Runners(Vec<TakenRunner>),
    /// Labels are still being added to the runners.
    AwaitingLabels,
    /// The reservation has ended: it was released, or could not be saved or labelled.
    Ended,
}

impl Monitor {
    /// Reserves runners, the oldest first, or finds those that are reserved already.
    ///
    /// Returns the revision that has to be on disk before
    /// [`take_outcome`](Self::take_outcome) may be sent.
    ///
    /// # Errors
    /// See [`TakeRefusal`].
    pub fn take(&mut self, take: Take, now: Timestamp) -> Result<u64, TakeRefusal> {
        let fence = self.durable.fences.get(&take.job.unique_id);
        if fence.is_some_and(|fence| take.token.is_some_and(|token| fence.released.covers(token))) {
            return Err(TakeRefusal::OutdatedToken);
        }
        if let Some(reservation) = self.durable.reservations.get(&take.job.unique_id)
            && !reservation.is_of_earlier_job(take.enqueued_at)
        {
            return self.take_again(&take);
        }
        if !self.policy.profiles.contains_key(&take.job.profile_key) {
            return Err(TakeRefusal::UnknownProfile);
        }
        if !self.observed.is_complete() {
            return Err(TakeRefusal::NotReady);
        }
        if self.drained().is_some() {
            return Err(TakeRefusal::Drained);
        }
        let idle = self.idle_runners(&take.job.profile_key);
        let chosen = idle
            .get(..take.job.count.get())
            .ok_or(TakeRefusal::NoCapacity)?;
        self.mark_dirty();
        let reservation = self.reserve(&take, chosen, now);
        let job = reservation.runner_job();
        for reserved in &reservation.runners {
            if let Some(record) = self.durable.runners.get_mut(&reserved.id) {
                record.workflow_run = None;
            }
            self.record_step_of_job(reserved.id, Some(job.clone()), RunnerStep::Reserved);
        }
        self.durable
            .reservations
            .insert(take.job.unique_id, reservation);
        Ok(self.revision())
    }

    fn take_again(&mut self, take: &Take) -> Result<u64, TakeRefusal> {
        let Some(reservation) = self.durable.reservations.get_mut(&take.job.unique_id) else {
            return Err(TakeRefusal::NoCapacity);
        };
        let runners = &self.durable.runners;
        if reservation.job != take.job {
            return Err(TakeRefusal::OtherParameters);
        }
        if reservation.state == ReservationState::Finished {
            return Err(TakeRefusal::Finished);
        }
        let is_new_grant = reservation.grant(take.token, take.enqueued_at, take.proof.as_deref());
        let needs_labels = !take.labels_from_response && reservation.request_labels(runners);
        if is_new_grant || needs_labels {
            self.mark_dirty();
        }
        Ok(self.revision())
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
        let labels_requested = !take.labels_from_response;
        let mut has_labels = !labels_requested;
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
            proof: None,
            since: now,
            granted_to: LatestTokens::default(),
            state: ReservationState::Held,
            finished_at: None,
            runners,
            labels_requested,
            has_labels,
            own_labels_known: false,
            made_at_revision: self.revision(),
        };
        reservation.grant(take.token, take.enqueued_at, take.proof.as_deref());
        reservation
    }

    /// What became of a take that was granted a reservation. To be called once the reservation is on
    /// disk.
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
