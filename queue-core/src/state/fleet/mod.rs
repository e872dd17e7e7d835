//! All servers: how fresh their reports are, what can be requested there, what they reserve.
//!
//! Responsible for the indices by which an input touches only the servers and profiles that it
//! concerns. Not responsible for jobs. What is known about one server is in `server`.

mod identity;
mod reached;
mod report;
mod server;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    values::{Count, FencingToken, ProfileKey, UniqueId},
    wire::{ReservationReport, ReservationState},
};

use self::{identity::Identities, reached::Reached, server::Server};
pub use self::{
    report::{Guest, NotReport, ProfileReport, Report, RunnerId, SeenRunner},
    server::{Health, Quarantined, Refusing, ServerFailure},
};
use crate::event::ServerRunners;

/// How long the targets in a server's last report decide which jobs are accepted. The monitors in
/// production answer no poll for seconds after each take.
const TARGETS_KNOWN_FOR: Duration = Duration::from_secs(5 * 60);
/// After so long without a report a server no longer makes it uncertain which jobs can be satisfied.
const RETIRED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Index of a server in the sorted list of base URLs.
pub type ServerId = usize;

/// A number of runners for each profile and server; entries of zero are left out.
type Index = BTreeMap<ProfileKey, BTreeMap<ServerId, usize>>;

/// All servers.
#[derive(Debug)]
pub struct Fleet {
    servers: Vec<Server>,
    /// Which servers are the same one under several URLs.
    identities: Identities,
    started_at: Timestamp,
    stale_after: Duration,
    /// Runners that can be requested.
    available: Index,
    /// Runners that servers keep ready.
    targets: Index,
    /// Runners that servers keep ready, or could have if jobs waited for them.
    most: Index,
    /// The servers that report a reservation of this name.
    reservations: BTreeMap<UniqueId, BTreeSet<ServerId>>,
}

impl Fleet {
    /// Servers with these base URLs, none of which has reported yet.
    pub fn new(names: &[String], stale_after: Duration, now: Timestamp) -> Self {
        Self {
            servers: names.iter().cloned().map(Server::new).collect(),
            identities: Identities::default(),
            started_at: now,
            stale_after,
            available: BTreeMap::new(),
            targets: BTreeMap::new(),
            most: BTreeMap::new(),
            reservations: BTreeMap::new(),
        }
    }

    /// Every server.
    pub fn ids(&self) -> std::ops::Range<ServerId> {
        0..self.servers.len()
    }

    /// A server's base URL.
    pub fn name(&self, server: ServerId) -> &str {
        self.servers[server].name()
    }

    /// A server's last report.
    pub fn report(&self, server: ServerId) -> Option<&Report> {
        self.servers[server].report()
    }

    /// When the last poll was sent that the server answered.
    pub fn confirmed_at(&self, server: ServerId) -> Option<Timestamp> {
        self.servers[server].confirmed_at()
    }

    /// Whether a server's report can be used.
    pub fn health(&self, server: ServerId, now: Timestamp) -> Health {
        self.servers[server].health(self.stale_after, now)
    }

    /// The server that this one is another URL of, if that one answers. Only that one is used.
    pub fn duplicate_of(&self, server: ServerId, now: Timestamp) -> Option<ServerId> {
        let mut same = self.identities.same_before(server);
        same.find(|&other| self.servers[other].is_usable(self.stale_after, now))
    }

    /// Since when two servers are known to be the same, the lower one first.
    pub fn same_since(&self, lower: ServerId, higher: ServerId) -> Option<Timestamp> {
        self.identities.since(lower, higher)
    }

    /// When a server was first recognised as it is now.
    pub fn seen_since(&self, server: ServerId) -> Timestamp {
        self.servers[server].identity_since()
    }

    /// How many entries of a server's report could not be read, and since when that is so.
    pub fn unreadable(&self, server: ServerId) -> Option<(usize, Timestamp)> {
        let server = &self.servers[server];
        let count = server.report()?.unreadable_count;
        Some((count, server.unreadable_since()?))
    }

    /// Whether a server can be asked for runners.
    pub fn is_usable(&self, server: ServerId, now: Timestamp) -> bool {
        self.servers[server].is_usable(self.stale_after, now)
            && self.duplicate_of(server, now).is_none()
    }

    /// Why a server fails, and since when.
    pub fn failure(&self, server: ServerId) -> Option<(ServerFailure, Timestamp)> {
        self.servers[server].failure()
    }

    /// Since when a server refuses the API token, if it does.
    pub fn token_refused_since(&self, server: ServerId, now: Timestamp) -> Option<Timestamp> {
        self.servers[server].token_refused_since(now)
    }

    /// Whether a server with a target for this profile refuses the API token.
    pub fn is_refused(&self, key: &ProfileKey, now: Timestamp) -> bool {
        let servers = self.most.get(key).into_iter().flatten();
        let mut servers = servers.map(|(&server, _)| server);
        servers.any(|server| self.token_refused_since(server, now).is_some())
    }

    /// The profiles whose target a server does not reach: its key, the target, how many runners there
    /// were at most, and since when that is known.
    pub fn missed_targets(
        &self,
        server: ServerId,
    ) -> impl Iterator<Item = (&ProfileKey, usize, usize, Timestamp)> {
        let server = &self.servers[server];
        let profiles = server.report().into_iter().flat_map(|it| &it.profiles);
        profiles.filter_map(|(key, profile)| {
            let reached = server.reached(key)?;
            Some((
                key,
                profile.target,
                reached.reach(),
                reached.missed_since()?,
            ))
        })
    }

    /// When a server's report becomes too old.
    pub fn stale_at(&self, server: ServerId) -> Option<Timestamp> {
        Some(self.confirmed_at(server)? + self.stale_after + Duration::from_micros(1))
    }

    /// Sets whether `Timer::Stale` is set for a server, and returns whether it was before.
    pub fn set_stale_timer(&mut self, server: ServerId, is_set: bool) -> bool {
        self.servers[server].set_stale_timer(is_set)
    }

    /// The profiles in a server's report.
    pub fn profiles(&self, server: ServerId) -> Vec<ProfileKey> {
        let report = self.report(server).into_iter();
        report
            .flat_map(|report| report.profiles.keys().cloned())
            .collect()
    }

    /// The names of the jobs in a server's report whose reservations a queue with the key of this one made.
    pub fn reserved_names(&self, server: ServerId) -> Vec<UniqueId> {
        self.report(server).map(reserved_names).unwrap_or_default()
    }

    /// Records a report. One that answers a poll from before that of the last report is ignored:
    /// `false`.
    pub fn record_report(&mut self, server: ServerId, report: Report, now: Timestamp) -> bool {
        if !self.servers[server].is_news(report.asked_at) {
            return false;
        }
        let mut keys: BTreeSet<ProfileKey> = self.profiles(server).into_iter().collect();
        keys.extend(report.profiles.keys().cloned());
        for name in self.reserved_names(server) {
            self.remove_reservation(&name, server);
        }
        for name in reserved_names(&report) {
            self.reservations.entry(name).or_default().insert(server);
        }
        self.servers[server].set_report(report, now);
        self.identities.review(&self.servers, server, now);
        for key in &keys {
            self.update_index(server, key);
        }
        true
    }

    /// Records that a server's report was still true when a poll was sent at `asked_at`.
    pub fn record_unchanged(&mut self, server: ServerId, asked_at: Timestamp, now: Timestamp) {
        let known = &mut self.servers[server];
        if known.is_news(asked_at) {
            known.confirm_report(asked_at);
            // Only a new report can show that two servers are the same.
            if !self.identities.is_empty() {
                self.identities.review(&self.servers, server, now);
            }
        }
    }

    /// Whether two servers that seemed to be the same were found to be different since the last call.
    pub fn take_parting(&mut self) -> bool {
        self.identities.take_parting()
    }

    /// Stops believing targets that a server has not reached in time; whether there are any.
    pub fn review_reached(&mut self, server: ServerId, now: Timestamp) -> bool {
        self.servers[server].review_reached(now)
    }

    /// Records that a request to a server failed: answers to polls sent before now no longer count.
    pub fn record_failure(&mut self, server: ServerId, failure: ServerFailure, now: Timestamp) {
        self.servers[server].set_failing(failure, now);
    }

    /// Records that a server refused the API token; returns when it may be asked for runners again.
    pub fn record_token_refusal(
        &mut self,
        server: ServerId,
        by_poll: bool,
        now: Timestamp,
    ) -> Timestamp {
        self.servers[server].refuse_token(by_poll, now)
    }

    /// Records that a server accepted the API token; `false` if that is nothing new.
    pub fn record_token_acceptance(&mut self, server: ServerId) -> bool {
        self.servers[server].accept_token()
    }

    /// Records that runners are requested.
    pub fn begin_forward(
        &mut self,
        server: ServerId,
        unique_id: UniqueId,
        token: FencingToken,
        key: &ProfileKey,
        count: Count,
    ) {
        self.servers[server].begin_forward((unique_id, token), key.clone(), count);
        self.update_index(server, key);
    }

    /// Records that a forward ended, or is no longer waited for. Returns its profile, of which more
    /// runners may be available now, unless it had ended before.
    pub fn end_forward(
        &mut self,
        server: ServerId,
        unique_id: &UniqueId,
        token: FencingToken,
    ) -> Option<ProfileKey> {
        let key = self.servers[server].end_forward(&(unique_id.clone(), token))?;
        self.update_index(server, &key);
        Some(key)
    }

    /// Records granted runners: they are not idle, even if a report from before shows them so.
    pub fn record_grant(
        &mut self,
        server: ServerId,
        key: &ProfileKey,
        runners: impl Iterator<Item = RunnerId>,
        now: Timestamp,
    ) {
        self.servers[server].set_grants_valid(true, now);
        self.servers[server].add_granted(key, runners, now);
        self.update_index(server, key);
    }

    /// Records that a server granted runners with labels that cannot be theirs.
    pub fn record_invalid_grant(&mut self, server: ServerId, now: Timestamp) {
        self.servers[server].set_grants_valid(false, now);
    }

    /// Since when a server grants runners with labels that cannot be theirs, if it does.
    pub fn invalid_grants_since(&self, server: ServerId) -> Option<Timestamp> {
        self.servers[server].invalid_grants_since()
    }

    /// Records that runners became idle again.
    pub fn record_release(
        &mut self,
        server: ServerId,
        key: &ProfileKey,
        runners: impl Iterator<Item = RunnerId>,
    ) {
        self.servers[server].remove_granted(runners);
        self.update_index(server, key);
    }

    /// The profiles of which a server refuses runners that it reports as idle.
    pub fn refusing(&self, server: ServerId, now: Timestamp) -> impl Iterator<Item = Refusing<'_>> {
        self.servers[server].refusing(now)
    }

    /// Since when a server reports reservations of another queue, if it does.
    pub fn shared_since(&self, server: ServerId) -> Option<Timestamp> {
        self.servers[server].shared_since()
    }

    /// Leaves out the runners of a profile that a server reports as idle and did not assign, for this reason;
    /// returns until when. Runners that become idle later are not concerned.
    pub fn quarantine(
        &mut self,
        server: ServerId,
        key: &ProfileKey,
        reason: &str,
        now: Timestamp,
    ) -> Timestamp {
        let until = self.servers[server].quarantine(key, reason, now);
        self.update_index(server, key);
        until
    }

    /// Ends a quarantine whose time is over; `false` if there is none, or a longer one.
    pub fn end_quarantine(&mut self, server: ServerId, key: &ProfileKey, now: Timestamp) -> bool {
        let is_over = self.servers[server].end_quarantine(key, now);
        if is_over {
            self.update_index(server, key);
        }
        is_over
    }

    /// The servers where runners of a profile can be requested, and how many.
    pub fn available(&self, key: &ProfileKey, now: Timestamp) -> Vec<(ServerId, usize)> {
        self.usable_in(&self.available, key, now).collect()
    }

    /// How many runners of a profile are idle at all servers together.
    pub fn available_count(&self, key: &ProfileKey, now: Timestamp) -> usize {
        let servers = self.fresh_in(&self.available, key, now);
        saturating_sum(servers.map(|(_, count)| count))
    }

    /// How many runners of a profile a server can be asked for.
    pub fn available_at(&self, server: ServerId, key: &ProfileKey) -> usize {
        self.servers[server].available(key)
    }

    /// How many runners of a profile a server is being asked for.
    pub fn requested_at(&self, server: ServerId, key: &ProfileKey) -> usize {
        self.servers[server].requested(key)
    }

    /// How many runners of a profile a server can be asked for, as people are shown it.
    pub fn shown_idle(&self, server: ServerId, key: &ProfileKey, now: Timestamp) -> usize {
        match self.health(server, now) {
            Health::Fresh => self.servers[server].available(key),
            Health::Stale | Health::Down | Health::Unauthorised => 0,
        }
    }

    /// How many runners of a profile all servers that answer could have idle at once.
    pub fn reach(&self, key: &ProfileKey, now: Timestamp) -> usize {
        let idle = |server: ServerId| {
            let profile = self.servers[server].profile(key);
            profile.map_or(0, |profile| profile.idle.len())
        };
        let with_target = self.usable_in(&self.targets, key, now);
        let with_target = with_target.map(|(server, target)| {
            let reached = self.servers[server].reached(key);
            reached.map_or(target, Reached::reach).max(idle(server))
        });
        // A server without a target may still have runners.
        let targets = self.targets.get(key);
        let without_target = self
            .usable_in(&self.available, key, now)
            .filter(|(server, _)| !targets.is_some_and(|targets| targets.contains_key(server)))
            .map(|(server, _)| idle(server));
        saturating_sum(with_target.chain(without_target))
    }

    /// The same if jobs wait for them: servers whose targets follow demand make more.
    pub fn reach_on_demand(&self, key: &ProfileKey, now: Timestamp) -> usize {
        let most = self.usable_in(&self.most, key, now);
        let following = most.filter(|(server, _)| {
            let profile = self.servers[*server].profile(key);
            profile.is_some_and(|profile| profile.max.is_some())
        });
        let most = saturating_sum(following.map(|(_, most)| most));
        self.reach(key, now).max(most)
    }

    /// Whether the targets of the servers add up to `count`, or could if jobs waited, by what each last
    /// reported if that was not long ago. Cheap if the first one suffices.
    pub fn has_known_target(&self, key: &ProfileKey, count: usize, now: Timestamp) -> bool {
        let mut sum = 0_usize;
        self.known_targets(key, now).any(|target| {
            sum = sum.saturating_add(target);
            sum >= count
        })
    }

    /// Sum of the targets of the servers, or of what they could have if jobs waited, by what each last
    /// reported if that was not long ago.
    pub fn known_target(&self, key: &ProfileKey, now: Timestamp) -> usize {
        saturating_sum(self.known_targets(key, now))
    }

    /// Sum of the targets of the servers that answer.
    pub fn target(&self, key: &ProfileKey, now: Timestamp) -> usize {
        let targets = self.fresh_in(&self.targets, key, now);
        saturating_sum(targets.map(|(_, target)| target))
    }

    /// The servers whose last report has a profile, also those that do not answer, and what is reported of
    /// it. A server that is listed by two URLs is there once.
    pub fn servers_with(
        &self,
        key: &ProfileKey,
        now: Timestamp,
    ) -> impl Iterator<Item = (ServerId, &ProfileReport)> {
        self.ids()
            .filter(move |&server| !self.is_shown_by_other_url(server, now))
            .filter_map(|server| Some((server, self.servers[server].profile(key)?)))
    }

    /// The sum of a number over the reports of the servers that answer.
    pub fn sum_of_fresh(
        &self,
        key: &ProfileKey,
        now: Timestamp,
        number: impl Fn(&ProfileReport) -> usize,
    ) -> usize {
        let servers = self.servers_with(key, now);
        let fresh = servers.filter(|&(server, _)| self.health(server, now) == Health::Fresh);
        saturating_sum(fresh.map(|(_, profile)| number(profile)))
    }

    /// How many runners of a profile all servers have or could have, also those that do not answer.
    pub fn capacity(&self, key: &ProfileKey, now: Timestamp) -> usize {
        let servers = self.servers_with(key, now);
        saturating_sum(servers.map(|(_, profile)| profile.capacity()))
    }

    /// How many of the runners of a profile that a server could have it does not offer: all, if its report
    /// cannot be used.
    pub fn missing(&self, server: ServerId, key: &ProfileKey, now: Timestamp) -> usize {
        let Some(profile) = self.servers[server].profile(key) else {
            return 0;
        };
        match self.health(server, now) {
            Health::Fresh => profile.missing(),
            Health::Stale | Health::Down | Health::Unauthorised => profile.capacity(),
        }
    }

    /// The runners of a profile that a server reports as idle and has refused to assign; `None` if there are
    /// none.
    pub fn quarantined(&self, server: ServerId, key: &ProfileKey) -> Option<Quarantined<'_>> {
        self.servers[server].quarantined(key)
    }

    /// Whether the same server has another URL that counts instead: one that can be used, or else the first.
    fn is_shown_by_other_url(&self, server: ServerId, now: Timestamp) -> bool {
        let is_usable = |server: ServerId| self.servers[server].is_usable(self.stale_after, now);
        let others = self.ids().filter(|&other| other != server);
        let mut others = others.filter(|&other| self.identities.are_same(other, server));
        match others.clone().find(|&other| is_usable(other)) {
            Some(usable) => !is_usable(server) || usable < server,
            None => !is_usable(server) && others.any(|other| other < server),
        }
    }

    /// The servers whose targets are uncertain: their reports are not fresh, and they have not been silent
    /// for so long that they are not expected to answer.
    pub fn uncertain(&self, now: Timestamp) -> impl Iterator<Item = ServerId> {
        self.ids().filter(move |&server| {
            let seen_at = self.confirmed_at(server).unwrap_or(self.started_at);
            self.health(server, now) != Health::Fresh
                && self.duplicate_of(server, now).is_none()
                && now.since(seen_at) <= RETIRED_AFTER
        })
    }

    /// The reservations that servers report for a job of this name, and that a queue with the key of this
    /// one made there.
    pub fn reservations(&self, unique_id: &UniqueId) -> Vec<(ServerId, &ReservationReport)> {
        let servers = self.reservations.get(unique_id).into_iter().flatten();
        servers
            .filter_map(|&server| {
                let report = self.report(server)?;
                let made_at = *report.proven.get(unique_id)?;
                // A proof that another server has seen proves nothing here.
                let is_of_server = made_at == server || self.identities.are_same(made_at, server);
                let reservations = report.reservations.as_ref().filter(|_| is_of_server)?;
                Some((server, reservations.get(unique_id)?))
            })
            .collect()
    }

    /// Whether a server reports that the job has used its runners, and they are gone.
    pub fn has_finished(&self, unique_id: &UniqueId, enqueued_at: Timestamp) -> bool {
        !self.finished_on(unique_id, enqueued_at).is_empty()
    }

    /// The runners that the job has used, and that are gone, according to servers.
    pub fn finished_on(&self, unique_id: &UniqueId, enqueued_at: Timestamp) -> Vec<ServerRunners> {
        let reservations = self.reservations(unique_id).into_iter();
        let finished = reservations.filter(|(_, reservation)| {
            reservation.state == ReservationState::Finished && is_of_job(reservation, enqueued_at)
        });
        let runners = finished.map(|(server, reservation)| ServerRunners {
            server,
            runners: reservation.runners.clone(),
        });
        runners.collect()
    }

    /// Whether a server reports a reservation of the job, in any state.
    pub fn is_held(&self, server: ServerId, unique_id: &UniqueId, enqueued_at: Timestamp) -> bool {
        let reservations = self.report(server).and_then(|it| it.reservations.as_ref());
        let reservation = reservations.and_then(|it| it.get(unique_id));
        reservation.is_some_and(|it| is_of_job(it, enqueued_at))
    }

    /// Forgets a reservation that a server reported, because it is known to be gone.
    pub fn forget_reservation(&mut self, server: ServerId, unique_id: &UniqueId) {
        self.servers[server].forget_reservation(unique_id);
        self.remove_reservation(unique_id, server);
    }

    fn fresh_in<'a>(
        &'a self,
        index: &'a Index,
        key: &ProfileKey,
        now: Timestamp,
    ) -> impl Iterator<Item = (ServerId, usize)> + 'a {
        self.usable_in(index, key, now)
            .filter(move |&(server, _)| self.health(server, now) == Health::Fresh)
    }

    fn usable_in<'a>(
        &'a self,
        index: &'a Index,
        key: &ProfileKey,
        now: Timestamp,
    ) -> impl Iterator<Item = (ServerId, usize)> + 'a {
        let entries = index.get(key).into_iter().flatten();
        entries
            .map(|(&server, &number)| (server, number))
            .filter(move |&(server, _)| self.is_usable(server, now))
    }

    fn known_targets(&self, key: &ProfileKey, now: Timestamp) -> impl Iterator<Item = usize> {
        let entries = self.most.get(key).into_iter().flatten();
        let is_known = move |server: ServerId| {
            let confirmed_at = self.confirmed_at(server);
            confirmed_at.is_some_and(|at| now.since(at) <= TARGETS_KNOWN_FOR)
        };
        entries
            .filter(move |(server, _)| {
                let mut same = self.identities.same_before(**server);
                is_known(**server) && !same.any(is_known)
            })
            .map(|(_, &target)| target)
    }

    fn update_index(&mut self, server: ServerId, key: &ProfileKey) {
        let known = &self.servers[server];
        let profile = known.profile(key);
        let target = profile.map_or(0, |profile| profile.target);
        let most = profile.map_or(0, ProfileReport::most);
        set(&mut self.available, key, server, known.available(key));
        set(&mut self.targets, key, server, target);
        set(&mut self.most, key, server, most);
    }

    fn remove_reservation(&mut self, unique_id: &UniqueId, server: ServerId) {
        if let Some(servers) = self.reservations.get_mut(unique_id) {
            servers.remove(&server);
            if servers.is_empty() {
                self.reservations.remove(unique_id);
            }
        }
    }
}

#[cfg(test)]
impl Fleet {
    /// Panics if an index has entries that no report justifies.
    pub fn assert_indices_are_minimal(&self) {
        let indices = [&self.available, &self.targets, &self.most];
        for servers in indices.into_iter().flat_map(BTreeMap::values) {
            assert!(!servers.is_empty() && servers.values().all(|&number| number > 0));
        }
        for (name, servers) in &self.reservations {
            assert!(!servers.is_empty(), "{name}");
            for &server in servers {
                assert!(self.reserved_names(server).contains(name), "{name}");
            }
        }
    }
}

/// Whether a reservation is of the job of this name that was enqueued at `enqueued_at`, and not of
/// an earlier one. If its time of enqueueing is not reported (an older monitor, or an older queue),
/// one that a queue made is taken to be: names are hardly ever used twice.
pub fn is_of_job(reservation: &ReservationReport, enqueued_at: Timestamp) -> bool {
    match reservation.enqueued_at {
        Some(reserved) => reserved >= enqueued_at,
        None => reservation.attempt > 0,
    }
}

fn reserved_names(report: &Report) -> Vec<UniqueId> {
    report.proven.keys().cloned().collect()
}

/// The numbers come from servers, which may be wrong.
fn saturating_sum(numbers: impl Iterator<Item = usize>) -> usize {
    numbers.fold(0, usize::saturating_add)
}

fn set(index: &mut Index, key: &ProfileKey, server: ServerId, number: usize) {
    if number > 0 {
        index.entry(key.clone()).or_default().insert(server, number);
    } else if let Some(servers) = index.get_mut(key) {
        servers.remove(&server);
        if servers.is_empty() {
            index.remove(key);
        }
    }
}
