//! Report of a server: its dashboard, reduced to what the queue decides by.
//!
//! Responsible for reading the dashboards of monitors of all versions. Older ones state neither the
//! profile of a runner nor its status: both follow from its registration. Every entry is read on its
//! own: one that cannot be read offers no runner, ends no reservation, and is counted.

use std::collections::{BTreeMap, BTreeSet};

use super::ServerId;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::{
    clock::Timestamp,
    operator::Intervention,
    problem::{self, Problem},
    registration::RegistrationStatus,
    text::printable,
    values::{ProfileKey, UniqueId},
    wire::{
        DelayedRunners, MissingRunners, ReservationReport, ReservationState, RunnerStatus,
        TargetOverride, TargetReason, missing_beside,
    },
};

/// A runner's id on its server.
pub type RunnerId = u64;

/// The highest number of runners of a profile that is believed. A number above it is an error: a
/// target of that size would let jobs wait for runners that no server has.
const COUNT_MAX: u64 = 10_000;
/// The most profiles of a server; the settings of a monitor allow as many.
const PROFILES_MAX: usize = 200;
/// The most runners of a server.
const RUNNERS_MAX: usize = 5_000;
/// The most reservations of a server. A monitor remembers 2,000 that are finished.
const RESERVATIONS_MAX: usize = 8_000;
/// The most problems of a server that are kept.
const PROBLEMS_MAX: usize = 20;
/// The longest text of a problem that is kept, in characters.
const PROBLEM_TEXT_MAX: usize = 500;
/// The longest code of a problem, in bytes.
const CODE_LENGTH_MAX: usize = 64;
/// The longest text that is kept of a dashboard, in bytes.
const TEXT_LENGTH_MAX: usize = 256;

/// What a server reported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// When the poll was sent: what happened later may be missing.
    pub asked_at: Timestamp,
    /// Random value of the monitor's process; `None` from an older monitor.
    pub instance: Option<String>,
    pub profiles: BTreeMap<ProfileKey, ProfileReport>,
    /// Every runner that exists, whatever its status.
    pub runners: BTreeSet<RunnerId>,
    /// What each of them does, for estimates only; without those whose profile is unknown.
    pub statuses: BTreeMap<RunnerId, SeenRunner>,
    /// The reservations, by job; `None` from an older monitor, which does not report them.
    pub reservations: Option<BTreeMap<UniqueId, ReservationReport>>,
    /// The reservations that a queue with the key of this one made, and the server whose take made each:
    /// another one if a monitor has two URLs. All others count against capacity and change nothing else.
    pub proven: BTreeMap<UniqueId, ServerId>,
    /// Whether there were more reservations than are read, so that a missing one may be there.
    pub is_truncated: bool,
    /// The runners that have a guest and a registration, by which a server without `instance` is
    /// recognised.
    pub guests: BTreeSet<Guest>,
    /// How many entries could not be read, or are beyond the limits.
    pub unreadable_count: usize,
    /// The drain that is in force there, with a note of limited length.
    pub drain: Option<Intervention>,
    /// The temporary targets that are in force there, of a limited number of profiles.
    pub target_override: Option<Box<TargetOverride>>,
    /// What the server says is wrong with it: errors first, a few of them, with texts of limited length.
    pub problems: Vec<Problem>,
    /// How many more problems it has.
    pub more_problems: usize,
}

/// What a server reported of one profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileReport {
    /// How many runners the server keeps ready.
    pub target: usize,
    /// How many it could have at once if jobs waited for them; `None` if its targets do not follow demand.
    pub max: Option<usize>,
    /// Why the target is another one than that of its settings.
    pub target_reason: Option<TargetReason>,
    /// How many it has, in whatever use.
    pub existing: usize,
    pub idle: BTreeSet<RunnerId>,
    /// How many of them start.
    pub starting: usize,
    /// How many of them are reserved.
    pub reserved: usize,
    /// How many of them are busy.
    pub busy: usize,
    /// How many more the server could have and does not keep.
    pub missing: usize,
    /// Why: a clause from the server; empty if none are missing.
    pub missing_because: String,
    /// Which of those that start or are still to be created something delays, and what: a clause from the
    /// server.
    pub delayed: Option<DelayedRunners>,
}

/// What a server reported of one runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRunner {
    pub profile_key: ProfileKey,
    pub status: RunnerStatus,
    /// Since when it has this status, by the server's clock; `None` from an older monitor.
    pub since: Option<Timestamp>,
    /// When its creation began, by the server's clock.
    pub created_at: Option<Timestamp>,
}

impl ProfileReport {
    /// How many runners there can be at once: the target, or more if jobs wait for them.
    pub fn most(&self) -> usize {
        self.target.max(self.max.unwrap_or(0))
    }

    /// How many runners of the profile the server has or could have.
    pub fn capacity(&self) -> usize {
        self.target.saturating_add(self.missing)
    }

    /// How many of them it does not have and does not offer. A server that is drained still has those that are
    /// in use.
    pub fn missing(&self) -> usize {
        let working = [self.idle.len(), self.starting, self.reserved, self.busy];
        let working = working.into_iter().fold(0, usize::saturating_add);
        missing_beside(self.missing, working, self.target)
    }
}

/// A runner with its guest and its registration. No two servers have an equal one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guest {
    pub id: RunnerId,
    /// When its creation began, as its monitor wrote it.
    pub created_time: String,
    pub registration_id: u64,
    /// The name of its registration, `<prefix>-<profile_key>.<id>@<suffix>`.
    pub name: String,
}

/// Why a text is not the report of a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReport {
    /// It is the dashboard of a queue.
    OfQueue,
    /// It is something else.
    Unknown,
}

impl Report {
    /// Reads the dashboard that answered a poll sent at `asked_at`.
    ///
    /// # Errors
    /// When the text is not a monitor's dashboard. Entries that cannot be read are no error.
    pub fn parse(json: &[u8], asked_at: Timestamp) -> Result<Self, NotReport> {
        let dashboard: Object = serde_json::from_slice(json).map_err(|_| NotReport::Unknown)?;
        let has = |field| dashboard.contains_key(field);
        if !has("profile_runner_counts") && !has("runners") {
            let is_queue = has("is_dispatching") || has("waiting_count");
            return Err(if is_queue {
                NotReport::OfQueue
            } else {
                NotReport::Unknown
            });
        }
        let mut report = Self {
            asked_at,
            instance: field(&dashboard, "instance")
                .ok()
                .flatten()
                .filter(|it: &String| is_short(it)),
            ..Self::default()
        };
        let idle_counts = report.read_counts(&dashboard);
        report.read_runners(&dashboard);
        report.replace_absurd_targets();
        report.read_missing(&dashboard);
        report.read_reservations(&dashboard);
        report.read_orders(&dashboard);
        report.read_problems(&dashboard);
        // Older monitors list runners as idle that are about to be destroyed. Only as many as they
        // count as idle can be taken.
        for (key, idle_count) in idle_counts {
            if let Some(profile) = report.profiles.get_mut(&key) {
                while profile.idle.len() > idle_count {
                    profile.idle.pop_last();
                }
            }
        }
        Ok(report)
    }

    /// Finds out which reservations a queue with the key of this one made. `server_of` returns the server
    /// that the proof of a reservation is for, if it is valid.
    pub fn prove(
        &mut self,
        mut server_of: impl FnMut(&UniqueId, &ReservationReport) -> Option<ServerId>,
    ) {
        let reservations = self.reservations.iter().flatten();
        let proven = reservations.filter_map(|(unique_id, reservation)| {
            let server = server_of(unique_id, reservation)?;
            Some((unique_id.clone(), server))
        });
        self.proven = proven.collect();
    }

    pub fn profile(&self, key: &ProfileKey) -> Option<&ProfileReport> {
        self.profiles.get(key)
    }

    /// The part after the last `@` in the names of its registrations, which GitHub needs to be
    /// different for each server.
    pub fn suffix(&self) -> Option<&str> {
        let name = &self.guests.first()?.name;
        name.rsplit_once('@').map(|(_, suffix)| suffix)
    }

    /// Reads the targets; returns how many runners of each profile are counted as idle.
    fn read_counts(&mut self, dashboard: &Object) -> BTreeMap<ProfileKey, usize> {
        let mut idle_counts = BTreeMap::new();
        let profiles = self.part(dashboard, "profile_runner_counts", Value::as_object);
        for (key, counts) in self.limited(profiles, PROFILES_MAX) {
            let (Ok(key), Some(counts)) = (key.parse::<ProfileKey>(), counts.as_object()) else {
                self.unreadable_count += 1;
                continue;
            };
            let mut count = |name| {
                let count = field::<u64>(counts, name);
                let count = count.map(Option::unwrap_or_default);
                let count = count.ok().filter(|count| *count <= COUNT_MAX);
                self.unreadable_count += usize::from(count.is_none());
                count.map(|count| usize::try_from(count).unwrap_or(0))
            };
            let profile = ProfileReport {
                // Replaced once its runners are known.
                target: count("target").unwrap_or(ABSURD),
                max: counts.get("max").and_then(|_| count("max")),
                target_reason: field(counts, "target_reason").ok().flatten(),
                existing: count("healthy").unwrap_or(0),
                idle: BTreeSet::new(),
                starting: count("started_or_crashed").unwrap_or(0),
                reserved: count("reserved").unwrap_or(0),
                busy: count("busy").unwrap_or(0),
                missing: 0,
                missing_because: String::new(),
                delayed: None,
            };
            idle_counts.insert(key.clone(), count("idle").unwrap_or(0));
            self.profiles.insert(key, profile);
        }
        idle_counts
    }

    /// Reads which runners the server could have and does not keep, and which of those that it keeps are delayed.
    fn read_missing(&mut self, dashboard: &Object) {
        let missing = self.part(dashboard, "missing", Value::as_object);
        self.read_reasons(missing, |profile, MissingRunners { count, reason }| {
            profile.missing = count;
            profile.missing_because = reason;
        });
        let delayed = self.part(dashboard, "delayed", Value::as_object);
        self.read_reasons(delayed, |profile, MissingRunners { count, reason }| {
            profile.delayed = Some(DelayedRunners { count, reason });
        });
    }

    /// Reads numbers of runners with a reason, by profile.
    fn read_reasons<'a>(
        &mut self,
        entries: Vec<(&'a String, &'a Value)>,
        set: impl Fn(&mut ProfileReport, MissingRunners),
    ) {
        for (key, entry) in self.limited(entries, PROFILES_MAX) {
            let profile = key.parse().ok();
            let profile = profile.and_then(|key: ProfileKey| self.profiles.get_mut(&key));
            let entry = MissingRunners::deserialize(entry);
            let entry = entry.ok().filter(|it| it.count as u64 <= COUNT_MAX);
            match (profile, entry) {
                (Some(profile), Some(MissingRunners { count, reason })) => {
                    let reason: String = reason.chars().take(TEXT_LENGTH_MAX).collect();
                    let reason = printable(&reason).into_owned();
                    set(profile, MissingRunners { count, reason });
                }
                _ => self.unreadable_count += 1,
            }
        }
    }

    /// Takes a target that is no possible number to be what there is: the idle runners are assigned, and
    /// no job waits for others.
    fn replace_absurd_targets(&mut self) {
        for profile in self.profiles.values_mut() {
            if profile.target == ABSURD {
                profile.target = profile.idle.len();
            }
        }
    }

    fn read_runners(&mut self, dashboard: &Object) {
        let mut seen_twice = BTreeSet::new();
        let runners = self.part(dashboard, "runners", Value::as_array);
        for shown in self.limited(runners, RUNNERS_MAX) {
            let Some(shown) = Shown::read(shown) else {
                self.unreadable_count += 1;
                continue;
            };
            self.unreadable_count += usize::from(shown.is_partly_unreadable);
            if !self.runners.insert(shown.id) {
                seen_twice.insert(shown.id);
                self.unreadable_count += 1;
            }
            let key = match &shown.profile_key {
                Some(key) => Some(key.clone()),
                None => profile_by_name(&shown, self.profiles.keys()).cloned(),
            };
            if let Some(profile_key) = key
                && let Some(profile) = self.profiles.get_mut(&profile_key)
                && let Some(status) = shown.status
            {
                if status == RunnerStatus::Idle {
                    profile.idle.insert(shown.id);
                }
                let seen = SeenRunner {
                    profile_key,
                    status,
                    since: shown.since,
                    created_at: shown.created_at,
                };
                self.statuses.insert(shown.id, seen);
            }
            self.guests.extend(shown.guest);
        }
        // Which of its entries is right is unknown, so it is not assigned.
        for profile in self.profiles.values_mut() {
            profile.idle.retain(|id| !seen_twice.contains(id));
        }
    }

    fn read_reservations(&mut self, dashboard: &Object) {
        if dashboard.get("reservations").is_none_or(Value::is_null) {
            return;
        }
        let mut reservations = BTreeMap::new();
        let reported = self.part(dashboard, "reservations", Value::as_object);
        self.is_truncated = reported.len() > RESERVATIONS_MAX;
        for (unique_id, reservation) in self.limited(reported, RESERVATIONS_MAX) {
            let Ok(unique_id) = unique_id.parse() else {
                self.unreadable_count += 1;
                continue;
            };
            let read = ReservationReport::deserialize(reservation);
            self.unreadable_count += usize::from(read.is_err());
            // As long as it is there it has not ended, whatever it is.
            let reservation = read.unwrap_or(ReservationReport {
                runners: Vec::new(),
                state: ReservationState::Held,
                attempt: 1,
                enqueued_at: None,
                proof: None,
            });
            reservations.insert(unique_id, reservation);
        }
        self.reservations = Some(reservations);
    }

    fn read_orders(&mut self, dashboard: &Object) {
        match field::<Intervention>(dashboard, "drain") {
            Ok(drain) => self.drain = drain.map(Intervention::limited),
            Err(_) => self.unreadable_count += 1,
        }
        match field::<TargetOverride>(dashboard, "target_override") {
            Ok(Some(set)) if set.targets.len() > PROFILES_MAX => self.unreadable_count += 1,
            Ok(set) => {
                self.target_override = set.map(|set| {
                    let order = set.order.limited();
                    Box::new(TargetOverride { order, ..set })
                });
            }
            Err(_) => self.unreadable_count += 1,
        }
    }

    fn read_problems(&mut self, dashboard: &Object) {
        for entry in self.part(dashboard, "problems", Value::as_array) {
            match Problem::deserialize(entry) {
                Ok(problem) if is_code(&problem.code) => self.problems.push(shortened(problem)),
                _ => self.unreadable_count += 1,
            }
        }
        problem::sort(&mut self.problems);
        self.more_problems = self.problems.len().saturating_sub(PROBLEMS_MAX);
        self.problems.truncate(PROBLEMS_MAX);
    }

    /// How many reservations a queue with another key holds now. Monitors that report no proofs show none.
    pub fn foreign_count(&self) -> usize {
        let reservations = self.reservations.iter().flatten();
        let foreign = reservations.filter(|(unique_id, reservation)| {
            reservation.proof.is_some()
                && reservation.state != ReservationState::Finished
                && !self.proven.contains_key(*unique_id)
        });
        foreign.count()
    }

    /// The first entries; the others are counted.
    fn limited<T>(&mut self, mut entries: Vec<T>, count_max: usize) -> Vec<T> {
        self.unreadable_count += entries.len().saturating_sub(count_max);
        entries.truncate(count_max);
        entries
    }

    /// The entries of a part of the dashboard; none if it is missing or of another form.
    fn part<'a, T: IntoIterator>(
        &mut self,
        dashboard: &'a Object,
        name: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Vec<T::Item> {
        let part = dashboard.get(name).filter(|part| !part.is_null());
        let entries = part.map(read);
        self.unreadable_count += usize::from(entries.as_ref().is_some_and(Option::is_none));
        entries.flatten().into_iter().flatten().collect()
    }
}

/// Whether a text can be the code of a problem.
fn is_code(text: &str) -> bool {
    let is_allowed = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_';
    (1..=CODE_LENGTH_MAX).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// A problem of a server, with texts of limited length.
fn shortened(mut problem: Problem) -> Problem {
    for text in [
        &mut problem.subject,
        &mut problem.cause,
        &mut problem.remedy,
    ] {
        if let Some((end, _)) = text.char_indices().nth(PROBLEM_TEXT_MAX) {
            text.truncate(end);
            text.push('…');
        }
    }
    problem
}

/// Stands for a target that cannot be one.
const ABSURD: usize = usize::MAX;

/// Whether a text is as short as those of monitors are.
fn is_short(text: &str) -> bool {
    text.len() <= TEXT_LENGTH_MAX
}

type Object = Map<String, Value>;

/// A value of an unexpected form.
struct Unreadable;

/// A field's value; `None` if it is missing or null.
fn field<'a, T: Deserialize<'a>>(object: &'a Object, name: &str) -> Result<Option<T>, Unreadable> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::deserialize(value).map(Some).map_err(|_| Unreadable),
    }
}

/// A field's object; `None` if it is missing or null.
fn object<'a>(parent: Option<&'a Object>, name: &str) -> Result<Option<&'a Object>, Unreadable> {
    match parent.and_then(|parent| parent.get(name)) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_object().map(Some).ok_or(Unreadable),
    }
}

/// One entry of a dashboard's list of runners.
struct Shown {
    id: RunnerId,
    profile_key: Option<ProfileKey>,
    /// `None` if it cannot be read.
    status: Option<RunnerStatus>,
    since: Option<Timestamp>,
    created_at: Option<Timestamp>,
    /// The name of its registration.
    name: Option<String>,
    guest: Option<Guest>,
    is_partly_unreadable: bool,
}

impl Shown {
    /// Reads an entry; `None` if it has no id.
    fn read(entry: &Value) -> Option<Self> {
        let entry = entry.as_object()?;
        let id: RunnerId = field(entry, "id").ok().flatten()?;
        let status = field::<RunnerStatus>(entry, "status");
        let profile_key = field::<ProfileKey>(entry, "profile_key");
        let runner = object(Some(entry), "runner");
        let registration = object(runner.as_ref().ok().copied().flatten(), "registration");
        let is_partly_unreadable =
            status.is_err() || profile_key.is_err() || runner.is_err() || registration.is_err();
        let runner = runner.ok().flatten();
        let registration = registration.ok().flatten();
        let has_guest =
            runner.is_some_and(|it| matches!(it.get("guest_name"), Some(Value::String(_))));
        let name: Option<String> = registration.and_then(|it| field(it, "name").ok().flatten());
        let name = name.filter(|it: &String| is_short(it));
        let status = match (&status, &profile_key) {
            (Ok(Some(status)), Ok(_)) => Some(*status),
            (Ok(None), Ok(_)) => Some(match registration {
                Some(registration) if has_guest => status_by(registration),
                Some(_) => RunnerStatus::Invalid,
                None => RunnerStatus::Starting,
            }),
            _ => None,
        };
        let guest = || {
            Some(Guest {
                id,
                created_time: Some(runner?.get("created_time")?.to_string())
                    .filter(|it: &String| is_short(it))?,
                registration_id: field(registration?, "id").ok()??,
                name: name.clone()?,
            })
        };
        Some(Self {
            id,
            profile_key: profile_key.ok().flatten(),
            status,
            since: field(entry, "status_since").ok().flatten(),
            created_at: runner.and_then(created_at),
            guest: has_guest.then(guest).flatten(),
            name,
            is_partly_unreadable,
        })
    }
}

/// When the creation of a runner began.
fn created_at(runner: &Object) -> Option<Timestamp> {
    let created_time = object(Some(runner), "created_time").ok()??;
    let seconds = field(created_time, "secs_since_epoch").ok()??;
    Some(Timestamp::from_seconds(seconds))
}

/// The status of a runner of an older monitor, which follows from its registration.
fn status_by(registration: &Object) -> RunnerStatus {
    match field(registration, "busy") {
        Ok(Some(true)) => RunnerStatus::Busy,
        _ if is_free(registration) => RunnerStatus::Idle,
        _ if matches!(is_reserved(registration), Ok(true)) => RunnerStatus::Reserved,
        _ => RunnerStatus::Starting,
    }
}

/// Whether a registration, of an older monitor, is online, not busy and not reserved.
fn is_free(registration: &Object) -> bool {
    matches!(
        field(registration, "status"),
        Ok(Some(RegistrationStatus::Online))
    ) && matches!(field(registration, "busy"), Ok(Some(false)))
        && matches!(is_reserved(registration), Ok(false))
}

/// Whether a registration has the label of a reservation.
fn is_reserved(registration: &Object) -> Result<bool, Unreadable> {
    #[derive(Deserialize)]
    struct Label {
        name: String,
    }
    let labels = field::<Vec<Label>>(registration, "labels")?;
    let mut labels = labels.into_iter().flatten();
    Ok(labels.any(|label| label.name.starts_with("reserved-for:")))
}

/// The profile in a runner's name, `<prefix>-<profile_key>.<id>@<suffix>`. Each server has its own
/// prefix, so the longest known key that fits is taken.
fn profile_by_name<'a>(
    shown: &Shown,
    keys: impl Iterator<Item = &'a ProfileKey>,
) -> Option<&'a ProfileKey> {
    let (guest, _) = shown.name.as_deref()?.rsplit_once('@')?;
    let (base, _) = guest.rsplit_once('.')?;
    keys.filter(|key| {
        base.strip_suffix(key.as_str())
            .is_some_and(|rest| rest.ends_with('-'))
    })
    .max_by_key(|key| key.as_str().len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared::operator::NOTE_LENGTH_MAX;

    use super::*;

    fn counts(target: usize, idle: usize) -> serde_json::Value {
        json!({"target": target, "healthy": idle, "started_or_crashed": 0, "idle": idle, "reserved": 0, "busy": 0,
            "excess_healthy": 0, "wanted": 0, "image_age": null})
    }

    fn older_runner(
        id: u64,
        name: &str,
        status: &str,
        busy: bool,
        label: &str,
    ) -> serde_json::Value {
        json!({"id": id, "runner": {"id": id, "created_time": {"secs_since_epoch": 1, "nanos_since_epoch": 0},
            "registration": {"id": id, "busy": busy, "name": name, "status": status, "labels": [{"name": label}]},
            "guest_name": "guest", "ipv4_address": null}})
    }

    /// A runner as a current monitor shows it.
    fn current_runner(id: u64, status: &str) -> serde_json::Value {
        let mut runner = older_runner(id, "ci-runner-linux.1@a", "online", false, "x");
        runner["status"] = json!(status);
        runner["profile_key"] = json!("linux");
        runner
    }

    fn parse(dashboard: &serde_json::Value) -> Report {
        Report::parse(dashboard.to_string().as_bytes(), Timestamp::from_seconds(1)).unwrap()
    }

    fn idle(dashboard: &serde_json::Value, key: &str) -> Vec<RunnerId> {
        let report = parse(dashboard);
        let profile = report.profile(&key.parse().unwrap()).unwrap();
        profile.idle.iter().copied().collect()
    }

    #[test]
    fn the_runners_of_an_older_monitor_are_read_from_their_registrations() {
        let dashboard = json!({
            "profile_runner_counts": {"linux": counts(9, 1), "big-linux": counts(1, 1)},
            "runners": [
                older_runner(1, "ci-runner-linux.1@a", "online", false, "x"),
                older_runner(2, "ci-runner-linux.2@a", "online", true, "x"),
                older_runner(3, "ci-runner-linux.3@a", "offline", false, "x"),
                older_runner(4, "ci-runner-linux.4@a", "online", false, "reserved-for:job"),
                older_runner(5, "ci-runner-big-linux.5@a", "online", false, "x"),
                older_runner(6, "foreign", "online", false, "x"),
            ],
        });
        assert_eq!(idle(&dashboard, "linux"), [1]);
        assert_eq!(idle(&dashboard, "big-linux"), [5]);
    }

    #[test]
    fn a_reported_status_and_profile_count_more_than_a_registration() {
        let mut runner = older_runner(1, "ci-runner-linux.1@a", "online", false, "x");
        runner["status"] = json!("reserved");
        runner["profile_key"] = json!("linux");
        let mut other = older_runner(2, "whatever", "offline", false, "x");
        other["status"] = json!("idle");
        other["profile_key"] = json!("linux");
        let dashboard =
            json!({"profile_runner_counts": {"linux": counts(2, 1)}, "runners": [runner, other]});
        assert_eq!(idle(&dashboard, "linux"), [2]);
    }

    #[test]
    fn no_more_runners_are_idle_than_are_counted() {
        let dashboard = json!({
            "profile_runner_counts": {"linux": counts(2, 1)},
            "runners": [
                older_runner(1, "ci-runner-linux.1@a", "online", false, "x"),
                older_runner(2, "ci-runner-linux.2@a", "online", false, "x"),
            ],
        });
        assert_eq!(idle(&dashboard, "linux"), [1]);
    }

    #[test]
    fn a_runner_that_cannot_be_read_is_not_assigned_and_hides_no_other() {
        let good = current_runner(1, "idle");
        let changed = |change: fn(&mut serde_json::Value)| {
            let mut runner = current_runner(2, "idle");
            change(&mut runner);
            runner
        };
        for bad in [
            changed(|it| it["status"] = json!("hibernating")),
            changed(|it| it["status"] = json!(7)),
            changed(|it| it["id"] = json!(null)),
            changed(|it| it["id"] = json!(-2)),
            changed(|it| it["id"] = json!("2")),
            changed(|it| it["profile_key"] = json!("a b")),
            changed(|it| it["profile_key"] = json!(["linux"])),
            json!(null),
            json!("runner"),
            json!([]),
            json!({}),
        ] {
            let dashboard =
                json!({"profile_runner_counts": {"linux": counts(9, 9)}, "runners": [bad, good]});
            assert_eq!(idle(&dashboard, "linux"), [1], "{bad}");
            assert_eq!(parse(&dashboard).unreadable_count, 1, "{bad}");
        }
    }

    #[test]
    fn a_runner_of_which_only_its_status_and_profile_can_be_read_is_assigned_and_reported() {
        for path in ["/runner", "/runner/registration"] {
            let mut runner = current_runner(1, "idle");
            *runner.pointer_mut(path).unwrap() = json!("unreadable");
            let dashboard =
                json!({"profile_runner_counts": {"linux": counts(9, 9)}, "runners": [runner]});
            assert_eq!(idle(&dashboard, "linux"), [1], "{path}");
            assert_eq!(parse(&dashboard).unreadable_count, 1, "{path}");
        }
    }

    #[test]
    fn an_older_runner_with_missing_values_is_not_assigned_and_still_exists() {
        for (field, value) in [
            ("status", json!(null)),
            ("status", json!("unknown")),
            ("busy", json!(null)),
            ("labels", json!("x")),
            ("labels", json!([{"name": null}])),
        ] {
            let mut runner = older_runner(2, "ci-runner-linux.2@a", "online", false, "x");
            runner["runner"]["registration"][field] = value.clone();
            let dashboard =
                json!({"profile_runner_counts": {"linux": counts(9, 9)}, "runners": [runner]});
            let report = parse(&dashboard);
            assert!(idle(&dashboard, "linux").is_empty(), "{field}: {value}");
            assert!(report.runners.contains(&2), "{field}: {value}");
        }
    }

    #[test]
    fn a_runner_that_is_listed_twice_is_not_assigned() {
        let busy = current_runner(1, "busy");
        let runners = [current_runner(1, "idle"), busy, current_runner(2, "idle")];
        let dashboard =
            json!({"profile_runner_counts": {"linux": counts(9, 9)}, "runners": runners});
        assert_eq!(idle(&dashboard, "linux"), [2]);
        assert_eq!(parse(&dashboard).unreadable_count, 1);
    }

    #[test]
    fn a_profile_that_cannot_be_read_hides_no_other() {
        let too_long = "a".repeat(65);
        for (key, value) in [
            ("a b", counts(1, 1)),
            ("../etc", counts(1, 1)),
            ("", counts(1, 1)),
            (too_long.as_str(), counts(1, 1)),
            ("windows", json!(null)),
            ("windows", json!(3)),
            ("windows", json!({"target": -1})),
            ("windows", json!({"target": 1.5})),
            ("windows", json!({"target": "9"})),
        ] {
            let dashboard = json!({
                "profile_runner_counts": {key: value, "linux": counts(1, 1)},
                "runners": [current_runner(1, "idle")],
            });
            assert_eq!(idle(&dashboard, "linux"), [1], "{key}: {value}");
            let report = parse(&dashboard);
            assert_eq!(report.unreadable_count, 1, "{key}: {value}");
            let windows = report.profile(&"windows".parse().unwrap());
            assert!(windows.is_none_or(|profile| profile.target == 0));
        }
    }

    #[test]
    fn a_target_that_cannot_be_one_is_taken_to_be_what_is_idle() {
        let runners = [current_runner(1, "idle"), current_runner(2, "idle")];
        for (target, believed, unreadable_count) in [
            (json!(10_000), 10_000, 0),
            (json!(10_001), 2, 1),
            (json!(4_000_000_000_u64), 2, 1),
            (json!(u64::MAX - 1), 2, 1),
            (json!(u64::MAX), 2, 1),
            (json!(-1), 2, 1),
        ] {
            let mut counts = counts(0, 2);
            counts["target"] = target.clone();
            let dashboard = json!({"profile_runner_counts": {"linux": counts}, "runners": runners});
            let report = parse(&dashboard);
            let profile = report.profile(&"linux".parse().unwrap()).unwrap();
            assert_eq!(
                (profile.target, profile.idle.len()),
                (believed, 2),
                "{target}"
            );
            assert_eq!(report.unreadable_count, unreadable_count, "{target}");
        }
        for field in ["healthy", "idle"] {
            let mut counts = counts(1, 0);
            counts[field] = json!(10_001);
            let report = parse(&json!({"profile_runner_counts": {"linux": counts}}));
            assert_eq!(report.unreadable_count, 1, "{field}");
        }
        for target in ["1e300", "18446744073709551616", "-1"] {
            let json =
                format!(r#"{{"profile_runner_counts": {{"linux": {{"target": {target}}}}}}}"#);
            let report = Report::parse(json.as_bytes(), Timestamp::default()).unwrap();
            assert_eq!(report.unreadable_count, 1, "{target}");
        }
    }

    #[test]
    fn what_is_beyond_the_limits_is_left_out_and_counted() {
        let many = |count: usize| -> serde_json::Map<String, serde_json::Value> {
            let reservation = json!({"runners": [1], "state": "held"});
            (0..count)
                .map(|it| (format!("job-{it:05}"), reservation.clone()))
                .collect()
        };
        for beyond in [0, 3] {
            let report =
                parse(&json!({"runners": [], "reservations": many(RESERVATIONS_MAX + beyond)}));
            assert_eq!(report.reservations.unwrap().len(), RESERVATIONS_MAX);
            assert_eq!(
                (report.unreadable_count, report.is_truncated),
                (beyond, beyond > 0)
            );
            let runners: Vec<_> = (0..RUNNERS_MAX + beyond)
                .map(|id| json!({"id": id}))
                .collect();
            let report = parse(&json!({"runners": runners}));
            assert_eq!(
                (report.runners.len(), report.unreadable_count),
                (RUNNERS_MAX, beyond)
            );
            let profiles: serde_json::Map<_, _> = (0..PROFILES_MAX + beyond)
                .map(|it| (format!("profile-{it}"), counts(1, 0)))
                .collect();
            let report = parse(&json!({"profile_runner_counts": profiles}));
            assert_eq!(
                (report.profiles.len(), report.unreadable_count),
                (PROFILES_MAX, beyond)
            );
        }
    }

    #[test]
    fn what_is_missing_and_what_is_delayed_is_read_with_its_reason() {
        let entry = |count: u64| json!({"count": count, "reason": "it is\ndown"});
        let report = parse(&json!({
            "profile_runner_counts": {"linux": counts(3, 0), "windows": counts(3, 0)},
            "missing": {"linux": entry(2), "windows": entry(u64::MAX), "unknown": entry(1)},
            "delayed": {"linux": entry(1), "windows": "all"},
            "runners": [],
        }));
        let profile = |key: &str| report.profile(&key.parse().unwrap()).unwrap();
        let linux = profile("linux");
        assert_eq!(
            (linux.missing, &*linux.missing_because),
            (2, r"it is\ndown")
        );
        let delayed = linux.delayed.as_ref().unwrap();
        assert_eq!((delayed.count, &*delayed.reason), (1, r"it is\ndown"));
        assert_eq!(
            (profile("windows").missing, &profile("windows").delayed),
            (0, &None)
        );
        assert_eq!(report.unreadable_count, 3);
    }

    #[test]
    fn long_texts_are_not_kept() {
        let long = "x".repeat(TEXT_LENGTH_MAX + 1);
        let mut runner = current_runner(1, "idle");
        runner["runner"]["created_time"] = json!(long);
        let report = parse(&json!({"instance": long, "runners": [runner]}));
        assert_eq!((report.instance, report.guests.len()), (None, 0));
        let mut runner = current_runner(1, "idle");
        runner["runner"]["registration"]["name"] = json!(long);
        let report = parse(&json!({"instance": long[1..], "runners": [runner]}));
        assert_eq!(report.instance.as_deref(), Some(&long[1..]));
        assert_eq!(report.guests.len(), 0);
    }

    #[test]
    fn a_reservation_that_cannot_be_read_has_not_ended() {
        let dashboard = json!({
            "profile_runner_counts": {}, "runners": [],
            "reservations": {
                "good": {"runners": [1], "state": "used"},
                "bad": {"runners": [1], "state": "frozen"},
                "empty": null,
                "not a name": {"runners": [1], "state": "held"},
            },
        });
        let report = parse(&dashboard);
        let reservations = report.reservations.unwrap();
        let states: Vec<_> = reservations
            .iter()
            .map(|(job, it)| (job.as_str(), it.state))
            .collect();
        assert_eq!(
            states,
            [
                ("bad", ReservationState::Held),
                ("empty", ReservationState::Held),
                ("good", ReservationState::Used)
            ]
        );
        assert_eq!(report.unreadable_count, 3);
    }

    #[test]
    fn problems_are_limited_in_number_and_length_and_errors_come_first() {
        let problem = |code: &str, severity: &str, text: &str| json!({"code": code, "severity": severity, "subject": text, "cause": text, "remedy": text, "since": 1});
        let long = "é".repeat(PROBLEM_TEXT_MAX + 1);
        let mut problems = vec![
            json!(null),
            json!({"code": "a"}),
            problem("Not a code", "error", "x"),
        ];
        problems.extend(vec![problem("many", "warning", "x"); PROBLEMS_MAX + 1]);
        problems.push(problem("long", "error", &long));
        let report = parse(&json!({"runners": [], "problems": problems}));
        assert_eq!(report.unreadable_count, 3);
        assert_eq!(
            (report.problems.len(), report.more_problems),
            (PROBLEMS_MAX, 2)
        );
        assert_eq!(report.problems[0].code, "long");
        let expected = "é".repeat(PROBLEM_TEXT_MAX) + "…";
        assert_eq!(report.problems[0].subject, expected);
        assert_eq!(report.problems[0].remedy, expected);
        let report = parse(&json!({"runners": [], "problems": {}}));
        assert_eq!((report.unreadable_count, report.problems.len()), (1, 0));
    }

    #[test]
    fn a_report_is_as_new_as_its_poll_and_names_the_process_that_sent_it() {
        let report = parse(&json!({"runners": [], "instance": "one"}));
        assert_eq!(report.asked_at, Timestamp::from_seconds(1));
        assert_eq!(report.instance.as_deref(), Some("one"));
    }

    #[test]
    fn parts_of_another_form_count_as_empty() {
        for (field, value) in [
            ("runners", json!(null)),
            ("runners", json!({})),
            ("profile_runner_counts", json!(null)),
            ("profile_runner_counts", json!([])),
            ("reservations", json!(null)),
            ("instance", json!(7)),
        ] {
            let mut dashboard = json!({
                "profile_runner_counts": {"linux": counts(1, 1)},
                "runners": [current_runner(1, "idle")],
            });
            dashboard[field] = value;
            let report = parse(&dashboard);
            assert_eq!(report.reservations, None);
            assert_eq!(report.instance, None);
        }
    }

    #[test]
    fn what_is_not_a_monitors_dashboard_is_refused() {
        let parse = |text: &str| Report::parse(text.as_bytes(), Timestamp::default());
        for text in [
            "",
            "null",
            "[]",
            "{}",
            "<html>",
            r#"{"runners": ["#,
            "\u{0}",
        ] {
            assert_eq!(parse(text), Err(NotReport::Unknown), "{text}");
        }
        for queue in [
            r#"{"captured_at_micros": 1, "is_dispatching": true, "waiting_count": 0, "servers": []}"#,
            r#"{"is_dispatching": true}"#,
            r#"{"waiting_count": 0}"#,
        ] {
            assert_eq!(parse(queue), Err(NotReport::OfQueue), "{queue}");
        }
        assert_eq!(
            Report::parse(b"{\"runners\": [\"\xff\"]}", Timestamp::default()),
            Err(NotReport::Unknown)
        );
    }

    #[test]
    fn a_drain_is_read_with_a_note_of_limited_length() {
        let with = |drain: Value| parse(&json!({"runners": [], "drain": drain}));
        let note = "é".repeat(NOTE_LENGTH_MAX + 1);
        let order =
            json!({"since": 7, "note": note, "author": "alice", "client_address": "192.0.2.1"});
        let report = with(order);
        let drain = report.drain.unwrap();
        assert_eq!(drain.author, "alice");
        assert_eq!(
            (drain.since.as_micros(), drain.note.chars().count()),
            (7, NOTE_LENGTH_MAX)
        );
        assert_eq!(drain.client_address, Some([192, 0, 2, 1].into()));
        assert_eq!(with(Value::Null).drain, None);
        let report = with(json!("yes"));
        assert_eq!((report.drain, report.unreadable_count), (None, 1));
    }

    #[test]
    fn temporary_targets_are_read_with_their_order() {
        let with = |set: Value| parse(&json!({"runners": [], "target_override": set}));
        let note = "é".repeat(NOTE_LENGTH_MAX + 1);
        let targets = json!({"targets": {"linux": 3}, "since": 7, "note": note, "author": "alice"});
        let set = with(targets).target_override.unwrap();
        assert_eq!(
            (set.text().as_str(), &*set.order.author),
            ("3 of linux", "alice")
        );
        assert_eq!(set.order.note.chars().count(), NOTE_LENGTH_MAX);
        let keys = (0..=PROFILES_MAX).map(|index| (format!("p{index}"), json!(1)));
        let many: Map<String, Value> = keys.collect();
        for wrong in [json!("yes"), json!({"targets": many, "since": 7})] {
            let report = with(wrong);
            assert_eq!((report.target_override, report.unreadable_count), (None, 1));
        }
    }
}
