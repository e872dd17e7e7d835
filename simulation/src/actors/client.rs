//! Clients: each enqueues one job, polls for its runners with the pauses that the queue asks for, and
//! uses the runners, unless its behaviour is another.

use std::time::Duration;

use emulator::model::NewJob;
use queue_core::{Answer, JobReference, JobRequest, Refusal, TicketContent};
use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{Count, RunId},
    wait_limits::{LimitSeconds, WaitLimits},
    wire::TakenRunner,
};

use super::{monitor::profile_key, queue::config};
use crate::{
    context::Context,
    environment::Environment,
    events::Event,
    invariants::ClientFacts,
    messages::{ExchangeResult, Node, Reply, Request},
    network::Sender,
    rng::Rng,
    scenario::{Scenario, WAIT_LIMITS, repo_of},
};

/// How long a client waits for a reply that is not held.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a request without a usable reply.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

pub struct Client {
    index: usize,
    request: JobRequest,
    /// How long it lets its takes be held, if at all.
    hold: Option<Duration>,
    behaviour: Behaviour,
    phase: Phase,
    /// The queue that it sends its requests to.
    queue: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    /// Asks until it has its runners, and uses them.
    Persistent,
    /// Gets its runners and does not use them.
    Wasteful,
    /// Stops asking at that time, without withdrawing its job.
    AbandonsAt(Timestamp),
    WithdrawsAt(Timestamp),
}

/// ```text
/// Enqueueing ──▶ Waiting ──▶ Assigned
///                   ├──▶ Withdrawing ──▶ Gone
///                   └──────────────────▶ Gone
/// ```
#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Enqueueing,
    /// It has a ticket.
    Waiting(TicketContent),
    Withdrawing(TicketContent),
    /// It has its runners.
    Assigned,
    /// It has ended without runners.
    Gone,
}

impl Client {
    /// Draws the parameters of a client; returns it and the time at which it arrives.
    pub fn random(context: &mut Context, index: usize) -> (Self, Timestamp) {
        let (scenario, rng) = (&context.scenario, &mut context.rng);
        let profile = rng.index(scenario.profile_count());
        let total: usize = scenario
            .targets
            .iter()
            .map(|targets| targets[profile])
            .sum();
        let count = if scenario.workday.is_none() && rng.chance(0.25) {
            rng.number(1, total.min(4) as u64)
        } else {
            1
        };
        let arrives_after = match scenario.workday {
            Some(workday) => workday.arrives_after(index, rng),
            None => {
                let fault_period = scenario.fault_period.as_micros() as u64;
                Duration::from_micros(rng.number(0, fault_period * 3 / 4))
            }
        };
        let arrives_at = context.now + arrives_after;
        let leaves_at = arrives_at + rng.millis((0, 90_000));
        let behaviour = match rng.number(0, 19) {
            _ if scenario.workday.is_some() => Behaviour::Persistent,
            0 => Behaviour::Wasteful,
            1 | 2 => Behaviour::AbandonsAt(leaves_at),
            3 => Behaviour::WithdrawsAt(leaves_at),
            _ => Behaviour::Persistent,
        };
        let older_percent = scenario.habits.older_clients_percent;
        // With a share of zero no number is drawn, so that a run without them stays comparable.
        let is_older = older_percent > 0 && rng.number(0, 99) < older_percent;
        let request = JobRequest {
            spec: JobSpec {
                unique_id: format!("job-{index}").parse().expect("this is a unique_id"),
                profile_key: profile_key(profile),
                count: Count::new(count).expect("this is a count"),
                qualified_repo: repo_of(scenario.seed, index, scenario.policy.is_some()),
                run_id: RunId(index as u64),
            },
            is_array: true,
            labels_from_response: !is_older,
            limits: limits(scenario, index),
        };
        let client = Self {
            index,
            request,
            hold: [None, Some(20), Some(50)][rng.index(3)].map(Duration::from_secs),
            behaviour,
            phase: Phase::Enqueueing,
            queue: 0,
        };
        (client, arrives_at)
    }

    /// What this client waits for, unless it has ended.
    pub fn pending(&self) -> Option<String> {
        match self.phase {
            Phase::Assigned | Phase::Gone => None,
            _ => Some(format!(
                "{} still waits: {:?}",
                self.request.spec.unique_id, self.phase
            )),
        }
    }

    /// Sends the next request, unless this client has ended.
    pub fn act(&mut self, environment: &mut Environment) {
        let now = environment.context.now;
        match (self.behaviour, &self.phase) {
            (Behaviour::AbandonsAt(at), Phase::Enqueueing | Phase::Waiting(_)) if at <= now => {
                self.enter(environment, Phase::Gone);
            }
            (Behaviour::WithdrawsAt(at), Phase::Waiting(ticket)) if at <= now => {
                let phase = Phase::Withdrawing(ticket.clone());
                self.enter(environment, phase);
            }
            _ => {}
        }
        let (request, timeout) = match &self.phase {
            Phase::Enqueueing => (Request::Enqueue(self.request.clone()), TIMEOUT),
            Phase::Waiting(ticket) => (
                Request::Take(ticket.clone(), self.hold),
                self.hold.unwrap_or_default() + TIMEOUT,
            ),
            Phase::Withdrawing(ticket) => (
                Request::Withdraw(JobReference::Ticket(ticket.clone())),
                TIMEOUT,
            ),
            Phase::Assigned | Phase::Gone => return,
        };
        let from = Sender {
            node: Node::Client(self.index),
            incarnation: 0,
        };
        environment.send(from, Node::Queue(self.queue), request, timeout);
    }

    pub fn handle_result(
        &mut self,
        environment: &mut Environment,
        request: &Request,
        result: ExchangeResult,
    ) {
        let ExchangeResult::Reply(Reply::Queue(answer)) = result else {
            let queue_count = environment.context.scenario.queue_count;
            self.queue = (self.queue + 1) % queue_count;
            return self.act_after(environment, RETRY_PAUSE);
        };
        let pause = match answer {
            Answer::Enqueued(ticket) => {
                self.handle_ticket(environment, ticket);
                Duration::ZERO
            }
            Answer::Runners { runners, .. } => return self.handle_runners(environment, &runners),
            // After a held take the next one follows soon.
            Answer::Waiting(waiting) if self.hold.is_some() => {
                Duration::from_millis(waiting.retry_after_seconds)
            }
            Answer::Waiting(waiting) => Duration::from_secs(waiting.retry_after_seconds),
            Answer::Withdrawn { .. } => return self.enter(environment, Phase::Gone),
            Answer::Refused(Refusal::NotReady { .. }) => Duration::from_secs(2),
            Answer::Refused(refusal) => {
                return self.handle_refusal(environment, request, &refusal);
            }
            Answer::Status(_) | Answer::Paused(_) | Answer::Resumed(_) => return,
        };
        self.act_after(environment, pause);
    }

    /// The client's workflow queues a job at GitHub that requires the label of its runner.
    pub fn queue_workflow_job(&self, environment: &mut Environment, label: String) {
        let new = NewJob {
            repo: self.request.spec.qualified_repo.clone(),
            run_id: self.request.spec.run_id,
            labels: vec![label],
            command: self.request.spec.unique_id.to_string(),
        };
        // If the runner has been removed by now, the job stays queued, which is allowed.
        let _ = environment
            .github
            .model
            .queue_job(environment.context.now, new);
    }

    fn act_after(&self, environment: &mut Environment, pause: Duration) {
        environment
            .context
            .schedule_after(pause, Event::ClientActs(self.index));
    }

    fn handle_ticket(&mut self, environment: &mut Environment, ticket: TicketContent) {
        if self.phase == Phase::Enqueueing {
            environment.context.statistics.jobs += 1;
            self.enter(environment, Phase::Waiting(ticket));
        }
    }

    fn handle_runners(&mut self, environment: &mut Environment, runners: &[TakenRunner]) {
        if !matches!(self.phase, Phase::Waiting(_)) {
            return;
        }
        let context = &mut environment.context;
        context
            .invariants
            .check_assignment(context.now, &self.request, runners);
        context.statistics.assigned += 1;
        self.enter(environment, Phase::Assigned);
        if self.behaviour == Behaviour::Wasteful {
            return;
        }
        let context = &mut environment.context;
        for runner in runners {
            let label = match self.request.labels_from_response {
                true => runner.label.clone().unwrap_or_default(),
                false => format!("reserved-for:{}", self.request.spec.unique_id),
            };
            let delay = context.rng.millis((10, 20_000));
            context.schedule_after(delay, Event::WorkflowJobQueued(self.index, label));
        }
    }

    fn handle_refusal(
        &mut self,
        environment: &mut Environment,
        request: &Request,
        refusal: &Refusal,
    ) {
        let context = &mut environment.context;
        let facts = ClientFacts {
            index: self.index,
            unique_id: &self.request.spec.unique_id,
            has_limits: self.request.limits != WaitLimits::default(),
            queue: self.queue,
            is_waiting: matches!(self.phase, Phase::Waiting(_)),
        };
        context
            .invariants
            .check_refusal(context.now, &config(), facts, request, refusal);
        context.statistics.abandoned += 1;
        self.enter(environment, Phase::Gone);
    }

    fn enter(&mut self, environment: &mut Environment, phase: Phase) {
        let invariants = &mut environment.context.invariants;
        match &phase {
            Phase::Waiting(ticket) => invariants.observe_ticket(ticket.clone()),
            _ => invariants.observe_end_of_wait(&self.request.spec.unique_id),
        }
        self.phase = phase;
    }
}

/// How long a client is willing to wait: in total, or compared with a hosted runner. From a random stream of its
/// own, so that runs without limits stay comparable.
fn limits(scenario: &Scenario, index: usize) -> WaitLimits {
    let mut rng = Rng::from_seed(scenario.seed ^ WAIT_LIMITS ^ ((index as u64 + 1) << 32));
    if rng.number(0, 99) >= scenario.habits.limited_clients_percent {
        return WaitLimits::default();
    }
    let seconds = |most, rng: &mut Rng| Some(LimitSeconds::nearest(rng.number(1, most)));
    if rng.chance(0.5) {
        let max_wait = seconds(600, &mut rng);
        return WaitLimits {
            max_wait,
            ..WaitLimits::default()
        };
    }
    WaitLimits {
        max_wait: None,
        // Without it, the time follows from what the queue has learnt.
        hosted_duration: rng.chance(0.5).then(|| seconds(300, &mut rng)).flatten(),
        slowdown: "1.5".parse().ok(),
    }
}
