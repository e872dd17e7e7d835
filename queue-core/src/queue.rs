//! The state machine: what the queue knows, and who handles what happens to it.
//!
//! Contract: after every [`Queue::handle`] drain [`Queue::poll_output`], then sleep until
//! [`Queue::poll_timeout`] and hand in [`Input::Tick`]. Time is an argument and never runs
//! backwards. The same inputs at the same times give the same outputs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    values::{ProfileKey, QualifiedRepo, UniqueId},
};

use super::{
    estimate::Rhythm,
    events::{Answer, CallId, Input, Output, Refusal},
    fleet::{Fleet, ServerId},
    job::Job,
    line::Line,
    release::Owed,
    retired::Retired,
    timers::{Timer, Timers},
};

/// How the queue is set up.
#[derive(Clone, Debug)]
pub struct Rules {
    /// After the start nothing is given out for this long, so that everybody is back in line.
    pub settle: Duration,
    /// A client that is silent for this long has given its job up.
    pub abandon_after: Duration,
    /// How long a forward may take.
    pub forward_timeout: Duration,
    /// How old a server's last word may be.
    pub stale_after: Duration,
    /// How long a ticket is valid.
    pub ticket_lifetime: Duration,
    /// How many jobs there can be.
    pub jobs_max: usize,
    /// How many jobs of one repository there can be; none: as many as there can be at all.
    pub jobs_per_repo_max: Option<usize>,
    /// How many takes can be held.
    pub held_max: usize,
}

/// When nothing was handed in for this long, the process itself was asleep: stopped, swapped
/// out, suspended. The silence of that time was not the clients'.
const OWN_SLEEP: Duration = Duration::from_secs(5);

/// The line for all tills.
#[derive(Debug)]
pub struct Queue {
    pub(super) rules: Rules,
    pub(super) settled_at: Timestamp,
    pub(super) jobs: BTreeMap<UniqueId, Job>,
    pub(super) jobs_per_repo: BTreeMap<QualifiedRepo, usize>,
    pub(super) lines: BTreeMap<ProfileKey, Line>,
    pub(super) rhythms: BTreeMap<ProfileKey, Rhythm>,
    pub(super) retired: Retired,
    pub(super) fleet: Fleet,
    pub(super) owed: Owed,
    /// Which jobs were granted runners by which server. An entry may outlive its grant: whoever
    /// walks along looks again.
    pub(super) granted_by: BTreeMap<ServerId, BTreeSet<UniqueId>>,
    pub(super) timers: Timers,
    /// How many takes are held.
    pub(super) held_count: usize,
    pub(super) last_enqueued_at: Timestamp,
    pub(super) last_attempt: u64,
    /// Nobody counts as silent before this moment.
    pub(super) nobody_silent_before: Timestamp,
    last_handled_at: Timestamp,
    outputs: VecDeque<Output>,
}

impl Queue {
    /// An empty queue in front of `servers` (base URLs, sorted), started `now`.
    pub fn new(rules: Rules, servers: &[String], now: Timestamp) -> Self {
        debug_assert!(servers.is_sorted(), "ties between servers go by name");
        let settled_at = now + rules.settle;
        let mut timers = Timers::default();
        timers.set(settled_at, Timer::Settled);
        Self {
            fleet: Fleet::new(servers, rules.stale_after),
            rules,
            settled_at,
            jobs: BTreeMap::new(),
            jobs_per_repo: BTreeMap::new(),
            lines: BTreeMap::new(),
            rhythms: BTreeMap::new(),
            retired: Retired::default(),
            owed: Owed::default(),
            granted_by: BTreeMap::new(),
            timers,
            held_count: 0,
            last_enqueued_at: Timestamp::default(),
            last_attempt: 0,
            nobody_silent_before: Timestamp::default(),
            last_handled_at: now,
            outputs: VecDeque::new(),
        }
    }

    /// Something happened, or time has passed.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        let now = now.max(self.last_handled_at);
        if now.since(self.last_handled_at) > OWN_SLEEP {
            self.nobody_silent_before = now + self.rules.abandon_after;
        }
        self.last_handled_at = now;
        match input {
            Input::Enqueue {
                call,
                request,
                nonce,
            } => self.enqueue(now, call, request, nonce),
            Input::Take { call, claims, hold } => self.take(now, call, &claims, hold),
            Input::HungUp { call, unique_id } => self.hung_up(now, call, &unique_id),
            Input::Undelivered { unique_id } => self.undelivered(now, &unique_id),
            Input::Withdraw { call, by } => self.withdraw(now, call, by),
            Input::Inspect { call, by } => self.inspect(now, call, &by),
            Input::Reported { server, report } => self.reported(now, server, report),
            Input::Unchanged { server, asked_at } => self.unchanged(now, server, asked_at),
            Input::Unreachable { server } => self.unreachable(now, server),
            Input::Forwarded {
                server,
                unique_id,
                attempt,
                outcome,
            } => {
                self.forwarded(now, server, &unique_id, attempt, outcome);
            }
            Input::Released {
                server,
                unique_id,
                attempt,
                is_settled,
            } => {
                self.released(now, server, &unique_id, attempt, is_settled);
            }
            Input::Tick => {}
        }
        self.retired.forget_expired(now);
        while let Some(timer) = self.timers.pop_due(now) {
            self.timed_out(now, timer);
        }
    }

    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `Input::Tick` is due, if nothing happens before.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next_at()
    }

    /// Whether the queue gives out runners: it has settled.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        now >= self.settled_at
    }

    /// What is known about the servers.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Every job that has not been retired.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    fn timed_out(&mut self, now: Timestamp, timer: Timer) {
        match timer {
            Timer::Settled => self.dispatch_all(now),
            Timer::Silence(unique_id) => self.check_silence(now, &unique_id),
            Timer::Hold(call, unique_id) => self.end_hold(now, call, &unique_id),
            Timer::Forward(server, unique_id, attempt) => {
                self.forward_timed_out(now, server, &unique_id, attempt);
            }
            Timer::Release(server, unique_id) => self.send_release(now, server, &unique_id),
            Timer::Distrust(server, profile_key) => {
                self.fleet.trust_again(server, &profile_key, now);
                self.dispatch(now, &profile_key);
            }
            Timer::ShutOut(server, unique_id) => self.let_in(now, server, &unique_id),
            Timer::Stale(server) => self.check_stale(now, server),
        }
    }

    pub(super) fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn answer(&mut self, call: CallId, answer: Answer) {
        self.emit(Output::Answer { call, answer });
    }

    pub(super) fn refuse(&mut self, call: CallId, refusal: Refusal) {
        self.answer(call, Answer::Refused(refusal));
    }
}
