//! Model of a server: what a monitor guarantees to a queue.
//!
//! Keeps a reservation until the last queue instance that was granted it has released it, and
//! remembers fencing tokens as fences.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Forward, ProfileReport, Release, Report, RunnerId};
use shared::{
    clock::Timestamp,
    values::{ProfileKey, UniqueId},
    wire::{ReservationReport, ReservationState},
};

/// Instance of the queue, as in fencing tokens.
pub type Instance = u64;

/// One server.
#[derive(Default)]
pub struct ModelServer {
    idle: BTreeMap<ProfileKey, BTreeSet<RunnerId>>,
    reservations: BTreeMap<UniqueId, Reservation>,
    fences: BTreeMap<(UniqueId, Instance), u64>,
    last_runner: RunnerId,
}

struct Reservation {
    profile_key: ProfileKey,
    runners: Vec<RunnerId>,
    /// The queue instances that were granted it, and the latest sequence of each.
    granted_to: BTreeMap<Instance, u64>,
    last_sequence: u64,
    enqueued_at: Timestamp,
    state: ReservationState,
}

/// Why a take is refused.
pub enum ModelRefusal {
    /// Too few runners are idle.
    NothingIdle,
    /// The job is fenced, finished, or another one of this name.
    NotThisJob,
}

/// Target of each profile on each server.
pub const TARGET: usize = 3;
/// The profiles of the model.
pub const PROFILES: [&str; 2] = ["linux", "windows"];

impl ModelServer {
    /// A new runner becomes idle, unless there are enough.
    pub fn boot(&mut self, profile: usize) {
        let key: ProfileKey = PROFILES[profile].parse().unwrap();
        let idle = self.idle.entry(key).or_default();
        if idle.len() < TARGET {
            self.last_runner += 1;
            idle.insert(self.last_runner);
        }
    }

    /// An idle runner dies.
    pub fn lose_idle(&mut self, profile: usize) {
        let key: ProfileKey = PROFILES[profile].parse().unwrap();
        if let Some(idle) = self.idle.get_mut(&key) {
            idle.pop_first();
        }
    }

    /// The runners that are reserved for a job and wait for it.
    pub fn held_for(&self, unique_id: &UniqueId) -> &[RunnerId] {
        let reservation = self.reservations.get(unique_id);
        let held = reservation.filter(|it| it.state == ReservationState::Held);
        held.map_or(&[], |held| &held.runners)
    }

    /// A job starts on its runners, or has run on them.
    pub fn run(&mut self, unique_id: &UniqueId) {
        if let Some(reservation) = self.reservations.get_mut(unique_id) {
            reservation.state = match reservation.state {
                ReservationState::Held => ReservationState::Used,
                ReservationState::Used | ReservationState::Finished => ReservationState::Finished,
            };
        }
    }

    /// Destroys the reserved runners of a job that were not used.
    pub fn expire(&mut self, unique_id: &UniqueId) {
        if !self.held_for(unique_id).is_empty() {
            self.reservations.remove(unique_id);
        }
    }

    /// Takes runners, or finds those that were taken before.
    pub fn take(
        &mut self,
        instance: Instance,
        forward: &Forward,
    ) -> Result<Vec<RunnerId>, ModelRefusal> {
        let unique_id = &forward.request.spec.unique_id;
        let fence = self.fences.get(&(unique_id.clone(), instance));
        if fence.is_some_and(|fence| forward.token.sequence <= *fence) {
            return Err(ModelRefusal::NotThisJob);
        }
        let is_of_earlier_job = |it: &&mut Reservation| {
            it.state == ReservationState::Finished && forward.enqueued_at > it.enqueued_at
        };
        let known = self.reservations.get_mut(unique_id);
        if let Some(reservation) = known.filter(|it| !is_of_earlier_job(it)) {
            let is_same = reservation.profile_key == forward.request.spec.profile_key
                && reservation.runners.len() == forward.count.get();
            if !is_same || reservation.state == ReservationState::Finished {
                return Err(ModelRefusal::NotThisJob);
            }
            let latest = reservation.granted_to.entry(instance).or_default();
            *latest = forward.token.sequence.max(*latest);
            reservation.last_sequence = forward.token.sequence.max(reservation.last_sequence);
            reservation.enqueued_at = forward.enqueued_at.max(reservation.enqueued_at);
            return Ok(reservation.runners.clone());
        }
        let profile_key = forward.request.spec.profile_key.clone();
        let idle = self.idle.entry(profile_key.clone()).or_default();
        if idle.len() < forward.count.get() {
            return Err(ModelRefusal::NothingIdle);
        }
        let runners: Vec<RunnerId> = (0..forward.count.get())
            .filter_map(|_| idle.pop_first())
            .collect();
        let reservation = Reservation {
            profile_key,
            runners: runners.clone(),
            granted_to: BTreeMap::from([(instance, forward.token.sequence)]),
            last_sequence: forward.token.sequence,
            enqueued_at: forward.enqueued_at,
            state: ReservationState::Held,
        };
        self.reservations.insert(unique_id.clone(), reservation);
        Ok(runners)
    }

    /// Releases a grant, and ends the reservation if it was the last one.
    pub fn release(&mut self, instance: Instance, release: &Release) {
        let unique_id = &release.unique_id;
        if let Some(reservation) = self.reservations.get_mut(unique_id) {
            let latest = reservation.granted_to.get(&instance);
            let is_given_again = latest.is_some_and(|latest| release.token.sequence < *latest);
            if is_given_again || reservation.state != ReservationState::Held {
                return;
            }
            reservation.granted_to.remove(&instance);
            if release.destroy || reservation.granted_to.is_empty() {
                self.end(unique_id, release.destroy);
            }
        }
        let fence = self
            .fences
            .entry((unique_id.clone(), instance))
            .or_default();
        *fence = release.token.sequence.max(*fence);
    }

    fn end(&mut self, unique_id: &UniqueId, destroys: bool) {
        if let Some(ended) = self.reservations.remove(unique_id)
            && !destroys
        {
            let idle = self.idle.entry(ended.profile_key).or_default();
            idle.extend(ended.runners);
        }
    }

    /// Its report in answer to a poll sent at `asked_at`.
    pub fn report(&self, asked_at: Timestamp) -> Report {
        let profile = |name: &&str| {
            let key: ProfileKey = name.parse().unwrap();
            let idle = self.idle.get(&key).cloned().unwrap_or_default();
            (
                key,
                ProfileReport {
                    target: TARGET,
                    existing: TARGET,
                    idle,
                    ..ProfileReport::default()
                },
            )
        };
        let reservation = |it: &Reservation| ReservationReport {
            runners: it.runners.clone(),
            state: it.state,
            attempt: it.last_sequence,
            enqueued_at: Some(it.enqueued_at),
            proof: None,
        };
        let present = self.reservations.values();
        let reserved = present
            .filter(|it| it.state != ReservationState::Finished)
            .flat_map(|it| &it.runners);
        let idle = self.idle.values().flatten();
        Report {
            asked_at,
            profiles: PROFILES.iter().map(profile).collect(),
            runners: reserved.chain(idle).copied().collect(),
            reservations: Some(
                self.reservations
                    .iter()
                    .map(|(unique_id, it)| (unique_id.clone(), reservation(it)))
                    .collect(),
            ),
            ..Report::default()
        }
    }

    /// Whether no reservation waits for its job.
    pub fn holds_nothing(&self) -> bool {
        let mut reservations = self.reservations.values();
        reservations.all(|it| it.state == ReservationState::Finished)
    }
}
