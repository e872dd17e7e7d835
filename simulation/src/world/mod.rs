//! A run: all processes and their environment, and the loop that delivers events to them.
//!
//! The world is the only place where one process has an effect on another. All other modules know
//! nothing of it.

mod faults;

use std::time::Duration;

use shared::clock::Timestamp;

use crate::{
    actors::{
        client::Client,
        guest::Guests,
        monitor::{MonitorNode, server_name},
        operations, operator,
        queue::QueueNode,
    },
    context::Context,
    environment::Environment,
    events::{Event, GuestId, QueueEvent},
    invariants::Violation,
    liveness::first_pending,
    messages::{ExchangeId, ExchangeResult, Node},
    network::Sender,
    rng::Rng,
    scenario::{PAUSES, Scenario},
    statistics::Statistics,
};

/// How often the run checks whether it can end.
const LIVENESS_INTERVAL: Duration = Duration::from_secs(10);

pub struct World {
    environment: Environment,
    queues: Vec<QueueNode>,
    monitors: Vec<MonitorNode>,
    clients: Vec<Client>,
    guests: Guests,
}

impl World {
    /// With `is_traced`, prints a line for every message, crash and reply.
    pub fn new(scenario: Scenario, is_traced: bool) -> Self {
        let server_indices = 0..scenario.targets.len();
        let mut servers: Vec<(String, usize)> = server_indices
            .map(|index| (server_name(index), index))
            .collect();
        if scenario.network.is_listed_twice {
            servers.push((server_name(0) + "again/", 0));
            servers.sort();
        }
        let server_indices = 0..scenario.targets.len();
        Self {
            monitors: server_indices
                .map(|index| MonitorNode::new(index, &scenario))
                .collect(),
            queues: (0..scenario.queue_count)
                .map(|index| QueueNode::new(index, servers.clone()))
                .collect(),
            clients: Vec::new(),
            guests: Guests::default(),
            environment: Environment::new(Context::new(scenario, is_traced)),
        }
    }

    /// Runs to the end: first with faults, then without, until everything has recovered.
    pub fn run(mut self) -> Result<Statistics, Violation> {
        for monitor in &mut self.monitors {
            monitor.start(&mut self.environment);
        }
        for queue in &mut self.queues {
            queue.start(&mut self.environment);
        }
        let context = &self.environment.context;
        context.trace(format_args!("{:?}", context.scenario));
        self.schedule_clients();
        self.schedule_faults();
        self.schedule_pauses();
        let context = &mut self.environment.context;
        context.schedule_after(operator::INTERVAL, Event::OperatorActs);
        let context = &self.environment.context;
        let faults_end_at = context.started_at + context.scenario.fault_period;
        let recovered_by = faults_end_at + context.scenario.recovery_timeout;
        self.run_until(faults_end_at)?;
        self.end_faults();
        loop {
            let until = self.environment.context.now + LIVENESS_INTERVAL;
            self.run_until(until)?;
            let context = &mut self.environment.context;
            let pending = first_pending(
                &self.clients,
                &self.monitors,
                &self.queues,
                &context.scenario,
                context.now,
            );
            let Some(pending) = pending else {
                break;
            };
            if context.now >= recovered_by {
                let description = format!("long after the last fault, {}", pending.description);
                let invariants = &mut context.invariants;
                invariants.violate(context.now, pending.invariant, description);
            }
        }
        let context = self.environment.context;
        let mut statistics = context.statistics;
        statistics.micros = context.now.as_micros() - context.started_at.as_micros();
        Ok(statistics)
    }

    /// Creates the clients, which arrive one after another.
    fn schedule_clients(&mut self) {
        let context = &mut self.environment.context;
        for index in 0..context.scenario.client_count {
            let (client, arrives_at) = Client::random(context, index);
            self.clients.push(client);
            context.schedule_at(arrives_at, Event::ClientActs(index));
        }
    }

    /// Schedules the pauses of profiles, and the end of each. The random stream is one of their own, so that
    /// the events of a run do not depend on whether there are pauses.
    fn schedule_pauses(&mut self) {
        let context = &mut self.environment.context;
        let mut rng = Rng::from_seed(context.scenario.seed ^ !PAUSES);
        let fault_period = context.scenario.fault_period.as_millis() as u64;
        for _ in 0..context.scenario.habits.pause_count {
            let queue = rng.index(self.queues.len());
            let profile = rng.index(context.scenario.profile_count());
            let begins_at = context.now + rng.millis((0, fault_period));
            let ends_at = begins_at + rng.millis((0, 120_000));
            context.schedule_at(begins_at, Event::OperatorPauses(queue, profile));
            context.schedule_at(ends_at, Event::OperatorResumes(queue, profile));
        }
    }

    fn run_until(&mut self, until: Timestamp) -> Result<(), Violation> {
        while let Some(event) = self.environment.context.next_event(until) {
            self.deliver(event);
            self.check()?;
        }
        let context = &mut self.environment.context;
        context.now = context.now.max(until);
        self.check()
    }

    fn check(&mut self) -> Result<(), Violation> {
        let violation = self.environment.context.invariants.take_violation();
        violation.map_or(Ok(()), Err)
    }

    fn deliver(&mut self, event: Event) {
        if let Some(thaws_at) = self.frozen_until(&event) {
            // The events of a process that hangs happen when it continues, in order.
            return self.environment.context.schedule_at(thaws_at, event);
        }
        let environment = &mut self.environment;
        match event {
            Event::RequestArrives(id) => self.deliver_request(id),
            Event::ReplyArrives(id, reply) => {
                self.end_exchange(id, ExchangeResult::Reply(*reply));
            }
            Event::ConnectionEnds(id) => self.end_connection(id),
            Event::Queue(queue, incarnation, event) => {
                self.queues[queue].handle_event(environment, incarnation, event);
            }
            Event::Monitor(monitor, incarnation, event) => {
                self.monitors[monitor].handle_event(environment, incarnation, event);
            }
            Event::OperationRuns(monitor, incarnation, operation) => {
                let monitor = &mut self.monitors[monitor];
                operations::run(
                    environment,
                    &mut self.guests,
                    monitor,
                    incarnation,
                    *operation,
                );
            }
            Event::WebhookArrives(monitor, event) => {
                let context = &environment.context;
                context.trace(format_args!("server {monitor} is sent {event:?}"));
                self.monitors[monitor].handle_webhook(environment, &event);
            }
            Event::GuestActs(id) => {
                let monitor = &mut self.monitors[id.0];
                if self.guests.act(environment, monitor, &id) {
                    self.end_guest(&id);
                }
            }
            Event::ClientActs(client) => self.clients[client].act(environment),
            Event::WorkflowJobQueued(client, label) => {
                self.clients[client].queue_workflow_job(environment, label);
            }
            Event::OperatorActs => {
                for monitor in &mut self.monitors {
                    operator::act(environment, &self.guests, monitor);
                }
                let context = &mut environment.context;
                context.schedule_after(operator::INTERVAL, Event::OperatorActs);
            }
            Event::OperatorPauses(queue, profile) => {
                self.queues[queue].pause(environment, profile);
            }
            Event::OperatorResumes(queue, profile) => {
                self.queues[queue].resume(environment, profile);
            }
            Event::FaultStrikes(fault) => self.strike(fault),
            Event::QueueStarts(queue) => {
                let queue = &mut self.queues[queue];
                if queue.core.is_none() {
                    queue.start(environment);
                }
            }
            Event::MonitorStarts(monitor) => {
                let monitor = &mut self.monitors[monitor];
                if monitor.core.is_none() {
                    monitor.start(environment);
                }
            }
        }
    }

    /// Until when the process that an event belongs to hangs, if it hangs.
    fn frozen_until(&self, event: &Event) -> Option<Timestamp> {
        let queue = |index: usize| self.queues[index].frozen_until;
        let monitor = |index: usize| self.monitors[index].frozen_until;
        let exchange = |id: &ExchangeId| self.environment.network.exchange(*id);
        let until = match event {
            Event::RequestArrives(id) => match exchange(id)?.to {
                Node::Queue(index) => queue(index),
                Node::Monitor(index) => monitor(index),
                Node::Client(_) => return None,
            },
            Event::ReplyArrives(id, _) | Event::ConnectionEnds(id) => {
                match exchange(id)?.from.node {
                    Node::Queue(index) => queue(index),
                    Node::Monitor(_) | Node::Client(_) => return None,
                }
            }
            Event::Queue(index, ..)
            | Event::OperatorPauses(index, _)
            | Event::OperatorResumes(index, _) => queue(*index),
            Event::Monitor(index, ..) => monitor(*index),
            _ => return None,
        };
        (until > self.environment.context.now).then_some(until)
    }

    fn deliver_request(&mut self, id: ExchangeId) {
        let environment = &mut self.environment;
        let Some(exchange) = environment.network.exchange(id) else {
            return;
        };
        let (from, to) = (exchange.from.node, exchange.to);
        let request = exchange.request.clone();
        let context = &mut environment.context;
        context.trace(format_args!("{id} {from:?} asks {to:?}: {request:?}"));
        match to {
            Node::Queue(index) if self.queues[index].core.is_some() => {
                if let Node::Client(client) = from {
                    let invariants = &mut context.invariants;
                    invariants.observe_request(context.now, client, index);
                }
                self.queues[index].handle_request(environment, id, request);
            }
            Node::Monitor(index) if self.monitors[index].core.is_some() => {
                self.monitors[index].handle_request(environment, id, request);
            }
            _ => self.end_exchange(id, ExchangeResult::Unreachable),
        }
    }

    fn end_connection(&mut self, id: ExchangeId) {
        let Some(exchange) = self.environment.network.exchange(id) else {
            return;
        };
        if let (Node::Queue(queue), false) = (exchange.to, exchange.has_ended) {
            let incarnation = self.queues[queue].incarnation;
            let context = &mut self.environment.context;
            let delay = context.rng.millis((1, 1000));
            let event = QueueEvent::DisconnectNoticed(id);
            context.schedule_after(delay, Event::Queue(queue, incarnation, event));
        }
        self.end_exchange(id, ExchangeResult::Ambiguous);
        self.environment.network.forget_ended();
    }

    /// Ends an exchange, and hands its result to the process that has sent the request.
    fn end_exchange(&mut self, id: ExchangeId, result: ExchangeResult) {
        let environment = &mut self.environment;
        let ended = environment.network.end(&environment.context, id, &result);
        let Some(exchange) = ended else {
            return;
        };
        let Sender { node, incarnation } = exchange.from;
        let request = exchange.request.clone();
        match node {
            Node::Client(index) => {
                self.clients[index].handle_result(environment, &request, result);
            }
            Node::Queue(index) if self.queues[index].incarnation == incarnation => {
                self.queues[index].handle_result(environment, id, request, result);
            }
            // The process that sent the request has been killed. Monitors send none.
            Node::Queue(_) | Node::Monitor(_) => {}
        }
    }

    /// Removes a guest that has ended; its monitor notices if it runs.
    fn end_guest(&mut self, id: &GuestId) {
        if self.guests.remove(id) {
            let context = &self.environment.context;
            context.trace(format_args!("guest {} of server {} ends", id.1, id.0));
            let monitor = &mut self.monitors[id.0];
            if let Some(runner) = monitor.runner_of_guest(&id.1) {
                monitor.stories.facts.has_guest.remove(&runner);
            }
            monitor.handle_guest_ended(&mut self.environment, &id.1);
        }
    }
}
