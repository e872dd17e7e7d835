//! Looking at the world: when, and what it changes in what we know.
//!
//! Owns how the two lists come in; what the host has is for `host`. A name that is not one of ours
//! is left alone; a runner of ours without a record is adopted, which means that it counts, and
//! goes as soon as it is not busy.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    clock::Timestamp, registration::Registration, values::ProfileKey, wire::RunnerStatus,
};

use crate::{
    Monitor, RunnerId, RunnerRecord,
    state::host,
    state::observed::{Listing, ObservedGuest, Sighting},
    state::poll_schedule::PollSchedule,
};

/// How long GitHub's list may still show a registration that is gone. The hypervisor's has no lag.
const LAG_MAX: Duration = Duration::from_secs(600);

/// A question to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Which guests are there?
    Guests,
    /// Which registrations are there?
    Registrations,
    /// What does the host have?
    Host,
}

impl Monitor {
    /// The questions that are due now. Whoever calls this asks them, and hands in each answer.
    pub fn start_polls(&mut self, now: Timestamp) -> Vec<Poll> {
        let mut looks = Vec::new();
        for (look, due_at) in self.due_looks() {
            if due_at <= now {
                self.rhythm(look).begin(now);
                looks.push(look);
            }
        }
        looks
    }

    /// When the next question is due; none while all are under way.
    pub fn next_poll_at(&self) -> Option<Timestamp> {
        self.due_looks().map(|(_, due_at)| due_at).min()
    }

    fn due_looks(&self) -> impl Iterator<Item = (Poll, Timestamp)> + use<> {
        let of_guests = self.guest_rhythm.due_at(self.policy.poll_interval);
        let of_registrations = self
            .registration_rhythm
            .due_at(self.registration_interval());
        let guests = of_guests.map(|due_at| (Poll::Guests, due_at));
        let registrations = of_registrations.map(|due_at| (Poll::Registrations, due_at));
        let of_host = self.host_rhythm.due_at(host::INTERVAL);
        let of_host = of_host.filter(|_| self.policy.makes_virtual_machines());
        let host = of_host.map(|due_at| (Poll::Host, due_at));
        guests.into_iter().chain(registrations).chain(host)
    }

    fn rhythm(&mut self, look: Poll) -> &mut PollSchedule {
        match look {
            Poll::Guests => &mut self.guest_rhythm,
            Poll::Registrations => &mut self.registration_rhythm,
            Poll::Host => &mut self.host_rhythm,
        }
    }

    /// While something is about to change at GitHub, its list is read as often as the guests'. A
    /// runner cannot come online before its guest has fetched its credential.
    fn registration_interval(&self) -> Duration {
        let is_awaited = self.statuses().into_iter().any(|(id, status)| {
            let record = &self.durable.runners[&id];
            record.flight.is_none()
                && ((status == RunnerStatus::Starting && self.credentials.may_be_fetched(id))
                    || record.registration_id.is_none()
                    || record.found_busy_at.is_some())
        });
        match is_awaited {
            true => self.policy.poll_interval,
            false => self.policy.cache_timeout.max(self.policy.poll_interval),
        }
    }

    /// A guest is said to have ended: the guests' list will show it. GitHub's need not: what it
    /// thinks of the runner is its answer when the registration is deleted.
    pub fn handle_guest_ended(&mut self) {
        self.guest_rhythm.hint();
    }

    /// GitHub is said to have something new about the runner of that name.
    pub fn handle_webhook(&mut self, runner_name: &str) {
        if self.policy.parse_runner_name(runner_name).is_some() {
            self.registration_rhythm.nudge();
        }
    }

    /// A question got no answer. The last answer stays what we know. `retry_after` is how long
    /// the other side wants to be left alone.
    pub fn handle_poll_failed(
        &mut self,
        look: Poll,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) {
        self.rhythm(look).fail(now, retry_after);
        if look == Poll::Host {
            // Whoever cannot say what there is keeps nobody waiting.
            self.host.get_or_insert_default();
        }
    }

    /// The guests that there were, asked for at `asked_at`.
    pub fn handle_guests(
        &mut self,
        guests: Vec<ObservedGuest>,
        asked_at: Timestamp,
        now: Timestamp,
    ) {
        let mut seen = BTreeMap::new();
        for guest in guests {
            let Some((profile_key, id)) = self.policy.parse_guest_name(&guest.name) else {
                continue;
            };
            if self.recognises(&profile_key, id, asked_at, Duration::ZERO) {
                seen.insert(id, guest);
            }
        }
        self.observed.guests = Some(Listing { asked_at, seen });
        self.guest_rhythm.succeed();
        self.note_news(now);
    }

    /// The registrations that there were, foreign ones included, asked for at `asked_at`.
    pub fn handle_registrations(
        &mut self,
        registrations: Vec<Registration>,
        asked_at: Timestamp,
        now: Timestamp,
    ) {
        let mut seen = BTreeMap::new();
        for registration in registrations {
            let Some((profile_key, id)) = self.policy.parse_runner_name(&registration.name) else {
                continue;
            };
            if self.recognises(&profile_key, id, asked_at, LAG_MAX) {
                seen.insert(id, registration);
            }
        }
        self.note_listed(&seen);
        self.observed.registrations = Some(Listing { asked_at, seen });
        self.registration_rhythm.recover(now);
        self.forget_refusals_before(asked_at);
        self.note_online();
        self.note_software();
        self.note_news(now);
    }

    /// Whether something with this name is what we know by this id. One that is unknown is
    /// adopted, unless it is only the shadow of a runner that is gone, in a list that may lag.
    fn recognises(
        &mut self,
        profile_key: &ProfileKey,
        id: RunnerId,
        asked_at: Timestamp,
        lag_max: Duration,
    ) -> bool {
        if let Some(record) = self.durable.runners.get(&id) {
            return record.profile_key == *profile_key;
        }
        let removed_at = self.removed.get(&id);
        if removed_at.is_some_and(|removed_at| asked_at <= *removed_at + lag_max) {
            return false;
        }
        let profile = self.policy.profiles.get(profile_key);
        let needs = profile.map(|profile| profile.needs);
        let record = RunnerRecord::unknown(profile_key.clone(), needs, asked_at);
        self.durable.runners.insert(id, record);
        self.durable.next_id = self.durable.next_id.max(RunnerId(id.0 + 1));
        self.mark_dirty();
        true
    }

    fn note_listed(&mut self, seen: &BTreeMap<RunnerId, Registration>) {
        for (id, registration) in seen {
            if let Some(record) = self.durable.runners.get_mut(id)
                && !record.was_listed
            {
                record.was_listed = true;
                record.registration_id.get_or_insert(registration.id);
                self.revision += 1;
            }
        }
    }

    /// A refusal to delete a busy runner means nothing beside a list that was asked for later.
    fn forget_refusals_before(&mut self, asked_at: Timestamp) {
        for record in self.durable.runners.values_mut() {
            record.found_busy_at = record
                .found_busy_at
                .filter(|found_at| *found_at >= asked_at);
        }
    }

    /// Remembers who was ever ready for a job; that ends the back-off of its profile.
    fn note_online(&mut self) {
        for (id, status) in self.statuses() {
            let is_online = matches!(
                status,
                RunnerStatus::Idle | RunnerStatus::Reserved | RunnerStatus::Busy
            );
            if let Some(record) = self.durable.runners.get_mut(&id)
                && is_online
                && !record.came_online
            {
                record.came_online = true;
                self.creation_back_offs.remove(&record.profile_key);
                self.revision += 1;
            }
        }
    }

    /// What follows from a look, whichever it was.
    fn note_news(&mut self, now: Timestamp) {
        self.end_broken_reservations();
        self.note_used_reservations();
        self.note_override_progress();
        self.forget_old_reservations(now);
        self.removed
            .retain(|_, removed_at| now.since(*removed_at) <= LAG_MAX);
    }

    /// Whether GitHub's list is recent enough to tell that a runner has no registration.
    pub(crate) fn knows_registration(&self, id: RunnerId, record: &RunnerRecord) -> bool {
        record.registration_id.is_some()
            || self.observed.registration(id, record) != Sighting::Unknown
    }
}

#[cfg(test)]
mod tests;
