//! Runners that are held for a job.
//!
//! Owns what a reservation is and how it comes to its end. How one is made is in `take`, how one
//! is given back in `release`.
//!
//! ```text
//!            take             one of its runners is seen busy
//!  (nothing) ────▶ Held ───────────────────────────────────▶ Used
//!     ▲             │                                         │ all its runners are gone
//!     └─────────────┘                                         ▼
//!       released, or all its runners                       Served ──▶ forgotten after a day
//!       are gone, as after monitor_reserve_timeout
//! ```

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{FencingToken, UniqueId},
    wire::{ReservationState, RunnerStatus},
};

use crate::{Monitor, RunnerId, Take};

/// How long what is over is remembered.
const MEMORY: Duration = Duration::from_secs(24 * 3600);
/// The most reservations that are over, and the most fences, that are remembered. A host serves
/// some hundred jobs a day.
const REMEMBERED_MAX: usize = 2000;

/// Runners that are held for a job, or were.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// The job.
    pub job: JobSpec,
    /// When the job was enqueued, by the latest ticket that a take was for. None if no take had
    /// that field.
    pub enqueued_at: Option<Timestamp>,
    /// When it was made.
    pub since: Timestamp,
    /// The queues that were given it and have not released it, and the latest attempt of each.
    /// It ends when the last of them releases it: any may have handed it out. A queue that was
    /// restarted is another queue, so what the one before may have handed out is left to its
    /// deadline.
    pub claims: BTreeMap<u64, u64>,
    /// How far it has come.
    pub state: ReservationState,
    /// Since when it is served.
    pub served_at: Option<Timestamp>,
    /// The runners that were given, also those that are gone.
    pub runners: Vec<ReservedRunner>,
    /// Whether a workflow can use the labels of the runners; if not, GitHub has to be told them.
    pub has_labels: bool,
    /// The revision of the intent that first contained it.
    pub made_at_revision: u64,
}

/// One runner of a reservation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReservedRunner {
    /// Which one.
    pub id: RunnerId,
    /// What a workflow asks GitHub for to get it.
    pub label: String,
    /// When its creation began; told again when the runner itself is gone.
    pub created_at: Timestamp,
}

/// A moment in the attempts for one `unique_id` before which nothing may have an effect any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fence {
    /// Of each queue, up to which attempt its takes are refused.
    pub attempts: BTreeMap<u64, u64>,
    /// When this was last raised.
    pub set_at: Timestamp,
}

/// How many queues are told apart for one `unique_id`. There is one, or two for a moment.
const QUEUES_MAX: usize = 16;
/// Stands for those who do not count their attempts.
const NOBODY: FencingToken = FencingToken {
    instance: 0,
    sequence: 0,
};

impl Fence {
    /// Whether this attempt comes too late.
    pub fn stops(&self, attempt: FencingToken) -> bool {
        self.attempts
            .get(&attempt.instance)
            .is_some_and(|&latest| attempt.sequence <= latest)
    }

    /// Stops this attempt and those before it.
    pub fn raise(&mut self, attempt: FencingToken, now: Timestamp) {
        raise(&mut self.attempts, attempt);
        self.set_at = now;
    }
}

/// Notes an attempt, unless a later one of the same queue is known. Says whether it was news.
fn raise(latest: &mut BTreeMap<u64, u64>, attempt: FencingToken) -> bool {
    let is_known = latest
        .get(&attempt.instance)
        .is_some_and(|&number| attempt.sequence <= number);
    if !is_known && (latest.len() < QUEUES_MAX || latest.contains_key(&attempt.instance)) {
        latest.insert(attempt.instance, attempt.sequence);
    }
    !is_known
}

impl Reservation {
    /// Whether a take is for this job, and not for another one of the same name.
    pub fn is_for(&self, take: &Take) -> bool {
        self.job == take.job
    }

    /// Whether it was served, and the take is for a job of the same name that was enqueued later.
    /// A job whose time of enqueueing is unknown is taken for the same one.
    pub fn is_over_for(&self, take: &Take) -> bool {
        let is_later = match (self.enqueued_at, take.enqueued_at) {
            (Some(known), Some(enqueued_at)) => enqueued_at > known,
            _ => false,
        };
        self.state == ReservationState::Served && is_later
    }

    /// Records that a take was given it. Returns whether that changed anything.
    pub fn claim(&mut self, take: &Take) -> bool {
        let known = self.enqueued_at;
        self.enqueued_at = known.max(take.enqueued_at);
        let is_news = raise(&mut self.claims, take.attempt.unwrap_or(NOBODY));
        is_news || self.enqueued_at != known
    }

    /// The number of the latest attempt that asked for it; 0 if nobody counts.
    pub fn latest_attempt(&self) -> u64 {
        self.claims.values().copied().max().unwrap_or_default()
    }

    /// The labels that tell at GitHub what a runner is held for.
    pub fn github_labels(&self, unique_id: &UniqueId) -> Vec<String> {
        vec![
            reserved_for(unique_id),
            format!("reserved-since:{}", self.since.as_seconds()),
            format!(
                "reserved-by:{}/actions/runs/{}",
                self.job.qualified_repo, self.job.run_id
            ),
        ]
    }
}

/// Form of the reservations in the state file: the key of each is its job's `unique_id`, which the
/// value does not repeat.
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
        since: Timestamp,
        claims: BTreeMap<u64, u64>,
        state: ReservationState,
        served_at: Option<Timestamp>,
        runners: Vec<ReservedRunner>,
        has_labels: bool,
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
                since: reservation.since,
                claims: reservation.claims.clone(),
                state: reservation.state,
                served_at: reservation.served_at,
                runners: reservation.runners.clone(),
                has_labels: reservation.has_labels,
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
                since: stored.since,
                claims: stored.claims,
                state: stored.state,
                served_at: stored.served_at,
                runners: stored.runners,
                has_labels: stored.has_labels,
                made_at_revision: 0,
            };
            (unique_id, reservation)
        });
        Ok(reservations.collect())
    }
}

/// The label of a reservation that a workflow asks for, where labels are added by the take.
pub(crate) fn reserved_for(unique_id: &UniqueId) -> String {
    format!("reserved-for:{unique_id}")
}

impl Monitor {
    /// For which reservation each reserved runner is held. Those that are served hold nothing.
    pub(crate) fn reserved_runners(&self) -> BTreeMap<RunnerId, &UniqueId> {
        let open = self.durable.reservations.iter();
        open.filter(|(_, reservation)| reservation.state != ReservationState::Served)
            .flat_map(|(unique_id, reservation)| {
                reservation
                    .runners
                    .iter()
                    .map(move |runner| (runner.id, unique_id))
            })
            .collect()
    }

    /// A reservation one of whose runners has its job is used. Called after every look, and when
    /// GitHub refuses to delete a busy runner.
    pub(crate) fn note_used_reservations(&mut self) {
        let statuses = self.statuses();
        let is_busy = |id: &RunnerId| statuses.get(id) == Some(&RunnerStatus::Busy);
        let used: Vec<UniqueId> = (self.durable.reservations.iter())
            .filter(|(_, reservation)| reservation.state == ReservationState::Held)
            .filter(|(_, reservation)| reservation.runners.iter().any(|it| is_busy(&it.id)))
            .map(|(unique_id, _)| unique_id.clone())
            .collect();
        for unique_id in used {
            self.set_reservation_state(&unique_id, ReservationState::Used);
        }
    }

    /// A reservation that lost a runner before it had its labels, be it to a job that did not ask
    /// for it, is not what was wanted, and nobody has been told of it.
    pub(crate) fn end_broken_reservations(&mut self) {
        let statuses = self.statuses();
        let is_lost = |id: &RunnerId| statuses.get(id) != Some(&RunnerStatus::Reserved);
        let broken: Vec<UniqueId> = (self.durable.reservations.iter())
            .filter(|(_, reservation)| !reservation.has_labels)
            .filter(|(_, reservation)| reservation.runners.iter().any(|it| is_lost(&it.id)))
            .map(|(unique_id, _)| unique_id.clone())
            .collect();
        for unique_id in broken {
            self.end_reservation(&unique_id, false);
        }
    }

    fn set_reservation_state(&mut self, unique_id: &UniqueId, state: ReservationState) {
        if let Some(reservation) = self.durable.reservations.get_mut(unique_id) {
            reservation.state = state;
            self.mark_dirty();
        }
    }

    /// Nothing is left of the runner `id`: what does that mean for the reservation it was in?
    ///
    /// Only a runner that was seen busy counts as used. One that merely went away may have had a
    /// short job, or GitHub may have dropped it: taken for unused, the worst is that a job that
    /// is over and still asks gets another runner; taken for used, a job that waits would be lost.
    pub(crate) fn note_runner_gone(&mut self, id: RunnerId, now: Timestamp) {
        let Some(unique_id) = self.reserved_runners().get(&id).map(|&it| it.clone()) else {
            return;
        };
        let Some(reservation) = self.durable.reservations.get_mut(&unique_id) else {
            return;
        };
        let runners = &self.durable.runners;
        if reservation
            .runners
            .iter()
            .any(|it| runners.contains_key(&it.id))
        {
            return;
        }
        if reservation.state == ReservationState::Used {
            reservation.state = ReservationState::Served;
            reservation.served_at = Some(now);
        } else {
            // Nobody used it, so it may be asked for again.
            self.durable.reservations.remove(&unique_id);
        }
        self.mark_dirty();
    }

    /// Forgets what was over a day ago, and the oldest of what is too much.
    pub(crate) fn forget_old_reservations(&mut self, now: Timestamp) {
        let served = self.durable.reservations.iter();
        let served = served.filter_map(|(unique_id, it)| Some((it.served_at?, unique_id.clone())));
        for unique_id in too_old(served.collect(), now) {
            self.durable.reservations.remove(&unique_id);
            self.mark_dirty();
        }
        let fences = self.durable.fences.iter();
        let fences = fences.map(|(unique_id, fence)| (fence.set_at, unique_id.clone()));
        for unique_id in too_old(fences.collect(), now) {
            self.durable.fences.remove(&unique_id);
            self.mark_dirty();
        }
    }
}

/// Those that are past [`MEMORY`] or, oldest first, beyond [`REMEMBERED_MAX`].
fn too_old(mut remembered: Vec<(Timestamp, UniqueId)>, now: Timestamp) -> Vec<UniqueId> {
    remembered.sort();
    let surplus = remembered.len().saturating_sub(REMEMBERED_MAX);
    remembered
        .into_iter()
        .enumerate()
        .filter(|(index, (moment, _))| *index < surplus || now.since(*moment) > MEMORY)
        .map(|(_, (_, unique_id))| unique_id)
        .collect()
}
