//! Reservations: runners that are held for a job.
//!
//! Responsible for what a reservation is. How one is made is in `reservations::take`, how one ends in
//! `reservations::release` and `reservations::progress`.
//!
//! ```text
//!            take             GitHub shows one of its runners with a job
//!  (none)    ────▶ Held ───────────────────────────────────▶ Used
//!     ▲             │ │                                       │ all its runners are gone
//!     │             │ └──────────────────────────────────┐    ▼
//!     └─────────────┘   only after all guests have ended └▶ Finished ──▶ forgotten after a day
//!       released, or all its runners
//!       are gone, as after monitor_reserve_timeout
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{FencingToken, UniqueId},
    wire::ReservationState,
};

use super::{
    fencing::LatestTokens,
    runner::{RunnerRecord, WorkflowRun},
    runner_event::RunnerJob,
};
use crate::RunnerId;

/// Token of all callers that are not queues.
const NO_QUEUE: FencingToken = FencingToken {
    instance: 0,
    sequence: 0,
};

/// Runners that are held for a job, or were.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub job: JobSpec,
    /// When the job was enqueued, according to the latest ticket that it was taken for. None if no
    /// take had that field.
    pub enqueued_at: Option<Timestamp>,
    /// What the queue sent with the take that `enqueued_at` is from.
    pub proof: Option<String>,
    /// When it was made.
    pub since: Timestamp,
    /// The queue instances that were granted it and have not released it, and the latest token of
    /// each. It ends when the last of them has released it, because each may have handed it out. A
    /// restarted queue is another instance: what the earlier one may have handed out is kept until
    /// `monitor_reserve_timeout`.
    pub granted_to: LatestTokens,
    pub state: ReservationState,
    /// When it became finished.
    pub finished_at: Option<Timestamp>,
    /// All runners that were granted, including those that are gone.
    pub runners: Vec<ReservedRunner>,
    /// Whether a take did not state that its client reads labels from the response. Then runners with
    /// a label of their own need the labels of the reservation, too.
    pub labels_requested: bool,
    /// Whether its runners have the labels that a workflow selects them by; if not, they have to be
    /// added at GitHub before the take is answered.
    pub has_labels: bool,
    /// Whether the runners' own labels may have been delivered although labels are still to be added:
    /// the takes of the job did not agree about them.
    pub own_labels_known: bool,
    /// The first revision that contains it; 0 if an earlier process made it.
    pub made_at_revision: u64,
}

/// One runner of a reservation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReservedRunner {
    pub id: RunnerId,
    /// The label that a workflow selects it by.
    pub label: String,
    /// When its creation began; reported also after the runner itself is gone.
    pub created_at: Timestamp,
}

impl Reservation {
    /// Whether it is finished, and a take with this `enqueued_at` is for a later job of the same
    /// name. If either time is unknown, the take is for the same job.
    pub fn is_of_earlier_job(&self, enqueued_at: Option<Timestamp>) -> bool {
        let is_later = match (self.enqueued_at, enqueued_at) {
            (Some(known), Some(enqueued_at)) => enqueued_at > known,
            _ => false,
        };
        self.state == ReservationState::Finished && is_later
    }

    /// Records that a take was granted it. Returns whether that changed anything.
    pub fn grant(
        &mut self,
        token: Option<FencingToken>,
        enqueued_at: Option<Timestamp>,
        proof: Option<&str>,
    ) -> bool {
        let known = self.enqueued_at;
        self.enqueued_at = known.max(enqueued_at);
        // It proves the time of enqueueing as well, so it is of no use with another one.
        if self.enqueued_at != known || (enqueued_at == known && proof.is_some()) {
            self.proof = proof.map(str::to_owned);
        }
        let is_new = self.granted_to.record(token.unwrap_or(NO_QUEUE));
        is_new || self.enqueued_at != known
    }

    /// Records that a take needs the labels of the reservation at GitHub. Returns whether they have to
    /// be added: no take needed them before, and some of its runners do not have them.
    pub fn request_labels(&mut self, runners: &BTreeMap<RunnerId, RunnerRecord>) -> bool {
        let has_own_label = |reserved: &ReservedRunner| {
            let record = runners.get(&reserved.id);
            record.is_some_and(|record| record.own_label.is_some())
        };
        let is_needed = !self.labels_requested
            && self.state == ReservationState::Held
            && self.runners.iter().any(has_own_label);
        if is_needed {
            self.own_labels_known = self.has_labels;
            self.labels_requested = true;
            self.has_labels = false;
        }
        is_needed
    }

    /// Its job, for the history of its runners.
    pub fn runner_job(&self) -> RunnerJob {
        RunnerJob {
            unique_id: Some(self.job.unique_id.clone()),
            qualified_repo: self.job.qualified_repo.clone(),
            run_id: self.job.run_id,
        }
    }

    /// The run of its job.
    pub fn workflow_run(&self) -> WorkflowRun {
        WorkflowRun {
            qualified_repo: self.job.qualified_repo.clone(),
            run_id: self.job.run_id,
        }
    }

    /// Whether a runner of it needs the labels of the reservation at GitHub.
    pub fn needs_labels(&self, record: &RunnerRecord) -> bool {
        self.labels_requested || record.own_label.is_none()
    }

    /// Highest sequence of the tokens that it was granted to, which older queues read from reports;
    /// 0 if only callers that are not queues have it.
    pub fn highest_sequence(&self) -> u64 {
        let sequences = self.granted_to.iter().map(|token| token.sequence);
        sequences.max().unwrap_or_default()
    }

    /// Whether labels of it may be at GitHub although `has_labels` is false: an earlier process may have
    /// ended while they were being added.
    pub fn may_have_been_labelled(&self) -> bool {
        self.made_at_revision == 0
    }

    /// The labels that are added at GitHub, by one request per runner, if a workflow selects the runner
    /// by them: the runner has no label of its own, or the client does not read that one.
    pub fn github_labels(&self) -> Vec<String> {
        let JobSpec {
            unique_id,
            qualified_repo,
            run_id,
            ..
        } = &self.job;
        vec![
            reserved_for(unique_id),
            format!("reserved-since:{}", self.since.as_seconds()),
            format!("reserved-by:{qualified_repo}/actions/runs/{run_id}"),
        ]
    }
}

/// The label that a workflow selects a runner by if it does not use the runner's own one.
pub fn reserved_for(unique_id: &UniqueId) -> String {
    format!("reserved-for:{unique_id}")
}

/// Form of the reservations in the state file. The key of each is its job's `unique_id`, which the
/// value does not repeat. The names are those of format version 1.
pub(super) mod stored {
    use serde::{Deserializer, Serializer};
    use shared::values::{Count, ProfileKey, QualifiedRepo, RunId};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Stored {
        profile_key: ProfileKey,
        count: Count,
        qualified_repo: QualifiedRepo,
        run_id: RunId,
        /// Absent in files of older releases.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        enqueued_at: Option<Timestamp>,
        /// Absent in files of older releases.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<String>,
        since: Timestamp,
        #[serde(rename = "claims")]
        granted_to: LatestTokens,
        state: ReservationState,
        #[serde(rename = "served_at")]
        finished_at: Option<Timestamp>,
        runners: Vec<ReservedRunner>,
        /// Absent in files of older releases.
        #[serde(default, skip_serializing_if = "is_false")]
        labels_requested: bool,
        has_labels: bool,
        /// Absent in files of older releases.
        #[serde(default, skip_serializing_if = "is_false")]
        own_labels_known: bool,
    }

    fn is_false(flag: &bool) -> bool {
        !flag
    }

    /// Writes all reservations.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        reservations: &BTreeMap<UniqueId, Reservation>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(reservations.iter().map(|(unique_id, reservation)| {
            let Reservation { job, .. } = reservation.clone();
            let stored = Stored {
                profile_key: job.profile_key,
                count: job.count,
                qualified_repo: job.qualified_repo,
                run_id: job.run_id,
                enqueued_at: reservation.enqueued_at,
                proof: reservation.proof.clone(),
                since: reservation.since,
                granted_to: reservation.granted_to.clone(),
                state: reservation.state,
                finished_at: reservation.finished_at,
                runners: reservation.runners.clone(),
                labels_requested: reservation.labels_requested,
                has_labels: reservation.has_labels,
                own_labels_known: reservation.own_labels_known,
            };
            (unique_id, stored)
        }))
    }

    /// Reads all reservations.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<UniqueId, Reservation>, D::Error> {
        let stored = BTreeMap::<UniqueId, Stored>::deserialize(deserializer)?;
        let reservations = stored.into_iter().map(|(unique_id, stored)| {
            let job = JobSpec {
                unique_id: unique_id.clone(),
                profile_key: stored.profile_key,
                count: stored.count,
                qualified_repo: stored.qualified_repo,
                run_id: stored.run_id,
            };
            let reservation = Reservation {
                job,
                enqueued_at: stored.enqueued_at,
                proof: stored.proof,
                since: stored.since,
                granted_to: stored.granted_to,
                state: stored.state,
                finished_at: stored.finished_at,
                runners: stored.runners,
                labels_requested: stored.labels_requested,
                has_labels: stored.has_labels,
                own_labels_known: stored.own_labels_known,
                made_at_revision: 0,
            };
            (unique_id, reservation)
        });
        Ok(reservations.collect())
    }
}
