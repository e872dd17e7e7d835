//! What the queue knows about all servers: how fresh it is, what is idle, what it owes them.
//!
//! Owns the arithmetic of "how many runners can be taken there now": reported idle, less those
//! taken since, less those being asked for, less those that proved not to be there. Decides
//! nothing about jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    values::{Count, ProfileKey, UniqueId},
    wire::{ReservationReport, ReservationState},
};

use super::report::{ProfileReport, Report, RunnerId};

/// A server, by its place in the sorted list of their names.
pub type ServerId = usize;

/// How long a server that refused runners it had shown as idle is not asked for those again:
/// at first, and at most. Doubles with each refusal in a row.
const DISTRUST_FIRST: Duration = Duration::from_secs(1);
const DISTRUST_MAX: Duration = Duration::from_secs(60);

/// All servers.
#[derive(Debug)]
pub struct Fleet {
    servers: Vec<Server>,
    stale_after: Duration,
    /// Where there may be idle runners of a profile: so that an event touches only those.
    offers: BTreeMap<ProfileKey, BTreeMap<ServerId, usize>>,
    /// Where a profile has a target: so that an enqueue touches only those.
    targets: BTreeMap<ProfileKey, BTreeMap<ServerId, usize>>,
    /// Where a job's name holds or held runners.
    reservations: BTreeMap<UniqueId, BTreeSet<ServerId>>,
}

#[derive(Debug, Default)]
struct Server {
    name: String,
    report: Option<Report>,
    /// The last question that it answered: what it said is known to have been true then.
    confirmed_at: Option<Timestamp>,
    /// Whether somebody is set to notice when its last word becomes too old.
    is_watched: bool,
    /// Whether anything failed since its last answer.
    is_failing: bool,
    /// Answers to questions asked before this moment do not count as a sign of health.
    suspected_at: Option<Timestamp>,
    /// Granted runners that its report may still show as idle.
    granted: BTreeSet<RunnerId>,
    /// Forwards without an answer, by job and attempt.
    pending: BTreeMap<(UniqueId, u64), (ProfileKey, Count)>,
    /// Idle runners that could not be had.
    distrusted: BTreeMap<ProfileKey, Distrust>,
}

#[derive(Debug)]
struct Distrust {
    runners: BTreeSet<RunnerId>,
    until: Timestamp,
    length: Duration,
}

/// How a server looks from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Its last word is young enough to be used.
    Fresh,
    /// It has said nothing for a while.
    Stale,
    /// It could not be asked, or never answered.
    Down,
}

impl Fleet {
    /// The servers of these names, none of which has said anything yet.
    pub fn new(names: &[String], stale_after: Duration) -> Self {
        let servers = names
            .iter()
            .map(|name| Server {
                name: name.clone(),
                ..Server::default()
            })
            .collect();
        Self {
            servers,
            stale_after,
            offers: BTreeMap::new(),
            targets: BTreeMap::new(),
            reservations: BTreeMap::new(),
        }
    }

    /// Every server.
    pub fn ids(&self) -> std::ops::Range<ServerId> {
        0..self.servers.len()
    }

    /// A server's base URL.
    pub fn name(&self, server: ServerId) -> &str {
        &self.servers[server].name
    }

    /// A server's last word.
    pub fn report(&self, server: ServerId) -> Option<&Report> {
        self.servers[server].report.as_ref()
    }

    /// The last question that it answered was asked then.
    pub fn confirmed_at(&self, server: ServerId) -> Option<Timestamp> {
        self.servers[server].confirmed_at
    }

    /// How a server looks from here.
    pub fn health(&self, server: ServerId, now: Timestamp) -> Health {
        let server = &self.servers[server];
        match server.confirmed_at {
            None => Health::Down,
            Some(_) if server.is_failing => Health::Down,
            Some(confirmed_at) if now.since(confirmed_at) > self.stale_after => Health::Stale,
            Some(_) => Health::Fresh,
        }
    }

    /// When its last word will be too old to be used.
    pub fn stale_at(&self, server: ServerId) -> Option<Timestamp> {
        Some(self.servers[server].confirmed_at? + self.stale_after + Duration::from_micros(1))
    }

    /// Remembers whether somebody is set to notice when the server's last word becomes too old;
    /// returns what was remembered before.
    pub fn set_watched(&mut self, server: ServerId, is_watched: bool) -> bool {
        std::mem::replace(&mut self.servers[server].is_watched, is_watched)
    }

    /// The profiles that its last report names.
    pub fn profiles(&self, server: ServerId) -> Vec<ProfileKey> {
        self.report(server)
            .map(|report| report.profiles.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// A server answered with a report. One that was asked for before the last is ignored: `false`.
    pub fn reported(&mut self, server: ServerId, report: Report) -> bool {
        if self.servers[server]
            .confirmed_at
            .is_some_and(|confirmed_at| report.asked_at < confirmed_at)
        {
            return false;
        }
        let mut touched: BTreeSet<ProfileKey> = self.profiles(server).into_iter().collect();
        touched.extend(report.profiles.keys().cloned());
        self.index_reservations(server, &report);
        let known = &mut self.servers[server];
        known.confirm(report.asked_at);
        known.granted.retain(|runner| {
            report
                .profiles
                .values()
                .any(|profile| profile.idle.contains(runner))
        });
        known.report = Some(report);
        for key in &touched {
            self.index(server, key);
        }
        true
    }

    /// A server answered that its last report still holds.
    pub fn unchanged(&mut self, server: ServerId, asked_at: Timestamp) {
        let known = &mut self.servers[server];
        let is_news = known
            .confirmed_at
            .is_none_or(|confirmed_at| asked_at >= confirmed_at);
        if let Some(report) = known.report.as_mut().filter(|_| is_news) {
            // What it did not mention then it would not mention now.
            report.asked_at = asked_at;
            known.confirm(asked_at);
        }
    }

    /// A server failed: nothing asked of it before now counts any more.
    pub fn failed(&mut self, server: ServerId, now: Timestamp) {
        let known = &mut self.servers[server];
        known.is_failing = true;
        known.suspected_at = Some(now);
    }

    /// Runners are about to be asked for.
    pub fn begin_forward(
        &mut self,
        server: ServerId,
        job: (UniqueId, u64),
        key: &ProfileKey,
        count: Count,
    ) {
        self.servers[server]
            .pending
            .insert(job, (key.clone(), count));
        self.index(server, key);
    }

    /// The question has its answer, or nobody waits for it any more. The server may now be asked
    /// for more runners of the profile that is returned, if it was still open.
    pub fn end_forward(&mut self, server: ServerId, job: (UniqueId, u64)) -> Option<ProfileKey> {
        let (key, _) = self.servers[server].pending.remove(&job)?;
        self.index(server, &key);
        Some(key)
    }

    /// A server granted these runners of `key`: they are not idle, whatever an older report says.
    pub fn granted(
        &mut self,
        server: ServerId,
        key: &ProfileKey,
        runners: impl Iterator<Item = RunnerId>,
    ) {
        let known = &mut self.servers[server];
        known.granted.extend(runners);
        known.distrusted.remove(key);
        self.index(server, key);
    }

    /// A server took these runners back.
    pub fn released(
        &mut self,
        server: ServerId,
        key: &ProfileKey,
        runners: impl Iterator<Item = RunnerId>,
    ) {
        for runner in runners {
            self.servers[server].granted.remove(&runner);
        }
        self.index(server, key);
    }

    /// A server gave nothing although it shows idle runners: those are not asked for again before
    /// the moment that is returned. Others that become idle are.
    pub fn distrust(&mut self, server: ServerId, key: &ProfileKey, now: Timestamp) -> Timestamp {
        let known = &mut self.servers[server];
        let idle = known
            .profile(key)
            .map(|profile| profile.idle.clone())
            .unwrap_or_default();
        let length = known
            .distrusted
            .get(key)
            .map_or(DISTRUST_FIRST, |last| (last.length * 2).min(DISTRUST_MAX));
        let until = now + length;
        known.distrusted.insert(
            key.clone(),
            Distrust {
                runners: idle,
                until,
                length,
            },
        );
        self.index(server, key);
        until
    }

    /// The time of mistrust may be over.
    pub fn trust_again(&mut self, server: ServerId, key: &ProfileKey, now: Timestamp) {
        if let Some(distrust) = self.servers[server].distrusted.get_mut(key)
            && now >= distrust.until
        {
            // The length stays, so that the next refusal in a row is met with a longer one.
            distrust.runners.clear();
            self.index(server, key);
        }
    }

    /// The servers that can be asked for runners of `key` now, and for how many.
    pub fn offers(&self, key: &ProfileKey, now: Timestamp) -> Vec<(ServerId, usize)> {
        self.fresh_in(&self.offers, key, now).collect()
    }

    /// How many runners of `key` the servers that answer can have at all.
    pub fn reach(&self, key: &ProfileKey, now: Timestamp) -> usize {
        let idle = |server: ServerId| {
            let profile = self.servers[server].profile(key);
            profile.map_or(0, |profile| profile.idle.len())
        };
        let wanted = self.fresh_in(&self.targets, key, now);
        let within = wanted.map(|(server, target)| target.max(idle(server)));
        // A server that is to have none may still have some that are idle.
        let targets = self.targets.get(key);
        let unwanted = self
            .fresh_in(&self.offers, key, now)
            .filter(|(server, _)| !targets.is_some_and(|targets| targets.contains_key(server)));
        let beyond = unwanted.map(|(server, _)| idle(server));
        within.chain(beyond).sum()
    }

    /// Whether the servers that answer are set up to have `wanted` runners of `key`. Cheap when
    /// the first one already is.
    pub fn can_have(&self, key: &ProfileKey, wanted: usize, now: Timestamp) -> bool {
        let mut target_sum = 0;
        self.fresh_in(&self.targets, key, now).any(|(_, target)| {
            target_sum += target;
            target_sum >= wanted
        })
    }

    /// How many runners of `key` the servers that answer are set up to have.
    pub fn target(&self, key: &ProfileKey, now: Timestamp) -> usize {
        self.fresh_in(&self.targets, key, now)
            .map(|(_, target)| target)
            .sum()
    }

    /// Whether every server answers.
    pub fn is_all_fresh(&self, now: Timestamp) -> bool {
        self.ids()
            .all(|server| self.health(server, now) == Health::Fresh)
    }

    /// What servers last said they hold, or held, for a job of this name.
    pub fn reservations(&self, unique_id: &UniqueId) -> Vec<(ServerId, &ReservationReport)> {
        let servers = self.reservations.get(unique_id).into_iter().flatten();
        servers
            .filter_map(|&server| {
                let reservations = self.report(server)?.reservations.as_ref()?;
                Some((server, reservations.get(unique_id)?))
            })
            .collect()
    }

    /// Whether a job of this name that was enqueued at `enqueued_at` has had its runners, and
    /// they are gone.
    pub fn has_served(&self, unique_id: &UniqueId, enqueued_at: Timestamp) -> bool {
        self.reservations(unique_id).iter().any(|(_, reservation)| {
            reservation.state == ReservationState::Served && is_of_job(reservation, enqueued_at)
        })
    }

    /// Whether a server last said that it holds, or held, runners for a job of this name that was
    /// enqueued at `enqueued_at`.
    pub fn is_held(&self, server: ServerId, unique_id: &UniqueId, enqueued_at: Timestamp) -> bool {
        self.reservations(unique_id)
            .iter()
            .any(|&(holding, it)| holding == server && is_of_job(it, enqueued_at))
    }

    /// What a server reported to hold for a job is known to be gone.
    pub fn forget_reservation(&mut self, server: ServerId, unique_id: &UniqueId) {
        let report = self.servers[server].report.as_mut();
        if let Some(reservations) = report.and_then(|report| report.reservations.as_mut())
            && reservations.remove(unique_id).is_some()
        {
            set_remove(&mut self.reservations, unique_id, server);
        }
    }

    fn fresh_in<'a>(
        &'a self,
        index: &'a BTreeMap<ProfileKey, BTreeMap<ServerId, usize>>,
        key: &ProfileKey,
        now: Timestamp,
    ) -> impl Iterator<Item = (ServerId, usize)> + 'a {
        let entries = index.get(key).into_iter().flatten();
        entries
            .map(|(&server, &number)| (server, number))
            .filter(move |&(server, _)| self.health(server, now) == Health::Fresh)
    }

    /// Brings the indices up to date for one server and profile.
    fn index(&mut self, server: ServerId, key: &ProfileKey) {
        let known = &self.servers[server];
        set(&mut self.offers, key, server, known.available(key));
        set(
            &mut self.targets,
            key,
            server,
            known.profile(key).map_or(0, |profile| profile.target),
        );
    }

    fn index_reservations(&mut self, server: ServerId, report: &Report) {
        let reservations_of = |report: &Report| -> BTreeSet<UniqueId> {
            report
                .reservations
                .iter()
                .flat_map(|reservations| reservations.keys().cloned())
                .collect()
        };
        let before = self.report(server).map(reservations_of).unwrap_or_default();
        let after = reservations_of(report);
        for gone in before.difference(&after) {
            set_remove(&mut self.reservations, gone, server);
        }
        for new in after.difference(&before) {
            self.reservations
                .entry(new.clone())
                .or_default()
                .insert(server);
        }
    }
}

/// Whether a reservation can be of a job enqueued at `enqueued_at`, and not of an earlier one
/// that had the same name: an attempt is never smaller than the moment it was made at.
pub fn is_of_job(reservation: &ReservationReport, enqueued_at: Timestamp) -> bool {
    reservation.attempt >= enqueued_at.as_micros()
}

fn set<K: Ord + Clone>(
    index: &mut BTreeMap<K, BTreeMap<ServerId, usize>>,
    key: &K,
    server: ServerId,
    number: usize,
) {
    if number > 0 {
        index.entry(key.clone()).or_default().insert(server, number);
    } else if let Some(servers) = index.get_mut(key) {
        servers.remove(&server);
        if servers.is_empty() {
            index.remove(key);
        }
    }
}

fn set_remove(
    index: &mut BTreeMap<UniqueId, BTreeSet<ServerId>>,
    unique_id: &UniqueId,
    server: ServerId,
) {
    if let Some(servers) = index.get_mut(unique_id) {
        servers.remove(&server);
        if servers.is_empty() {
            index.remove(unique_id);
        }
    }
}

impl Server {
    fn confirm(&mut self, asked_at: Timestamp) {
        self.confirmed_at = Some(asked_at);
        // A question asked before something went wrong may have been answered from before it.
        if self
            .suspected_at
            .is_none_or(|suspected_at| asked_at >= suspected_at)
        {
            self.is_failing = false;
        }
    }

    fn profile(&self, key: &ProfileKey) -> Option<&ProfileReport> {
        self.report.as_ref()?.profile(key)
    }

    /// How many idle runners of `key` can be asked for.
    fn available(&self, key: &ProfileKey) -> usize {
        let Some(profile) = self.profile(key) else {
            return 0;
        };
        let distrusted = self.distrusted.get(key).map(|distrust| &distrust.runners);
        let is_there = |runner: &&RunnerId| {
            !self.granted.contains(runner)
                && !distrusted.is_some_and(|distrusted| distrusted.contains(runner))
        };
        let pending = self
            .pending
            .values()
            .filter(|(pending, _)| pending == key)
            .map(|(_, count)| count.get());
        profile
            .idle
            .iter()
            .filter(is_there)
            .count()
            .saturating_sub(pending.sum())
    }
}
