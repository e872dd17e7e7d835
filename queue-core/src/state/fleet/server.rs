//! What is known about one server: its last report, and what has happened since.
//!
//! Responsible for how many of its runners can be requested now: those reported as idle, less those
//! granted since, those requested at the moment, and those in quarantine.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{
    backoff::{Backoff, Failures},
    clock::Timestamp,
    values::{Count, FencingToken, ProfileKey, UniqueId},
};

use super::{
    reached::Reached,
    report::{ProfileReport, Report, RunnerId},
};

/// How long runners stay in quarantine that were reported as idle and could not be had.
const QUARANTINE: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(60),
    jitter_percent: 25,
};

/// How many refusals in a row are a problem: a single one is a race with another reader of the report.
const REFUSALS_MIN: u32 = 2;
/// How long a server that refused runners or the token still counts as refusing once it may be asked again: the
/// next job shows it.
const REFUSING_FOR: Duration = Duration::from_secs(60);

/// How long a server that refuses the API token is not asked for runners.
const TOKEN_REFUSED: Backoff = Backoff {
    first: Duration::from_secs(5),
    max: Duration::from_secs(60),
    jitter_percent: 25,
};

/// One server.
#[derive(Debug, Default)]
pub(super) struct Server {
    name: String,
    report: Option<Report>,
    /// When the last poll that it answered was sent: its report was true then.
    confirmed_at: Option<Timestamp>,
    has_stale_timer: bool,
    /// Why a request failed since its last answer, and when the first did.
    failure: Option<(ServerFailure, Timestamp)>,
    /// Since when its reports have entries that cannot be read.
    unreadable_since: Option<Timestamp>,
    /// Since when its reports have reservations of another queue.
    shared_since: Option<Timestamp>,
    /// Set while it refuses the API token.
    token_refusal: Option<TokenRefusal>,
    /// When what it is recognised by was first received: its `instance`, or its guests.
    identity_since: Timestamp,
    /// Answers to polls sent before this time are no sign of health.
    failed_at: Option<Timestamp>,
    /// Granted runners that its report may still show as idle, and when they were granted.
    granted: BTreeMap<RunnerId, Timestamp>,
    /// Since when it grants runners with labels that cannot be theirs.
    invalid_grants_since: Option<Timestamp>,
    /// Forwards that have not ended.
    open_forwards: BTreeMap<(UniqueId, FencingToken), (ProfileKey, Count)>,
    quarantines: BTreeMap<ProfileKey, Quarantine>,
    /// How many runners of each profile it has had of late.
    reached: BTreeMap<ProfileKey, Reached>,
}

/// The refusals of the API token by a server.
#[derive(Debug)]
struct TokenRefusal {
    since: Timestamp,
    last_at: Timestamp,
    /// Whether it refused a poll: then a poll that it answers shows that it accepts the token.
    has_refused_poll: bool,
    failures: Failures,
}

/// Why a request to a server failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFailure {
    /// There was no connection, or no complete response in time. What failed: a clause, or empty.
    NoResponse(String),
    /// Its monitor answered a poll that it is not ready, for this reason.
    NotReady(String),
    /// It answered a poll with this status.
    Status(u16),
    /// It answered a poll with a redirect.
    Redirect,
    /// It answered a poll with the dashboard of a queue.
    IsQueue,
    /// It answered a poll with something that is not a dashboard.
    NoDashboard,
}

/// Runners of one profile that are left out for a while.
#[derive(Debug, Default)]
struct Quarantine {
    runners: BTreeSet<RunnerId>,
    failures: Failures,
    /// Why it did not assign them; may be empty.
    reason: String,
}

/// Runners that a server reports as idle and has refused to assign.
#[derive(Debug, PartialEq, Eq)]
pub struct Quarantined<'a> {
    pub count: usize,
    /// When it is asked for them again.
    pub until: Timestamp,
    /// Why it refused them, in its words; may be empty.
    pub reason: &'a str,
}

/// A server that refuses runners which it reports as idle.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusing<'a> {
    pub profile_key: &'a ProfileKey,
    /// How often in a row.
    pub count: u32,
    pub since: Timestamp,
    /// Why, in the server's words; may be empty.
    pub reason: &'a str,
}

/// Whether a server's report can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Its report is recent enough.
    Fresh,
    /// It has not answered for a while.
    Stale,
    /// A request to it failed, or it never answered.
    Down,
    /// It refuses the API token.
    Unauthorised,
}

impl Server {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// When the last poll that it answered was sent.
    pub(super) fn confirmed_at(&self) -> Option<Timestamp> {
        self.confirmed_at
    }

    pub(super) fn health(&self, stale_after: Duration, now: Timestamp) -> Health {
        match self.confirmed_at {
            _ if self.token_refused_since(now).is_some() => Health::Unauthorised,
            None => Health::Down,
            Some(_) if self.failure.is_some() => Health::Down,
            Some(confirmed_at) if now.since(confirmed_at) > stale_after => Health::Stale,
            Some(_) => Health::Fresh,
        }
    }

    /// Whether its report can be used to ask it for runners. That includes one that has refused the
    /// API token, from time to time: only such a request shows that it now accepts it.
    pub(super) fn is_usable(&self, stale_after: Duration, now: Timestamp) -> bool {
        let is_fresh = self.failure.is_none()
            && self
                .confirmed_at
                .is_some_and(|confirmed_at| now.since(confirmed_at) <= stale_after);
        let refusal = self.token_refusal.as_ref();
        is_fresh && refusal.is_none_or(|refusal| now >= refusal.failures.retry_at())
    }

    /// Why it is failing, and since when.
    pub(super) fn failure(&self) -> Option<(ServerFailure, Timestamp)> {
        self.failure.clone()
    }

    /// Since when it refuses the API token, if that is the last that is known of it: a request may have failed
    /// otherwise since, or there has been none that showed it for a while, as when no job waits and it does not
    /// check the token in polls.
    pub(super) fn token_refused_since(&self, now: Timestamp) -> Option<Timestamp> {
        let refusal = self.token_refusal.as_ref()?;
        let has_failed_since = self.failure.is_some() && self.failed_at > Some(refusal.last_at);
        let is_current = now < refusal.failures.retry_at() + REFUSING_FOR;
        (is_current && !has_failed_since).then_some(refusal.since)
    }

    /// Since when its reports have entries that cannot be read, if they have.
    pub(super) fn unreadable_since(&self) -> Option<Timestamp> {
        self.unreadable_since
    }

    /// Since when its reports have reservations of another queue, if they have.
    pub(super) fn shared_since(&self) -> Option<Timestamp> {
        self.shared_since
    }

    /// When what it is recognised by was first received.
    pub(super) fn identity_since(&self) -> Timestamp {
        self.identity_since
    }

    /// How many runners of a profile it has had of late.
    pub(super) fn reached(&self, key: &ProfileKey) -> Option<&Reached> {
        self.reached.get(key)
    }

    /// Sets whether `Timer::Stale` is set, and returns whether it was before.
    pub(super) fn set_stale_timer(&mut self, is_set: bool) -> bool {
        std::mem::replace(&mut self.has_stale_timer, is_set)
    }

    /// Whether an answer to a poll sent at `asked_at` is newer than what is known.
    pub(super) fn is_news(&self, asked_at: Timestamp) -> bool {
        self.confirmed_at
            .is_none_or(|confirmed_at| asked_at >= confirmed_at)
    }

    pub(super) fn set_report(&mut self, report: Report, now: Timestamp) {
        self.confirm(report.asked_at);
        let is_recognised = self.report.as_ref().is_some_and(|last| {
            last.instance == report.instance
                && (last.instance.is_some() || last.guests == report.guests)
        });
        self.unreadable_since =
            (report.unreadable_count > 0).then(|| self.unreadable_since.unwrap_or(now));
        self.shared_since = (report.foreign_count() > 0).then(|| self.shared_since.unwrap_or(now));
        if !is_recognised {
            self.identity_since = now;
        }
        self.reached.retain(|key, _| report.profile(key).is_some());
        for (key, profile) in &report.profiles {
            let reached = self.reached.entry(key.clone()).or_default();
            reached.record(profile.target, profile.existing, now);
        }
        self.granted.retain(|runner, _| {
            let mut profiles = report.profiles.values();
            profiles.any(|profile| profile.idle.contains(runner))
        });
        self.report = Some(report);
        self.forget_released();
    }

    /// Forgets granted runners that are idle again according to the report: their reservation was
    /// released by hand.
    fn forget_released(&mut self) {
        let Some(report) = &self.report else {
            return;
        };
        // Older monitors do not report reservations: what they show as idle may be granted.
        let Some(reservations) = &report.reservations else {
            return;
        };
        // What was granted after the poll was sent may be missing in its answer.
        let is_old = |granted_at: &Timestamp| report.asked_at > *granted_at;
        if report.is_truncated || !self.granted.values().any(is_old) {
            return;
        }
        let reserved: BTreeSet<RunnerId> = reservations
            .values()
            .flat_map(|reservation| reservation.runners.iter().copied())
            .collect();
        self.granted
            .retain(|runner, granted_at| !is_old(granted_at) || reserved.contains(runner));
    }

    /// Records that its report was still true when a poll was sent at `asked_at`.
    pub(super) fn confirm_report(&mut self, asked_at: Timestamp) {
        if let Some(report) = &mut self.report {
            // What was missing in the report was still missing then.
            report.asked_at = asked_at;
            self.confirm(asked_at);
        }
    }

    /// Since when it grants runners with labels that cannot be theirs, if it does.
    pub(super) fn invalid_grants_since(&self) -> Option<Timestamp> {
        self.invalid_grants_since
    }

    /// Records whether what it granted was valid.
    pub(super) fn set_grants_valid(&mut self, is_valid: bool, now: Timestamp) {
        let since = self.invalid_grants_since;
        self.invalid_grants_since = (!is_valid).then(|| since.unwrap_or(now));
    }

    /// Removes a reservation from its report, if it is there.
    pub(super) fn forget_reservation(&mut self, unique_id: &UniqueId) {
        if let Some(report) = &mut self.report {
            report.proven.remove(unique_id);
            if let Some(reservations) = &mut report.reservations {
                reservations.remove(unique_id);
            }
        }
    }

    pub(super) fn set_failing(&mut self, failure: ServerFailure, now: Timestamp) {
        let since = self.failure.as_ref().map_or(now, |(_, since)| *since);
        self.failure = Some((failure, since));
        self.failed_at = Some(now);
    }

    /// Records that it refused the API token; returns when it may be asked again.
    pub(super) fn refuse_token(&mut self, by_poll: bool, now: Timestamp) -> Timestamp {
        let refusal = self.token_refusal.get_or_insert(TokenRefusal {
            since: now,
            last_at: now,
            has_refused_poll: false,
            failures: Failures::default(),
        });
        refusal.last_at = now;
        refusal.has_refused_poll |= by_poll;
        refusal.failures.record(now, TOKEN_REFUSED, Duration::ZERO);
        refusal.failures.retry_at()
    }

    /// Records that it accepted the API token; `false` if it did before.
    pub(super) fn accept_token(&mut self) -> bool {
        self.token_refusal.take().is_some()
    }

    /// Records that targets which it has not reached for a while are no longer believed; `false` if
    /// that changes nothing.
    pub(super) fn review_reached(&mut self, now: Timestamp) -> bool {
        let mut is_changed = false;
        for reached in self.reached.values_mut() {
            is_changed |= reached.review(now);
        }
        is_changed
    }

    pub(super) fn begin_forward(
        &mut self,
        forward: (UniqueId, FencingToken),
        key: ProfileKey,
        count: Count,
    ) {
        self.open_forwards.insert(forward, (key, count));
    }

    /// The profile of a forward that ends, unless it has ended before.
    pub(super) fn end_forward(&mut self, forward: &(UniqueId, FencingToken)) -> Option<ProfileKey> {
        let (key, _) = self.open_forwards.remove(forward)?;
        Some(key)
    }

    /// Records granted runners, which ends the quarantine of their profile.
    pub(super) fn add_granted(
        &mut self,
        key: &ProfileKey,
        runners: impl Iterator<Item = RunnerId>,
        now: Timestamp,
    ) {
        self.granted.extend(runners.map(|runner| (runner, now)));
        self.quarantines.remove(key);
    }

    pub(super) fn remove_granted(&mut self, runners: impl Iterator<Item = RunnerId>) {
        for runner in runners {
            self.granted.remove(&runner);
        }
    }

    /// Puts the runners that it reports as idle in quarantine, and returns until when.
    pub(super) fn quarantine(
        &mut self,
        key: &ProfileKey,
        reason: &str,
        now: Timestamp,
    ) -> Timestamp {
        let idle = self.profile(key).map(|profile| profile.idle.clone());
        let quarantine = self.quarantines.entry(key.clone()).or_default();
        quarantine.runners = idle.unwrap_or_default();
        quarantine.failures.record(now, QUARANTINE, Duration::ZERO);
        quarantine.reason = reason.to_owned();
        quarantine.failures.retry_at()
    }

    /// The runners of a profile that it reports as idle and that are in quarantine; `None` if there are none.
    pub(super) fn quarantined(&self, key: &ProfileKey) -> Option<Quarantined<'_>> {
        let quarantine = self.quarantines.get(key)?;
        let idle = &self.profile(key)?.idle;
        let count = idle.intersection(&quarantine.runners).count();
        (count > 0).then(|| Quarantined {
            count,
            until: quarantine.failures.retry_at(),
            reason: &quarantine.reason,
        })
    }

    /// The profiles of which it has refused runners several times in a row, the last time a short while ago.
    pub(super) fn refusing(&self, now: Timestamp) -> impl Iterator<Item = Refusing<'_>> {
        self.quarantines
            .iter()
            .filter_map(move |(key, quarantine)| {
                let failures = &quarantine.failures;
                let is_current = now < failures.retry_at() + REFUSING_FOR;
                (failures.count() >= REFUSALS_MIN && is_current).then_some(Refusing {
                    profile_key: key,
                    count: failures.count(),
                    since: failures.since()?,
                    reason: &quarantine.reason,
                })
            })
    }

    /// Ends a quarantine whose time is over; `false` if there is none, or a longer one.
    pub(super) fn end_quarantine(&mut self, key: &ProfileKey, now: Timestamp) -> bool {
        let quarantine = self.quarantines.get_mut(key);
        let over = quarantine.filter(|quarantine| now >= quarantine.failures.retry_at());
        // The failures stay, so that the next one in a row leads to a longer quarantine.
        over.map(|quarantine| quarantine.runners.clear()).is_some()
    }

    pub(super) fn profile(&self, key: &ProfileKey) -> Option<&ProfileReport> {
        self.report.as_ref()?.profile(key)
    }

    /// How many idle runners of a profile can be requested.
    pub(super) fn available(&self, key: &ProfileKey) -> usize {
        let Some(profile) = self.profile(key) else {
            return 0;
        };
        let quarantined = self.quarantines.get(key).map(|it| &it.runners);
        let is_available = |runner: &&RunnerId| {
            !self.granted.contains_key(runner)
                && !quarantined.is_some_and(|quarantined| quarantined.contains(runner))
        };
        profile
            .idle
            .iter()
            .filter(is_available)
            .count()
            .saturating_sub(self.requested(key))
    }

    /// How many runners of a profile it is being asked for.
    pub(super) fn requested(&self, key: &ProfileKey) -> usize {
        let open = self.open_forwards.values();
        let requested = open.filter(|(requested, _)| requested == key);
        requested.map(|(_, count)| count.get()).sum()
    }

    /// Records an answer to a poll sent at `asked_at`.
    fn confirm(&mut self, asked_at: Timestamp) {
        self.confirmed_at = Some(asked_at);
        // The answer to a poll sent before a failure may be from before it.
        if self.failed_at.is_none_or(|failed_at| asked_at >= failed_at) {
            self.failure = None;
            if self
                .token_refusal
                .as_ref()
                .is_some_and(|it| it.has_refused_poll)
            {
                self.token_refusal = None;
            }
        }
    }
}
