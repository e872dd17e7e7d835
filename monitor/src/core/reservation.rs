//! Runners that are held for a job.
//!
//! Owns what a reservation is and how it comes to its end. How one is made is in `take`, how one
//! is given back in `release`.
//!
//! ```text
//!            take                    a runner became busy
//!  (nothing) ────▶ Held ───────────────────────────────────▶ Used
//!     ▲             │                                         │ all its runners
//!     └─────────────┤ released, or all its runners            ▼ are gone
//!                   │ were destroyed unused                 Served ──▶ forgotten after a day
//!                   │                                         ▲
//!                   └─────────────────────────────────────────┘
//!                     all its runners are gone, one of them used
//! ```

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use shared::{
    clock::Timestamp,
    values::{Count, ProfileKey, QualifiedRepo, RunId, UniqueId},
    wire::{ReservationState, RunnerStatus},
};

use super::{Monitor, RunnerId, runner::Unregistered};

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
    /// The attempt that made it.
    pub first_attempt: u64,
    /// The latest attempt that asked for it.
    pub attempt: u64,
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
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Fence {
    /// Takes up to this attempt are refused.
    pub attempt: u64,
    /// When this was last raised.
    pub set_at: Timestamp,
}

impl Reservation {
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
pub(super) fn reserved_for(unique_id: &UniqueId) -> String {
    format!("reserved-for:{unique_id}")
}

impl Monitor {
    /// For which reservation each reserved runner is held. Those that are served hold nothing.
    pub(super) fn reserved_runners(&self) -> BTreeMap<RunnerId, &UniqueId> {
        let open = self.intent.reservations.iter();
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
    pub(super) fn note_used_reservations(&mut self) {
        let statuses = self.statuses();
        let is_busy = |id: &RunnerId| statuses.get(id) == Some(&RunnerStatus::Busy);
        let used: Vec<UniqueId> = (self.intent.reservations.iter())
            .filter(|(_, reservation)| reservation.state == ReservationState::Held)
            .filter(|(_, reservation)| reservation.runners.iter().any(|it| is_busy(&it.id)))
            .map(|(unique_id, _)| unique_id.clone())
            .collect();
        for unique_id in used {
            self.set_reservation_state(&unique_id, ReservationState::Used);
        }
    }

    fn set_reservation_state(&mut self, unique_id: &UniqueId, state: ReservationState) {
        if let Some(reservation) = self.intent.reservations.get_mut(unique_id) {
            reservation.state = state;
            self.touch();
        }
    }

    /// Nothing is left of the runner `id`: what does that mean for the reservation it was in?
    pub(super) fn note_runner_gone(
        &mut self,
        id: RunnerId,
        unregistered: Option<Unregistered>,
        now: Timestamp,
    ) {
        let Some(unique_id) = self.reserved_runners().get(&id).map(|&it| it.clone()) else {
            return;
        };
        if unregistered == Some(Unregistered::Used) {
            self.set_reservation_state(&unique_id, ReservationState::Used);
        }
        let Some(reservation) = self.intent.reservations.get_mut(&unique_id) else {
            return;
        };
        if !reservation.has_labels {
            // Nobody has been told of it, and what is left of it is not what was asked for.
            return self.end_reservation(&unique_id, false);
        }
        let runners = &self.intent.runners;
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
            self.intent.reservations.remove(&unique_id);
        }
        self.touch();
    }

    /// Forgets what was over a day ago, and the oldest of what is too much.
    pub(super) fn forget_old_reservations(&mut self, now: Timestamp) {
        let served = self.intent.reservations.iter();
        let served = served.filter_map(|(unique_id, it)| Some((it.served_at?, unique_id.clone())));
        for unique_id in too_old(served.collect(), now) {
            self.intent.reservations.remove(&unique_id);
            self.touch();
        }
        let fences = self.intent.fences.iter();
        let fences = fences.map(|(unique_id, fence)| (fence.set_at, unique_id.clone()));
        for unique_id in too_old(fences.collect(), now) {
            self.intent.fences.remove(&unique_id);
            self.touch();
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
