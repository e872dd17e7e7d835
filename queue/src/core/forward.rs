//! How a forward ends: granted by all, or undone at all.

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
    timers::Timer,
};

/// Why a forward failed at one server.
#[derive(Clone, Copy)]
enum FailedAsk {
    /// It gave nothing, for sure.
    Refused,
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
        self.fleet.end_forward(server, (unique_id.clone(), attempt));
        let Some(count) = self.open_ask(server, unique_id, attempt) else {
            // Too late: its release is owed already, or its job is over.
            return;
        };
        match outcome {
            ForwardOutcome::Granted {
                runners,
                made_by_attempt,
            } if runners.len() == count.get() => {
                self.granted(now, server, unique_id, attempt, runners, made_by_attempt);
            }
            ForwardOutcome::Refused => {
                self.forward_failed(now, server, unique_id, FailedAsk::Refused)
            }
            // Fewer or more runners than asked is as good as no answer.
            ForwardOutcome::Granted { .. } | ForwardOutcome::Ambiguous => {
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
        self.fleet.end_forward(server, (unique_id.clone(), attempt));
        if self.open_ask(server, unique_id, attempt).is_some() {
            self.forward_failed(now, server, unique_id, FailedAsk::Ambiguous);
        }
    }

    fn granted(
        &mut self,
        now: Timestamp,
        server: ServerId,
        unique_id: &UniqueId,
        attempt: u64,
        runners: Vec<TakenRunner>,
        made_by_attempt: Option<u64>,
    ) {
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        let profile_key = job.request().profile_key.clone();
        self.fleet
            .granted(server, &profile_key, runners.iter().map(|runner| runner.id));
        let is_inherited = made_by_attempt.is_some_and(|made_by| !job.attempts.contains(&made_by));
        let State::Forwarding { asks, .. } = &mut job.state else {
            return;
        };
        let grant = Grant {
            server,
            attempt,
            granted_at: now,
            is_inherited,
            runners,
            end: None,
        };
        if let Some(ask) = asks.iter_mut().find(|ask| ask.server == server) {
            ask.grant = Some(grant);
        }
        if asks.iter().any(|ask| ask.grant.is_none()) {
            return;
        }
        let grants: Vec<Grant> = asks.iter_mut().filter_map(|ask| ask.grant.take()).collect();
        self.granted_by
            .extend(grants.iter().map(|grant| (grant.server, unique_id.clone())));
        job.state = State::Reserved(grants);
        let place = job.claims.place();
        let count = job.request().count;
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
        let profile_key = job.request().profile_key.clone();
        let (place, count) = (job.claims.place(), job.request().count);
        let State::Forwarding { attempt, mut asks } =
            std::mem::replace(&mut job.state, State::Waiting)
        else {
            return;
        };
        match how {
            FailedAsk::Refused => asks.retain(|ask| ask.server != server),
            FailedAsk::Ambiguous => self.fleet.failed(server, now),
        }
        self.fleet.forget_reservation(server, unique_id);
        let trusted_at = self.fleet.distrust(server, &profile_key, now);
        self.timers
            .set(trusted_at, Timer::Distrust(server, profile_key.clone()));
        self.give_back_asks(now, unique_id, attempt, asks);
        if let Some(line) = self.lines.get_mut(&profile_key) {
            line.set_waiting(&place, count);
        }
        self.dispatch(now, &profile_key);
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
