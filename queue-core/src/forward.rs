//! How a forward ends: granted by all, or undone at all.

use std::{collections::BTreeSet, time::Duration};

use shared::{
    clock::Timestamp,
    values::{Count, UniqueId},
    wire::TakenRunner,
};

use super::{
    events::ForwardOutcome,
    fleet::ServerId,
    job::{Grant, State},
    queue::Queue,
    report::RunnerId,
    timers::Timer,
};

/// How long a server that would not have a job is not asked on its behalf again. The others in
/// line get its runners meanwhile: a job that nobody wants stops none of them.
const SHUT_OUT: Duration = Duration::from_secs(30);
/// The same for a server that holds runners for the job already, and whose answer was lost.
const SHUT_OUT_AMBIGUOUS: Duration = Duration::from_secs(1);

/// Why a forward failed at one server.
#[derive(Clone, Copy)]
enum FailedAsk {
    /// It gave nothing, for sure.
    Refused,
    /// It gave nothing, for sure, and has nothing against others.
    RefusedThisJob,
    /// Nobody knows what it did.
    Ambiguous,
}

impl Queue {
    pub(super) fn forwarded(
        &mut self,
        now: Timestamp,
        server: ServerId,
        unique_id: &UniqueId,
        attempt: u64,
        outcome: ForwardOutcome,
    ) {
        let freed = self.fleet.end_forward(server, (unique_id.clone(), attempt));
        if let Some(count) = self.open_ask(server, unique_id, attempt) {
            self.learn_outcome(now, server, unique_id, attempt, count, outcome);
        }
        // Otherwise it is too late: its release is owed already, or its job is over. In any case
        // the server may turn out to have more for others than could be said before.
        if let Some(profile_key) = freed {
            self.dispatch(now, &profile_key);
        }
    }

    fn learn_outcome(
        &mut self,
        now: Timestamp,
        server: ServerId,
        unique_id: &UniqueId,
        attempt: u64,
        count: Count,
        outcome: ForwardOutcome,
    ) {
        match outcome {
            ForwardOutcome::Granted(runners)
                if runners.len() == count.get() && !self.is_given(server, unique_id, &runners) =>
            {
                self.granted(now, server, unique_id, attempt, runners);
            }
            ForwardOutcome::Refused => {
                self.forward_failed(now, server, unique_id, FailedAsk::Refused);
            }
            ForwardOutcome::RefusedThisJob => {
                self.forward_failed(now, server, unique_id, FailedAsk::RefusedThisJob);
            }
            // Fewer or more runners than asked, or those of another job, are as good as no answer.
            ForwardOutcome::Granted(_) | ForwardOutcome::Ambiguous => {
                self.forward_failed(now, server, unique_id, FailedAsk::Ambiguous);
            }
        }
    }

    pub(super) fn forward_timed_out(
        &mut self,
        now: Timestamp,
        server: ServerId,
        unique_id: &UniqueId,
        attempt: u64,
    ) {
        let freed = self.fleet.end_forward(server, (unique_id.clone(), attempt));
        if self.open_ask(server, unique_id, attempt).is_some() {
            self.forward_failed(now, server, unique_id, FailedAsk::Ambiguous);
        }
        if let Some(profile_key) = freed {
            self.dispatch(now, &profile_key);
        }
    }

    fn granted(
        &mut self,
        now: Timestamp,
        server: ServerId,
        unique_id: &UniqueId,
        attempt: u64,
        runners: Vec<TakenRunner>,
    ) {
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        let profile_key = job.request().spec.profile_key.clone();
        self.fleet
            .granted(server, &profile_key, runners.iter().map(|runner| runner.id));
        let State::Forwarding { asks, .. } = &mut job.state else {
            return;
        };
        let grant = Grant {
            server,
            attempt,
            granted_at: now,
            runners,
            end: None,
        };
        if let Some(ask) = asks.iter_mut().find(|ask| ask.server == server) {
            ask.grant = Some(grant);
        }
        let granted = self.granted_by.entry(server).or_default();
        granted.insert(unique_id.clone());
        if asks.iter().any(|ask| ask.grant.is_none()) {
            return;
        }
        let grants: Vec<Grant> = asks.iter_mut().filter_map(|ask| ask.grant.take()).collect();
        let servers: Vec<ServerId> = grants.iter().map(|grant| grant.server).collect();
        job.state = State::Reserved(grants);
        let place = job.claims.place();
        let count = job.request().spec.count;
        let mut is_contended = false;
        if let Some(line) = self.lines.get_mut(&profile_key) {
            line.leave(&place, count);
            is_contended = line.has_waiting();
            if line.is_empty() {
                self.lines.remove(&profile_key);
            }
        }
        self.rhythms
            .entry(profile_key)
            .or_default()
            .record_grant(now, count.get(), is_contended);
        // What the first server gave may be gone again by the time the last one has answered.
        for server in servers {
            self.review_grant(now, server, unique_id);
        }
        self.deliver(unique_id);
    }

    /// One server did not grant: what the others granted or may grant is given back, and the job
    /// waits again at its place.
    fn forward_failed(
        &mut self,
        now: Timestamp,
        server: ServerId,
        unique_id: &UniqueId,
        how: FailedAsk,
    ) {
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        let profile_key = job.request().spec.profile_key.clone();
        let (place, count) = (job.claims.place(), job.request().spec.count);
        let State::Forwarding { attempt, mut asks } =
            std::mem::replace(&mut job.state, State::Waiting)
        else {
            return;
        };
        // Whether it gives what it holds for this job says nothing about what is idle there.
        let is_held_there = self.fleet.is_held(server, unique_id, place.enqueued_at);
        if is_held_there || matches!(how, FailedAsk::RefusedThisJob) {
            let pause = match how {
                FailedAsk::Refused | FailedAsk::RefusedThisJob => SHUT_OUT,
                FailedAsk::Ambiguous => SHUT_OUT_AMBIGUOUS,
            };
            job.shut_out_until.insert(server, now + pause);
            let timer = Timer::ShutOut(server, unique_id.clone());
            self.timers.set(now + pause, timer);
        } else {
            let trusted_at = self.fleet.distrust(server, &profile_key, now);
            let timer = Timer::Distrust(server, profile_key.clone());
            self.timers.set(trusted_at, timer);
        }
        match how {
            FailedAsk::Refused | FailedAsk::RefusedThisJob => {
                asks.retain(|ask| ask.server != server);
            }
            FailedAsk::Ambiguous => self.fleet.failed(server, now),
        }
        // That it has served the job stays true.
        if !self.fleet.has_served(unique_id, place.enqueued_at) {
            self.fleet.forget_reservation(server, unique_id);
        }
        self.give_back_asks(now, unique_id, attempt, asks);
        if let Some(line) = self.lines.get_mut(&profile_key) {
            line.set_waiting(&place, count);
        }
        self.learn_reservation(now, unique_id);
        self.dispatch(now, &profile_key);
        if let FailedAsk::Ambiguous = how {
            // Nobody waits any more for what only that server could have.
            self.dispatch_profiles(now, server);
        }
    }

    /// A job may ask again at a server that would not have it.
    pub(super) fn let_in(&mut self, now: Timestamp, server: ServerId, unique_id: &UniqueId) {
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        if !job.is_shut_out(server, now) && job.shut_out_until.remove(&server).is_some() {
            let profile_key = job.request().spec.profile_key.clone();
            self.learn_reservation(now, unique_id);
            self.dispatch(now, &profile_key);
        }
    }

    /// Whether any of these runners was given to another job already, or twice to this one. A
    /// server that looks at GitHub's list while it lags can do that.
    fn is_given(&self, server: ServerId, unique_id: &UniqueId, runners: &[TakenRunner]) -> bool {
        let ids: BTreeSet<RunnerId> = runners.iter().map(|runner| runner.id).collect();
        ids.len() < runners.len() || !self.given_to_others(server, unique_id).is_disjoint(&ids)
    }

    /// The runners of a server that other jobs than this one have.
    pub(super) fn given_to_others(
        &self,
        server: ServerId,
        unique_id: &UniqueId,
    ) -> BTreeSet<RunnerId> {
        let granted = self.granted_by.get(&server).into_iter().flatten();
        granted
            .filter(|other| *other != unique_id)
            .filter_map(|other| self.jobs.get(other))
            .flat_map(|other| other.grants())
            .filter(|grant| grant.server == server && grant.end.is_none())
            .flat_map(|grant| grant.runners.iter().map(|runner| runner.id))
            .collect()
    }

    /// What this server was asked for under this attempt, if that is still open.
    fn open_ask(&self, server: ServerId, unique_id: &UniqueId, attempt: u64) -> Option<Count> {
        match &self.jobs.get(unique_id)?.state {
            State::Forwarding {
                attempt: current,
                asks,
            } if *current == attempt => asks
                .iter()
                .find(|ask| ask.server == server && ask.grant.is_none())
                .map(|ask| ask.count),
            _ => None,
        }
    }
}
