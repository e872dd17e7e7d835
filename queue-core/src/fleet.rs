//! What the queue knows about all servers: how fresh it is, what is idle, what it owes them.
//!
//! Owns the indices by which an event touches only the servers and profiles that it concerns.
//! What is known of a single server is in `server`. Decides nothing about jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    values::{Count, ProfileKey, UniqueId},
    wire::{ReservationReport, ReservationState},
};

pub use super::server::Health;
use super::{
    report::{Report, RunnerId},
    server::Server,
};

/// A server, by its place in the sorted list of their names.
pub type ServerId = usize;

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
        self.servers[server].health(self.stale_after, now)
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
        let until = self.servers[server].distrust(key, now);
        self.index(server, key);
        until
    }

    /// The time of mistrust may be over.
    pub fn trust_again(&mut self, server: ServerId, key: &ProfileKey, now: Timestamp) {
        if self.servers[server].trust_again(key, now) {
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

/// Whether a reservation is of the job of this name that was enqueued at `enqueued_at`, and not of
/// an earlier one. One that a queue made and whose time of enqueueing its monitor does not report
/// (an older monitor, or an older queue) is taken to be: names are hardly ever used twice.
pub fn is_of_job(reservation: &ReservationReport, enqueued_at: Timestamp) -> bool {
    match reservation.enqueued_at {
        Some(reserved) => reserved >= enqueued_at,
        None => reservation.attempt > 0,
    }
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
