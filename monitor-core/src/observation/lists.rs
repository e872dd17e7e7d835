//! What the results of polls change.
//!
//! Names that are not those of this server's runners are ignored. A runner without a record is
//! adopted: it counts, and is destroyed as soon as it is not busy.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    clock::Timestamp, registration::Registration, values::ProfileKey, wire::RunnerStatus,
};

use crate::{
    Monitor, RunnerId,
    state::{
        host::HostCapacity,
        observed::{Listing, ObservedGuest},
        runner::RunnerRecord,
    },
};

/// How long GitHub's list may still show a registration that is gone. The hypervisor's has no lag.
const LAG_MAX: Duration = Duration::from_secs(600);

impl Monitor {
    /// The guests that existed at `asked_at`.
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
            if self.recognise(&profile_key, id, asked_at, Duration::ZERO) {
                seen.insert(id, guest);
            }
        }
        self.observed.guests = Some(Listing { asked_at, seen });
        self.guest_schedule.succeed(now);
        self.apply_new_statuses(now);
    }

    /// The registrations that existed at `asked_at`, including foreign ones.
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
            if self.recognise(&profile_key, id, asked_at, LAG_MAX) {
                seen.insert(id, registration);
            }
        }
        self.note_listed(&seen);
        self.observed.registrations = Some(Listing { asked_at, seen });
        self.registration_schedule.succeed(now);
        self.forget_refusals_before(asked_at);
        self.note_online();
        self.note_software();
        self.apply_new_statuses(now);
    }

    /// When the current image of each profile was built.
    pub fn handle_images(&mut self, built_at: BTreeMap<ProfileKey, Timestamp>) {
        self.images.observe(built_at);
    }

    /// What the host has. Returns a sentence for each setting that exceeds it, unless they are the
    /// same as before.
    pub fn handle_host(&mut self, host: HostCapacity, now: Timestamp) -> Vec<String> {
        let before = self.capacity_warnings();
        self.host = Some(host);
        self.host_schedule.succeed(now);
        let warnings = self.capacity_warnings();
        match warnings == before {
            true => Vec::new(),
            false => warnings,
        }
    }

    /// Whether a name in a list belongs to a runner that exists. An unknown runner is adopted,
    /// unless it is gone already and the list may lag behind.
    fn recognise(
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
        self.durable.next_id = self.durable.next_id.max(id.next());
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
                self.mark_dirty();
            }
        }
    }

    /// A list that was requested later than GitHub's refusal to delete a busy runner replaces it.
    fn forget_refusals_before(&mut self, asked_at: Timestamp) {
        for record in self.durable.runners.values_mut() {
            record.found_busy_at = record
                .found_busy_at
                .filter(|found_at| *found_at >= asked_at);
        }
    }

    /// Records which runners have been ready for a job; that ends the back-off of their profile.
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
                self.creation_failures.remove(&record.profile_key);
                self.mark_dirty();
            }
        }
    }

    /// What follows from new statuses, whichever list they come from.
    fn apply_new_statuses(&mut self, now: Timestamp) {
        self.end_broken_reservations();
        self.note_used_reservations();
        self.note_override_progress();
        self.forget_old_reservations(now);
        self.removed
            .retain(|_, removed_at| now.since(*removed_at) <= LAG_MAX);
    }
}

#[cfg(test)]
mod tests;
