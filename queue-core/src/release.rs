//! Giving reservations back, again and again until the server confirms it.
//!
//! Owns what is still owed. A release carries the attempt up to which it is meant: the server
//! ignores it if the job was given runners under a later one, and refuses a take of that or an
//! earlier attempt that arrives after it. So neither a late release nor a late take does harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{clock::Timestamp, values::UniqueId, wire::ReservationState};

use super::{
    events::{Output, Release},
    fleet::{ServerId, is_of_job},
    job::{Ask, Claims, Grant},
    queue::Queue,
    report::RunnerId,
    timers::Timer,
};

/// First and longest pause between two tries; doubles in between.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// All releases that are not confirmed.
#[derive(Debug, Default)]
pub struct Owed(BTreeMap<(ServerId, UniqueId), OwedRelease>);

#[derive(Debug)]
struct OwedRelease {
    attempt: u64,
    is_delivered: bool,
    runners: BTreeSet<RunnerId>,
    profile_key: shared::values::ProfileKey,
    next_at: Timestamp,
    pause: Duration,
}

impl Owed {
    /// Whether `server` still owes a confirmation for this job: then it is not asked on the
    /// job's behalf, because nobody knows what it holds.
    pub fn contains(&self, server: ServerId, unique_id: &UniqueId) -> bool {
        self.0.contains_key(&(server, unique_id.clone()))
    }

    /// Whether all are confirmed.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Queue {
    /// Gives back what was or may have been granted to a forward that has failed.
    pub(super) fn give_back_asks(
        &mut self,
        now: Timestamp,
        unique_id: &UniqueId,
        attempt: u64,
        asks: Vec<Ask>,
    ) {
        for ask in asks {
            match ask.grant {
                Some(grant) => self.give_back_grants(now, unique_id, vec![grant], false),
                None => {
                    self.owe_release(now, ask.server, unique_id, attempt, false, BTreeSet::new());
                }
            }
        }
    }

    /// Gives back what was granted. What another queue was granted under the same name, which it
    /// may have handed out, stays: its server knows of whom it has claims. But what the client
    /// itself gives up is destroyed.
    pub(super) fn give_back_grants(
        &mut self,
        now: Timestamp,
        unique_id: &UniqueId,
        grants: Vec<Grant>,
        is_delivered: bool,
    ) {
        for grant in grants {
            if grant.end.is_some() {
                continue;
            }
            let runners = grant.runners.iter().map(|runner| runner.id).collect();
            self.owe_release(
                now,
                grant.server,
                unique_id,
                grant.attempt,
                is_delivered,
                runners,
            );
        }
    }

    /// Has everything else destroyed that servers report to hold for this job, whoever reserved
    /// it: its client gives it up.
    pub(super) fn owe_release_of_reported(&mut self, now: Timestamp, claims: &Claims) {
        let unique_id = &claims.request.spec.unique_id;
        let held: Vec<ServerId> = self
            .fleet
            .reservations(unique_id)
            .into_iter()
            .filter(|(server, reservation)| {
                reservation.state == ReservationState::Held
                    && is_of_job(reservation, claims.enqueued_at)
                    && !self.owed.contains(*server, unique_id)
            })
            .map(|(server, _)| server)
            .collect();
        for server in held {
            let attempt = self.next_attempt(now, claims.enqueued_at);
            self.owe_release(now, server, unique_id, attempt, true, BTreeSet::new());
        }
    }

    pub(super) fn send_release(&mut self, now: Timestamp, server: ServerId, unique_id: &UniqueId) {
        let Some(owed) = self.owed.0.get_mut(&(server, unique_id.clone())) else {
            return;
        };
        if now < owed.next_at {
            return;
        }
        owed.next_at = now + owed.pause;
        owed.pause = (owed.pause * 2).min(RETRY_MAX);
        let release = Release {
            server,
            unique_id: unique_id.clone(),
            attempt: owed.attempt,
            is_delivered: owed.is_delivered,
        };
        self.timers
            .set(owed.next_at, Timer::Release(server, unique_id.clone()));
        self.emit(Output::Release(release));
    }

    pub(super) fn released(
        &mut self,
        now: Timestamp,
        server: ServerId,
        unique_id: &UniqueId,
        attempt: u64,
        is_settled: bool,
    ) {
        let key = (server, unique_id.clone());
        let is_current = self
            .owed
            .0
            .get(&key)
            .is_some_and(|owed| owed.attempt == attempt);
        if !is_current || !is_settled {
            // A failure is tried again when the timer that was set with the sending goes off.
            return;
        }
        if let Some(owed) = self.owed.0.remove(&key) {
            self.timers
                .cancel(owed.next_at, Timer::Release(server, unique_id.clone()));
            self.fleet.forget_reservation(server, unique_id);
            if !owed.is_delivered {
                // A late confirmation: some of them may have been granted again meanwhile.
                let given = self.given_to_others(server, unique_id);
                let idle = owed.runners.difference(&given).copied();
                self.fleet.released(server, &owed.profile_key, idle);
            }
            self.dispatch(now, &owed.profile_key);
        }
    }

    /// A server answers again: what it owes is asked for at once.
    pub(super) fn retry_releases(&mut self, now: Timestamp, server: ServerId) {
        let owed: Vec<UniqueId> = self
            .owed
            .0
            .range((server, first_unique_id())..)
            .take_while(|((owing, _), _)| *owing == server)
            .map(|((_, unique_id), _)| unique_id.clone())
            .collect();
        for unique_id in owed {
            if let Some(owed) = self.owed.0.get_mut(&(server, unique_id.clone())) {
                self.timers
                    .cancel(owed.next_at, Timer::Release(server, unique_id.clone()));
                owed.next_at = now;
                owed.pause = RETRY_FIRST;
            }
            self.send_release(now, server, &unique_id);
        }
    }

    /// A release is pointless: the server is asked again on the job's behalf, under a later
    /// attempt, which is enough to make it ignore the release.
    pub(super) fn drop_release(&mut self, server: ServerId, unique_id: &UniqueId) {
        if let Some(owed) = self.owed.0.remove(&(server, unique_id.clone())) {
            self.timers
                .cancel(owed.next_at, Timer::Release(server, unique_id.clone()));
        }
    }

    fn owe_release(
        &mut self,
        now: Timestamp,
        server: ServerId,
        unique_id: &UniqueId,
        attempt: u64,
        is_delivered: bool,
        runners: BTreeSet<RunnerId>,
    ) {
        let Some(job) = self.jobs.get(unique_id) else {
            return;
        };
        let profile_key = job.request().spec.profile_key.clone();
        self.drop_release(server, unique_id);
        let owed = OwedRelease {
            attempt,
            is_delivered,
            runners,
            profile_key,
            next_at: now,
            pause: RETRY_FIRST,
        };
        self.owed.0.insert((server, unique_id.clone()), owed);
        self.send_release(now, server, unique_id);
    }
}

/// Sorts before every other name.
fn first_unique_id() -> UniqueId {
    "-".parse()
        .expect("a hyphen is a valid unique_id, and the smallest character of one")
}
