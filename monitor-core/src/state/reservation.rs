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
    values::{Attempt, Count, ProfileKey, QualifiedRepo, RunId, UniqueId},
    wire::{ReservationState, RunnerStatus},
};

use crate::{Monitor, RunnerId, Take};

/// How long what is over is remembered.
const MEMORY: Duration = Duration::from_secs(24 * 3600);
/// The most reservations that are over, and the most fences, that are remembered. A host serves
/// some hundred jobs a day.
const REMEMBERED_MAX: usize = 2000;

/// Runners that are held for a job, or were.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reservation {
    /// What was asked for.
    pub profile_key: ProfileKey,
    /// How many were asked for.
    pub count: Count,
    /// Who asked.
    pub qualified_repo: QualifiedRepo,
    /// Who asked.
    pub run_id: RunId,
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
    #[serde(skip)]
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
const NOBODY: Attempt = Attempt {
    queue: 0,
    number: 0,
};

impl Fence {
    /// Whether this attempt comes too late.
    pub fn stops(&self, attempt: Attempt) -> bool {
        self.attempts
            .get(&attempt.queue)
            .is_some_and(|&latest| attempt.number <= latest)
    }

    /// Stops this attempt and those before it.
    pub fn raise(&mut self, attempt: Attempt, now: Timestamp) {
        raise(&mut self.attempts, attempt);
        self.set_at = now;
    }
}

/// Notes an attempt, unless a later one of the same queue is known. Says whether it was news.
fn raise(latest: &mut BTreeMap<u64, u64>, attempt: Attempt) -> bool {
    let is_known = latest
        .get(&attempt.queue)
        .is_some_and(|&number| attempt.number <= number);
    if !is_known && (latest.len() < QUEUES_MAX || latest.contains_key(&attempt.queue)) {
        latest.insert(attempt.queue, attempt.number);
    }
    !is_known
}

impl Reservation {
    /// Whether a take is for this job, and not for another one of the same name.
    pub fn is_for(&self, take: &Take) -> bool {
        (&self.profile_key, self.count) == (&take.profile_key, take.count)
            && (&self.qualified_repo, self.run_id) == (&take.qualified_repo, take.run_id)
    }

    /// Whether it was served, and an attempt that is later than all for it is for a new job that
    /// has the same name.
    pub fn is_over_for(&self, attempt: Option<Attempt>) -> bool {
        let is_later = attempt.is_some_and(|attempt| attempt.number > self.latest_attempt());
        self.state == ReservationState::Served && is_later
    }

    /// Somebody was given it. Says whether that is news.
    pub fn claim(&mut self, attempt: Option<Attempt>) -> bool {
        raise(&mut self.claims, attempt.unwrap_or(NOBODY))
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
                self.qualified_repo, self.run_id
            ),
        ]
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
