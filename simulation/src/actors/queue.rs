//! Queues: the real core, with what the event loop and the monitor client of the daemon do.

use std::{collections::BTreeMap, time::Duration};

use monitor_core::Take;
use queue_core::{
    Answer, CallId, Config, Effect, EnqueuedBy, Forward, ForwardOutcome, Input, Limits, PauseOrder,
    Queue, Refusal, Release, Report, ServerFailure, testing::Stories,
};
use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    operator::{Intervention, Order},
    problem::Problem,
    values::{ProfileKey, UniqueId},
    wire::TakenRunner,
};

use super::monitor::{profile_key, server_name};
use crate::{
    environment::Environment,
    events::{Event, Incarnation, QueueEvent},
    messages::{Etag, ExchangeId, ExchangeResult, Node, Reply, Request},
    network::Sender,
    order::{IssuedTickets, counts_too_little},
};

/// How long a monitor is asked to hold its reply to a poll.
const POLL_HOLD: Duration = Duration::from_secs(5);
/// How much longer a queue waits for the reply.
const POLL_GRACE: Duration = Duration::from_secs(5);
/// The pause after a poll that failed.
const POLL_RETRY_PAUSE: Duration = Duration::from_secs(1);
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// An earlier time is that of a clock that was not set.
const BELIEVABLE_FROM: Timestamp = Timestamp::from_seconds(1_600_000_000);
/// How far ahead a wrong clock is.
const AHEAD: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The longest sleep of the event loop.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// The process of a queue, whether it runs or not.
pub struct QueueNode {
    index: usize,
    /// The URLs in its list, sorted, and the monitor that each leads to.
    servers: Vec<(String, usize)>,
    clock: QueueClock,
    /// What it keeps on disk: when it last ran by its clock, less the time that did not count.
    last_run: Option<Timestamp>,
    down_for: Duration,
    /// The profiles that the operator has paused, which it keeps on disk too.
    paused: BTreeMap<ProfileKey, Intervention>,
    /// None while the process does not run.
    pub core: Option<Queue>,
    pub incarnation: Incarnation,
    /// The process hangs until this time.
    pub frozen_until: Timestamp,
    last_call: CallId,
    /// The requests of clients that have no reply yet.
    calls: BTreeMap<CallId, ExchangeId>,
    /// The ETag of each server's last report.
    etags: Vec<Option<Etag>>,
    /// The requests to servers that have no result yet: the server, and when it was sent.
    requests: BTreeMap<ExchangeId, (usize, Timestamp)>,
    wakes_at: Timestamp,
    /// What this process has answered to enqueues.
    issued: IssuedTickets,
    /// What the events of this process tell.
    stories: Stories,
}

/// The clock of a queue's process: monotonic, but it may have started with a wrong time.
#[derive(Clone, Copy, Debug, Default)]
enum QueueClock {
    #[default]
    Right,
    /// It was behind by this when the process started.
    Behind(Duration),
    Ahead,
}

impl QueueClock {
    /// What it shows at a time.
    fn show(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Right => now,
            Self::Behind(by) => now - by,
            Self::Ahead => now + AHEAD,
        }
    }

    /// The time at which it shows this.
    fn time_of(self, shown: Timestamp) -> Timestamp {
        match self {
            Self::Right => shown,
            Self::Behind(by) => shown + by,
            Self::Ahead => shown - AHEAD,
        }
    }
}

/// The configuration of every queue, which are the defaults of the daemon.
pub fn config() -> Config {
    Config {
        startup_grace: Duration::from_secs(5),
        stale_after: Duration::from_secs(15),
        ticket_lifetime: Duration::from_secs(24 * 3600),
        believable_from: BELIEVABLE_FROM,
        down_for: Duration::ZERO,
        limits: Limits {
            abandon_after: Duration::from_secs(30),
            forward_timeout: Duration::from_secs(10),
            jobs_max: 100_000,
            jobs_per_repo_max: None,
            held_max: 10_000,
            policy: None,
        },
    }
}

/// Stands for what the daemon computes with its key.
fn proof(url: &str, unique_id: &UniqueId, enqueued_at: Timestamp, count: usize) -> String {
    format!("{url} {unique_id} {} {count}", enqueued_at.as_micros())
}

impl QueueNode {
    pub fn new(index: usize, servers: Vec<(String, usize)>) -> Self {
        Self {
            index,
            servers,
            clock: QueueClock::default(),
            last_run: None,
            down_for: Duration::ZERO,
            paused: BTreeMap::new(),
            core: None,
            incarnation: 0,
            frozen_until: Timestamp::default(),
            last_call: 0,
            calls: BTreeMap::new(),
            etags: Vec::new(),
            requests: BTreeMap::new(),
            wakes_at: Timestamp::default(),
            issued: IssuedTickets::default(),
            stories: Stories::default(),
        }
    }

    /// Starts the process, which must not run.
    pub fn start(&mut self, environment: &mut Environment) {
        let servers = std::mem::take(&mut self.servers);
        let names: Vec<String> = servers.iter().map(|(name, _)| name.clone()).collect();
        let clock = self.draw_clock(environment);
        let now = clock.show(environment.context.now);
        let down_for = self.last_run.map_or(Duration::ZERO, |last| now.since(last));
        let mut config = Config {
            down_for,
            ..config()
        };
        config.limits.policy = environment.context.scenario.policy.clone();
        // A queue that is started again is another one to the monitors.
        let instance = 1 + (self.index as u64) + 1000 * (self.incarnation + 1);
        let core = Queue::new(config, &names, instance, now).with_pauses(self.paused.clone());
        *self = Self {
            core: Some(core),
            paused: std::mem::take(&mut self.paused),
            clock,
            last_run: self.last_run,
            down_for,
            incarnation: self.incarnation + 1,
            last_call: self.last_call,
            etags: vec![None; names.len()],
            ..Self::new(self.index, servers)
        };
        let invariants = &mut environment.context.invariants;
        invariants.observe_queue_start(self.index);
        for server in 0..self.servers.len() {
            self.poll(environment, server);
        }
        self.handle(environment, Input::Tick);
    }

    /// The clock of the next process. One that is years ahead is recognised only by the time of the
    /// last run.
    fn draw_clock(&self, environment: &mut Environment) -> QueueClock {
        let context = &mut environment.context;
        if !context.scenario.network.clocks_are_wrong {
            return QueueClock::Right;
        }
        match context.rng.number(0, 3) {
            0 => QueueClock::Behind(context.now.since(Timestamp::from_seconds(60))),
            1 if self.last_run.is_some() => QueueClock::Ahead,
            _ => QueueClock::Right,
        }
    }

    /// Kills the process between two steps.
    pub fn crash(&mut self, environment: &mut Environment) {
        self.core = None;
        self.incarnation += 1;
        environment
            .network
            .break_connections_to(&mut environment.context, Node::Queue(self.index));
    }

    /// Whether it shows a problem of this kind.
    pub fn has_problem(&self, code: &str, now: Timestamp) -> bool {
        self.problems(now).iter().any(|it| it.code == code)
    }

    /// What it shows as wrong.
    pub fn problems(&self, now: Timestamp) -> Vec<Problem> {
        let core = self.core.as_ref();
        core.map(|core| core.problems(self.clock.show(now)))
            .unwrap_or_default()
    }

    /// Handles a request of a client.
    pub fn handle_request(
        &mut self,
        environment: &mut Environment,
        id: ExchangeId,
        request: Request,
    ) {
        self.last_call += 1;
        let call = self.last_call;
        self.calls.insert(call, id);
        let nonce = environment.context.rng.number(0, u64::MAX);
        let input = match request {
            Request::Enqueue(request) => Input::Enqueue {
                call,
                request,
                nonce,
                by: EnqueuedBy::ApiToken,
                facts: shared::policy::RunFacts::default(),
            },
            Request::Take(ticket, hold) => {
                let invariants = &mut environment.context.invariants;
                invariants.observe_presented_ticket(self.index, &ticket);
                Input::Take { call, ticket, hold }
            }
            Request::Withdraw(by) => Input::Withdraw { call, by },
            Request::Poll(..) | Request::Forward(_) | Request::Release(..) => return,
        };
        self.handle(environment, input);
    }

    /// The operator pauses a profile; without effect while the process does not run.
    pub fn pause(&mut self, environment: &mut Environment, profile: usize) {
        if self.core.is_none() {
            return;
        }
        let now = environment.context.now;
        let profile_key = profile_key(profile);
        let order = PauseOrder {
            profile_key: profile_key.clone(),
            order: Order::default(),
        };
        // From now on no job of it may be chosen, whatever the core makes of the order.
        let in_force = self.paused.get(&profile_key);
        let pause = Intervention::order(in_force, Order::default(), now);
        self.paused.insert(profile_key, pause);
        self.last_call += 1;
        let call = self.last_call;
        self.handle(environment, Input::Pause { call, order });
    }

    /// The operator resumes a profile; without effect while the process does not run.
    pub fn resume(&mut self, environment: &mut Environment, profile: usize) {
        if self.core.is_none() {
            return;
        }
        let profile_key = profile_key(profile);
        self.paused.remove(&profile_key);
        self.last_call += 1;
        let call = self.last_call;
        self.handle(environment, Input::Resume { call, profile_key });
    }

    /// Lets the core handle an input, and performs its effects.
    fn handle(&mut self, environment: &mut Environment, input: Input) {
        let now = self.clock.show(environment.context.now);
        let Some(core) = self.core.as_mut() else {
            return;
        };
        self.last_run = Some(now - self.down_for);
        core.handle(now, input);
        let effects: Vec<Effect> = std::iter::from_fn(|| core.poll_effect()).collect();
        let told = effects.iter().try_for_each(|it| self.stories.observe(it));
        if let Err(difference) = told.and_then(|()| self.stories.compare(core)) {
            let context = &mut environment.context;
            context.invariants.violate(context.now, 9, difference);
        }
        for effect in &effects {
            if let Effect::Forward(forward) = effect {
                let invariants = &mut environment.context.invariants;
                invariants.check_forward(now, self.index, core, &config(), forward);
                let is_paused = self.paused.contains_key(&forward.request.spec.profile_key);
                invariants.check_pause(now, core, is_paused, forward);
                let policy = environment.context.scenario.policy.as_deref();
                invariants.check_policy(now, self.index, core, policy, forward);
            }
        }
        self.check_places(environment, now, &effects);
        for effect in effects {
            self.perform(environment, effect);
        }
        self.schedule_timer(environment);
    }

    /// Checks the places of jobs that were enqueued.
    fn check_places(&mut self, environment: &mut Environment, now: Timestamp, effects: &[Effect]) {
        let context = &mut environment.context;
        let policy = context.scenario.policy.clone();
        for effect in effects {
            let (Effect::Answer { answer, .. }, Some(core)) = (effect, &self.core) else {
                continue;
            };
            let Answer::Enqueued(ticket) = answer else {
                continue;
            };
            let is_new = ticket.enqueued_at == now;
            let mistake = self.issued.check(policy.as_deref(), ticket).err();
            let clocks_are_right = !context.scenario.network.clocks_are_wrong;
            let mistake = mistake.or_else(|| {
                let policy = policy.as_deref().filter(|_| is_new && clocks_are_right)?;
                counts_too_little(policy, core, now, ticket)
            });
            if let Some(mistake) = mistake {
                context.invariants.violate(context.now, 3, mistake);
            }
        }
    }

    pub fn handle_event(
        &mut self,
        environment: &mut Environment,
        incarnation: Incarnation,
        event: QueueEvent,
    ) {
        if self.incarnation != incarnation {
            return;
        }
        match event {
            // Another timer may have been set meanwhile.
            QueueEvent::Timer(at) if self.wakes_at == at => {
                self.handle(environment, Input::Tick);
            }
            QueueEvent::Timer(_) => {}
            QueueEvent::PollStarts(server) => self.poll(environment, server),
            QueueEvent::DisconnectNoticed(id) => self.handle_disconnect(environment, id),
        }
    }

    /// Handles that a client has disconnected before it had its reply.
    fn handle_disconnect(&mut self, environment: &mut Environment, id: ExchangeId) {
        let call = self.calls.iter().find(|(_, exchange)| **exchange == id);
        let exchange = environment.network.exchange(id);
        let (Some((&call, _)), Some(exchange)) = (call, exchange) else {
            return;
        };
        if let Request::Take(ticket, _) = &exchange.request {
            let unique_id = ticket.request.spec.unique_id.clone();
            self.calls.remove(&call);
            self.handle(environment, Input::Disconnected { call, unique_id });
        }
    }

    /// Handles the result of a request to a monitor.
    pub fn handle_result(
        &mut self,
        environment: &mut Environment,
        id: ExchangeId,
        request: Request,
        result: ExchangeResult,
    ) {
        let Some((server, sent_at)) = self.requests.remove(&id) else {
            return;
        };
        match request {
            Request::Poll(..) => self.handle_poll_result(environment, server, sent_at, result),
            Request::Forward(take) => {
                self.handle_forward_result(environment, server, take, result);
            }
            Request::Release(unique_id, token, _) => {
                if matches!(result, ExchangeResult::Reply(Reply::TokenRefused)) {
                    let by_poll = false;
                    self.handle(environment, Input::TokenRefused { server, by_poll });
                }
                let input = Input::Released {
                    server,
                    unique_id,
                    token,
                    is_confirmed: matches!(result, ExchangeResult::Reply(Reply::Released)),
                };
                self.handle(environment, input);
            }
            Request::Enqueue(_) | Request::Take(..) | Request::Withdraw(_) => {}
        }
    }

    /// Sends a long poll to a monitor.
    fn poll(&mut self, environment: &mut Environment, server: usize) {
        let now = self.clock.show(environment.context.now);
        let demand = self.core.as_ref().and_then(|core| core.demand(now, server));
        // As it is written and read.
        let demand = demand.map(|it| it.to_string().parse().expect("it can be read"));
        let request = Request::Poll(self.etags[server], POLL_HOLD, demand);
        self.send(environment, server, request, POLL_HOLD + POLL_GRACE);
    }

    fn handle_poll_result(
        &mut self,
        environment: &mut Environment,
        server: usize,
        sent_at: Timestamp,
        result: ExchangeResult,
    ) {
        let (input, pause) = match result {
            ExchangeResult::Reply(Reply::Report(mut report, etag)) => {
                report.asked_at = sent_at;
                self.prove(&mut report);
                self.etags[server] = Some(etag);
                let report = *report;
                (Input::Reported { server, report }, Duration::from_millis(5))
            }
            ExchangeResult::Reply(Reply::Unavailable) => {
                self.etags[server] = None;
                let failure = ServerFailure::Status(503);
                (Input::Unreachable { server, failure }, POLL_RETRY_PAUSE)
            }
            ExchangeResult::Reply(Reply::TokenRefused) => {
                self.etags[server] = None;
                let by_poll = true;
                (Input::TokenRefused { server, by_poll }, POLL_RETRY_PAUSE)
            }
            ExchangeResult::Reply(_) => {
                let asked_at = sent_at;
                (Input::Unchanged { server, asked_at }, Duration::ZERO)
            }
            ExchangeResult::Unreachable | ExchangeResult::Ambiguous => {
                self.etags[server] = None;
                let failure = ServerFailure::NoResponse(String::new());
                (Input::Unreachable { server, failure }, POLL_RETRY_PAUSE)
            }
        };
        self.handle(environment, input);
        self.check_targets(environment);
        let event = self.event(QueueEvent::PollStarts(server));
        environment.context.schedule_after(pause, event);
    }

    /// All queues have the same key.
    fn prove(&self, report: &mut Report) {
        report.prove(|unique_id, reservation| {
            let enqueued_at = reservation.enqueued_at?;
            let count = reservation.runners.len();
            self.servers.iter().position(|(url, _)| {
                let valid = proof(url, unique_id, enqueued_at, count);
                reservation.proof.as_deref() == Some(&valid)
            })
        });
    }

    fn handle_forward_result(
        &mut self,
        environment: &mut Environment,
        server: usize,
        take: Take,
        result: ExchangeResult,
    ) {
        let outcome = match result {
            ExchangeResult::Reply(Reply::Granted(runners)) => {
                ForwardOutcome::Granted(self.with_server(runners, server))
            }
            ExchangeResult::Reply(Reply::Refused) => ForwardOutcome::Refused(String::new()),
            ExchangeResult::Reply(Reply::TokenRefused) => ForwardOutcome::TokenRefused,
            ExchangeResult::Unreachable => {
                let failure = ServerFailure::NoResponse(String::new());
                self.handle(environment, Input::Unreachable { server, failure });
                ForwardOutcome::Refused(String::new())
            }
            ExchangeResult::Reply(_) | ExchangeResult::Ambiguous => ForwardOutcome::Ambiguous,
        };
        let Some(token) = take.token else {
            return;
        };
        let input = Input::Forwarded {
            server,
            unique_id: take.job.unique_id,
            token,
            outcome,
        };
        self.handle(environment, input);
    }

    fn with_server(&self, mut runners: Vec<TakenRunner>, server: usize) -> Vec<TakenRunner> {
        for runner in &mut runners {
            // Whichever of its URLs was used, it is the same runner.
            runner.server = Some(server_name(self.servers[server].1));
        }
        runners
    }

    fn perform(&mut self, environment: &mut Environment, effect: Effect) {
        match effect {
            Effect::Answer { call, answer } => self.answer(environment, call, answer),
            Effect::Forward(forward) => self.forward(environment, forward),
            Effect::Release(release) => self.release(environment, release),
            // Checked before any effect is performed.
            Effect::Record(_) | Effect::RecordReplacement(_) => {}
        }
    }

    fn answer(&mut self, environment: &mut Environment, call: CallId, answer: Answer) {
        let Some(id) = self.calls.remove(&call) else {
            return;
        };
        if let Answer::Refused(Refusal::NotReady { .. }) = &answer
            && let Some(exchange) = environment.network.exchange(id)
            && let Request::Enqueue(request) = &exchange.request
            && let Some(core) = &self.core
        {
            let context = &mut environment.context;
            let shown = self.clock.show(context.now);
            context
                .invariants
                .check_not_ready(context.now, core, shown, request);
        }
        // In the daemon, a handler whose client has disconnected may notice that or not.
        if let Answer::Runners { unique_id, .. } = &answer
            && environment.network.has_ended(id)
            && environment.context.rng.chance(0.5)
        {
            let unique_id = unique_id.clone();
            return self.handle(environment, Input::Undelivered { unique_id });
        }
        let context = &mut environment.context;
        if let Answer::Runners { unique_id, .. } = &answer {
            let invariants = &mut context.invariants;
            invariants.observe_assignment(self.index, unique_id);
        }
        if let Some(exchange) = environment.network.exchange(id)
            && let Node::Client(client) = exchange.from.node
        {
            let invariants = &mut context.invariants;
            invariants.observe_reply(context.now, client, self.index);
        }
        environment.reply(id, Reply::Queue(answer));
    }

    fn forward(&mut self, environment: &mut Environment, forward: Forward) {
        environment.context.statistics.forwards += 1;
        let proof = proof(
            &self.servers[forward.server].0,
            &forward.request.spec.unique_id,
            forward.enqueued_at,
            forward.count.get(),
        );
        let take = Take {
            job: JobSpec {
                count: forward.count,
                ..forward.request.spec
            },
            enqueued_at: Some(forward.enqueued_at),
            proof: Some(proof),
            token: Some(forward.token),
            labels_from_response: forward.request.labels_from_response,
        };
        let now = self.clock.show(environment.context.now);
        let timeout = forward.deadline_at.since(now);
        self.send(environment, forward.server, Request::Forward(take), timeout);
    }

    fn release(&mut self, environment: &mut Environment, release: Release) {
        environment.context.statistics.releases += 1;
        let request = Request::Release(release.unique_id, release.token, release.destroy);
        self.send(environment, release.server, request, RELEASE_TIMEOUT);
    }

    /// Sends a request to a monitor.
    fn send(
        &mut self,
        environment: &mut Environment,
        server: usize,
        request: Request,
        timeout: Duration,
    ) {
        let from = Sender {
            node: Node::Queue(self.index),
            incarnation: self.incarnation,
        };
        let monitor = Node::Monitor(self.servers[server].1);
        let id = environment.send(from, monitor, request, timeout);
        let sent_at = self.clock.show(environment.context.now);
        self.requests.insert(id, (server, sent_at));
    }

    /// Two URLs of one monitor do not double its runners.
    fn check_targets(&self, environment: &mut Environment) {
        let Some(core) = &self.core else { return };
        let context = &mut environment.context;
        let shown = self.clock.show(context.now);
        for profile in 0..context.scenario.profile_count() {
            let follow_demand = context.scenario.habits.pools_follow_demand;
            let targets = context.scenario.targets.iter();
            let targets = targets.map(|targets| match follow_demand {
                true => targets.iter().sum(),
                false => targets[profile],
            });
            let all: usize = targets.sum();
            let target = core.fleet().target(&profile_key(profile), shown);
            if target > all {
                let description = format!(
                    "queue {} counts {target} runners instead of {all}",
                    self.index
                );
                context.invariants.violate(context.now, 7, description);
            }
        }
    }

    fn schedule_timer(&mut self, environment: &mut Environment) {
        let Some(core) = &self.core else { return };
        let now = environment.context.now;
        let latest = now + SLEEP_MAX;
        let timeout = core.poll_timeout().map(|at| self.clock.time_of(at));
        let at = timeout.unwrap_or(latest).clamp(now, latest);
        if self.wakes_at <= now || at < self.wakes_at {
            self.wakes_at = at;
            let event = self.event(QueueEvent::Timer(at));
            environment.context.schedule_at(at, event);
        }
    }

    /// An event for this process.
    fn event(&self, event: QueueEvent) -> Event {
        Event::Queue(self.index, self.incarnation, event)
    }
}
