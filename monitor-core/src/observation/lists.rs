//! What the results of polls change.
//!
//! Names that are not those of this server's runners are ignored. A guest without a record is
//! adopted: it counts, and is destroyed as soon as it is not busy; unless its registration shows that
//! it is reserved. A registration with neither record nor guest may be that of another server.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    registration::{Registration, RegistrationStatus},
    runner_name::RunnerNames,
    values::ProfileKey,
    wire::RunnerStatus,
};

use crate::{
    Monitor, RunnerId,
    state::{
        host::HostCapacity,
        observed::{Listing, ObservedGuest, Presence, Unclaimed},
        runner::{MustDestroy, RunnerRecord},
        runner_event::RunnerStep,
    },
};

/// Maximum number of scopes that are listed.
const SCOPES_MAX: usize = 8;

/// How long GitHub's list may still show a registration that is gone. The hypervisor's has no lag.
const LAG_MAX: Duration = Duration::from_secs(600);
/// How long a registration without record and guest must have been offline before it is a leftover of
/// this server and is deleted. It may also be a booting runner of another server with the same suffix;
/// and GitHub itself deletes such registrations after a day.
const LEFTOVER_AGE: Duration = Duration::from_hours(1);
/// How long a runner must have been online to prove that runners of its profile work.
const PROOF: Duration = Duration::from_secs(60);

/// GitHub's lists: the registrations of each scope; none for a scope that could not be listed.
pub type RegistrationLists = BTreeMap<String, Option<Vec<Registration>>>;

impl Monitor {
    /// The guests of all drivers that existed at `asked_at`.
    pub fn handle_guests(
        &mut self,
        guests: Vec<ObservedGuest>,
        asked_at: Timestamp,
        now: Timestamp,
    ) {
        self.handle_guest_lists(guests, Some(Vec::new()), asked_at, now);
    }

    /// The guests that existed at `asked_at`: processes, and virtual machines. None if these could not be
    /// listed: then what was known of them counts, and none are created.
    pub fn handle_guest_lists(
        &mut self,
        processes: Vec<ObservedGuest>,
        machines: Option<Vec<ObservedGuest>>,
        asked_at: Timestamp,
        now: Timestamp,
    ) {
        self.observed.are_machines_unlisted = machines.is_none();
        let seen = self.recognised(processes, asked_at);
        let machines = machines.map(|machines| self.recognised(machines, asked_at));
        self.note_missing_guests(&seen, machines.as_ref(), asked_at);
        self.observed.guests = Some(Listing { asked_at, seen });
        if let Some(seen) = machines {
            self.observed.machines = Some(Listing { asked_at, seen });
        }
        self.guest_schedule.succeed(now);
        self.claim_registrations_of_new_records();
        self.apply_new_statuses(now);
    }

    /// The guests of a list that belong to runners.
    fn recognised(
        &mut self,
        guests: Vec<ObservedGuest>,
        asked_at: Timestamp,
    ) -> BTreeMap<RunnerId, ObservedGuest> {
        let mut seen = BTreeMap::new();
        for guest in guests {
            let Some((profile_key, id)) = self.policy.parse_guest_name(&guest.name) else {
                continue;
            };
            if self.recognise_guest(&profile_key, id, asked_at) {
                seen.insert(id, guest);
            }
        }
        seen
    }

    /// The registrations in the scope of the settings that existed at `asked_at`, including foreign
    /// ones.
    pub fn handle_registrations(
        &mut self,
        registrations: Vec<Registration>,
        asked_at: Timestamp,
        now: Timestamp,
    ) {
        let lists = BTreeMap::from([(self.policy.scope.clone(), Some(registrations))]);
        self.handle_registration_lists(lists, asked_at, now);
    }

    /// The registrations in every scope of [`registration_scopes`](Self::registration_scopes) that
    /// existed at `asked_at`, including foreign ones.
    pub fn handle_registration_lists(
        &mut self,
        lists: RegistrationLists,
        asked_at: Timestamp,
        now: Timestamp,
    ) {
        let mut seen = BTreeMap::new();
        let mut unclaimed = BTreeMap::new();
        let mut listed_scopes = BTreeSet::new();
        for (scope, registrations) in lists {
            let Some(registrations) = registrations else {
                continue;
            };
            listed_scopes.insert(scope.to_ascii_lowercase());
            for registration in registrations {
                if let Some(id) = self.runner_of(&scope, &registration) {
                    seen.insert(id, registration);
                } else if let Some((id, found)) = self.unclaimed(&scope, registration, asked_at) {
                    unclaimed.insert(id, found);
                }
            }
        }
        let scopes = self.registration_scopes().into_iter();
        let unlisted = scopes.map(|scope| scope.to_ascii_lowercase());
        self.observed.unlisted_scopes = unlisted
            .filter(|scope| !listed_scopes.contains(scope))
            .collect();
        self.observed.unclaimed = unclaimed;
        self.observed.registrations = Some(Listing { asked_at, seen });
        self.registration_schedule.succeed(now);
        self.claim_registrations_of_new_records();
        self.note_listed();
        self.forget_refusals_before(asked_at);
        self.note_online(asked_at);
        self.note_software();
        self.adopt_leftovers(asked_at);
        self.apply_new_statuses(now);
    }

    /// Where GitHub has to be asked for registrations: in the scope of the settings, which is the first,
    /// and wherever else an existing runner was registered before the settings changed.
    pub fn registration_scopes(&self) -> Vec<String> {
        let mut scopes = vec![self.policy.scope.clone()];
        let registrars = self.durable.runners.values();
        for registrar in registrars.filter_map(|record| record.registrar.as_ref()) {
            let is_new = |scope: &String| !scope.eq_ignore_ascii_case(&registrar.scope);
            if scopes.len() < SCOPES_MAX && scopes.iter().all(is_new) {
                scopes.push(registrar.scope.clone());
            }
        }
        scopes
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

    /// Whether a guest belongs to a runner that exists. An unknown runner is adopted, unless it is gone
    /// since the list was requested.
    fn recognise_guest(
        &mut self,
        profile_key: &ProfileKey,
        id: RunnerId,
        asked_at: Timestamp,
    ) -> bool {
        if let Some(record) = self.durable.runners.get(&id) {
            return record.profile_key == *profile_key;
        }
        let removed_at = self.removed.get(&id);
        if removed_at.is_some_and(|removed_at| asked_at <= *removed_at) {
            return false;
        }
        self.adopt(profile_key, id, asked_at);
        true
    }

    /// Creates a record for a runner that a list shows. It counts from now on, and is destroyed as soon
    /// as it is not busy.
    fn adopt(&mut self, profile_key: &ProfileKey, id: RunnerId, asked_at: Timestamp) {
        let profile = self.policy.profiles.get(profile_key);
        let needs = profile.map(|profile| profile.needs);
        let registrar = self.current_registrar();
        let record = RunnerRecord::unknown(profile_key.clone(), needs, registrar, asked_at);
        self.durable.runners.insert(id, record);
        self.durable.next_id = self.durable.next_id.max(id.next());
        self.record_step(id, RunnerStep::Found);
        self.mark_dirty();
    }

    /// Counts the lists in a row that lack a guest. The next list follows at once.
    fn note_missing_guests(
        &mut self,
        processes: &BTreeMap<RunnerId, ObservedGuest>,
        machines: Option<&BTreeMap<RunnerId, ObservedGuest>>,
        asked_at: Timestamp,
    ) {
        let mut is_missing = false;
        let mut ended = Vec::new();
        for (id, record) in &mut self.durable.runners {
            if machines.is_none() && record.is_virtual != Some(false) {
                // Nothing is known of it, unless it is a process.
                if !processes.contains_key(id) {
                    continue;
                }
            }
            let is_machine = machines.is_some_and(|machines| machines.contains_key(id));
            if is_machine || processes.contains_key(id) {
                record.lists_without_guest = 0;
                record.guest_has_ended = false;
            } else if asked_at > record.creation_ended_at {
                let is_first = record.lists_without_guest == 0;
                record.lists_without_guest = record.lists_without_guest.saturating_add(1);
                let is_gone = self.observed.is_guest_gone(*id, record);
                is_missing |= !is_gone;
                if is_gone && record.must_destroy.is_none_or(MustDestroy::had_guest) {
                    ended.push(*id);
                }
                if is_first && record.in_flight.is_none() && record.unregistered.is_none() {
                    // GitHub may have refused a deletion because of the job that has ended with it.
                    record.destroy_failures.reset();
                }
            }
        }
        for id in ended {
            self.note_guest_missing(id);
        }
        if is_missing {
            self.guest_schedule.request_now();
        }
    }

    /// The runner that a registration belongs to: by GitHub's id of it or, while that is unknown, by its
    /// name and its own label.
    fn runner_of(&self, scope: &str, registration: &Registration) -> Option<RunnerId> {
        let mut records = self.durable.runners.iter();
        let found = records.find(|(id, record)| {
            let registrar = self.registrar_of(record);
            registrar.scope.eq_ignore_ascii_case(scope)
                && match record.registration_id {
                    Some(registration_id) => registration_id == registration.id,
                    None => self.is_unknown_registration_of(**id, record, registration),
                }
        });
        found.map(|(id, _)| *id)
    }

    /// Whether a registration is that of a runner whose own is not known: because it is being registered,
    /// because the response to that was lost, or after a restart. Another one of its name may be that of
    /// another server.
    fn is_unknown_registration_of(
        &self,
        id: RunnerId,
        record: &RunnerRecord,
        registration: &Registration,
    ) -> bool {
        let is_recognised = match (record.must_destroy, &record.own_label) {
            (Some(MustDestroy::Unknown), _) => true,
            (_, Some(own_label)) => {
                let mut labels = registration.labels.iter();
                labels.any(|label| label.name.eq_ignore_ascii_case(own_label))
            }
            // What there is without a guest is a leftover, which stays offline.
            (Some(MustDestroy::PartiallyCreated), None) => false,
            (_, None) => {
                let has_guest = matches!(self.observed.guest(id, record), Presence::Present(_));
                record.in_flight.is_none() && has_guest
            }
        };
        is_recognised && self.is_named(id, record, &registration.name)
    }

    /// Whether a runner was registered under this name.
    pub(crate) fn is_named(&self, id: RunnerId, record: &RunnerRecord, name: &str) -> bool {
        self.runner_name(id, record) == name
    }

    /// The name under which a runner was registered.
    pub(crate) fn runner_name(&self, id: RunnerId, record: &RunnerRecord) -> String {
        let names = RunnerNames {
            prefix: self.policy.names.prefix.clone(),
            suffix: self.registrar_of(record).suffix,
        };
        names.format(&record.profile_key, id.0)
    }

    /// What is known of a registration without a record, if its name is that of a runner of this server
    /// which is not gone since.
    fn unclaimed(
        &mut self,
        scope: &str,
        registration: Registration,
        asked_at: Timestamp,
    ) -> Option<(RunnerId, Unclaimed)> {
        let (profile_key, id) = self.policy.parse_runner_name(&registration.name)?;
        let removed_at = self.removed.get(&id);
        let is_lagging = removed_at.is_some_and(|removed_at| asked_at <= *removed_at + LAG_MAX);
        if !self.policy.is_current_scope(scope) || is_lagging {
            return None;
        }
        // No runner of this server gets the same id.
        if self.durable.next_id <= id {
            self.durable.next_id = id.next();
            self.mark_dirty();
        }
        let known = self.observed.unclaimed.get(&id);
        let known = known.filter(|known| known.registration.id == registration.id);
        let is_alive = registration.busy || registration.status == RegistrationStatus::Online;
        let alive_since = known.and_then(|known| known.alive_since);
        let found = Unclaimed {
            profile_key,
            first_seen_at: known.map_or(asked_at, |known| known.first_seen_at),
            last_alive_at: match known {
                Some(known) if !is_alive => known.last_alive_at,
                _ => asked_at,
            },
            alive_since: match is_alive {
                true => alive_since.or(Some(asked_at)),
                false => alive_since,
            },
            registration,
        };
        Some((id, found))
    }

    /// Joins registrations with records that are newer than the list.
    fn claim_registrations_of_new_records(&mut self) {
        let unclaimed = std::mem::take(&mut self.observed.unclaimed);
        for (id, found) in unclaimed {
            let scope = self.policy.scope.clone();
            let is_claimed = self.runner_of(&scope, &found.registration) == Some(id);
            match &mut self.observed.registrations {
                Some(listing) if is_claimed => {
                    listing.seen.insert(id, found.registration);
                }
                _ => {
                    self.observed.unclaimed.insert(id, found);
                }
            }
        }
        self.note_listed();
        self.adopt_reservations();
    }

    /// Adopts registrations of this server's runners that have neither record nor guest, once they have
    /// been offline for so long that they are no other server's.
    fn adopt_leftovers(&mut self, asked_at: Timestamp) {
        let unclaimed = self.observed.unclaimed.iter();
        let leftovers = unclaimed.filter(|(id, found)| {
            let has_record = self.durable.runners.contains_key(id);
            !has_record && asked_at.since(found.last_alive_at) >= LEFTOVER_AGE
        });
        let leftovers: Vec<_> = leftovers
            .map(|(id, found)| (*id, found.profile_key.clone()))
            .collect();
        for (id, profile_key) in &leftovers {
            self.adopt(profile_key, *id, asked_at);
        }
        if !leftovers.is_empty() {
            self.claim_registrations_of_new_records();
        }
    }

    /// Records what the last lists show of each runner, and since when they do.
    fn note_listed(&mut self) {
        let Some(listing) = &self.observed.registrations else {
            return;
        };
        let asked_at = listing.asked_at;
        let mut has_changed = false;
        let mut busy = Vec::new();
        for (id, record) in &mut self.durable.runners {
            let scope = record.registrar.as_ref().map(|it| &it.scope);
            let scope = scope.unwrap_or(&self.policy.scope).to_ascii_lowercase();
            let is_newer = asked_at > record.creation_ended_at;
            match listing.seen.get(id) {
                Some(registration) => {
                    has_changed |=
                        !record.was_listed || (registration.busy && !record.job_was_seen);
                    record.was_listed = true;
                    record.registration_id.get_or_insert(registration.id);
                    record.unlisted_since = None;
                    if registration.busy {
                        record.free_since = None;
                        busy.push(*id);
                        record.not_busy_since = None;
                        let has_guest = self.observed.guest(*id, record) != Presence::Absent;
                        if record.in_flight.is_none() && has_guest {
                            // The refusal of a deletion is explained.
                            record.destroy_failures.reset();
                        }
                    } else {
                        has_changed |= record.note_free(asked_at);
                        if record.was_busy {
                            record.not_busy_since.get_or_insert(asked_at);
                        }
                    }
                }
                None if is_newer => {
                    record.free_since = None;
                    record.unlisted_since.get_or_insert(asked_at);
                    // What a scope that cannot be listed shows is unknown.
                    if !self.observed.unlisted_scopes.contains(&scope) && record.was_busy {
                        record.not_busy_since.get_or_insert(asked_at);
                    }
                }
                None => {}
            }
        }
        for id in busy {
            self.note_job_seen(id, asked_at);
        }
        if has_changed {
            self.mark_dirty();
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

    /// Records which runners have been ready for a job, and since when they are online or offline. A
    /// runner that has a job, or has been online for a while, ends the back-off of its profile: being
    /// online for a moment is not yet a success.
    fn note_online(&mut self, asked_at: Timestamp) {
        let mut has_changed = false;
        for (id, status) in self.statuses() {
            let Some(record) = self.durable.runners.get(&id) else {
                continue;
            };
            let registration = self.observed.registration(id, record);
            let connection = match registration {
                Presence::Present(registration) => Some(registration.status),
                Presence::Absent | Presence::Unknown => None,
            };
            let Some(record) = self.durable.runners.get_mut(&id) else {
                continue;
            };
            match connection {
                Some(RegistrationStatus::Online) => {
                    record.online_since.get_or_insert(asked_at);
                    record.offline_since = None;
                }
                Some(RegistrationStatus::Offline) => {
                    record.offline_since.get_or_insert(asked_at);
                }
                None => {}
            }
            // A refused deletion makes a runner busy that no list has ever shown, so it may never have
            // been online.
            let is_online = record.was_listed
                && matches!(
                    status,
                    RunnerStatus::Idle | RunnerStatus::Reserved | RunnerStatus::Busy
                );
            let comes_online = is_online && !record.came_online;
            has_changed |= comes_online;
            record.came_online |= is_online;
            // A job that was seen shows that it was online before.
            let is_news = comes_online
                && !record.job_was_seen
                && connection == Some(RegistrationStatus::Online);
            let is_long_online = connection == Some(RegistrationStatus::Online)
                && record
                    .online_since
                    .is_some_and(|since| asked_at.since(since) >= PROOF);
            if !record.is_proven && (is_long_online || record.was_busy) {
                record.is_proven = true;
                self.creation_failures.remove(&record.profile_key);
                has_changed = true;
            }
            if is_news {
                self.record_step(id, RunnerStep::Online);
            }
        }
        if has_changed {
            self.mark_dirty();
        }
    }

    /// What follows from new statuses, whichever list they come from.
    fn apply_new_statuses(&mut self, now: Timestamp) {
        self.end_broken_reservations();
        self.note_used_reservations(now);
        self.note_override_progress();
        self.forget_old_reservations(now);
        self.removed
            .retain(|_, removed_at| now.since(*removed_at) <= LAG_MAX);
    }
}

#[cfg(test)]
mod machines;
#[cfg(test)]
mod tests;
