//! Clients: they enqueue, keep asking, obey `Retry-After`, and use what they get; or they do not.

use std::{collections::BTreeMap, time::Duration};

use emulator::model::NewJob;
use queue_core::{
    events::{Answer, JobReference, Refusal},
    job::{Claims, JobRequest},
};
use shared::{
    clock::Timestamp,
    values::{Count, RunId},
    wire::TakenRunner,
};

use crate::{
    monitors::profile_key,
    network::{End, Node, Question, Reply},
    world::{Event, World},
};

/// How long a client waits for an answer that is not held back.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One job's client.
pub struct Client {
    /// What it wants.
    pub request: JobRequest,
    /// How long it lets its takes be held, if at all.
    pub hold: Option<Duration>,
    /// How it behaves.
    pub habit: Habit,
    /// How far it is.
    pub stage: ClientStage,
    /// Which queue it asks.
    pub queue: usize,
    /// When each queue last heard of it.
    pub heard_at: BTreeMap<usize, Timestamp>,
}

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// It asks until it has its runners, and uses them.
    Patient,
    /// It gets its runners and does not use them.
    Wasteful,
    /// It stops asking at that time, without a word.
    AbandonsAt(Timestamp),
    /// It gives up at that time, and says so.
    WithdrawsAt(Timestamp),
}

/// How far a client is.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientStage {
    /// It has no ticket yet.
    Enqueueing,
    /// It holds a ticket.
    Asking(Claims),
    /// It is giving up.
    Withdrawing(Claims),
    /// It has its runners.
    Served,
    /// It is gone without any.
    Gone,
}

impl World {
    /// Makes the clients, and lets them come one after another.
    pub fn invite_clients(&mut self) {
        let trouble_end = self.scenario.trouble.as_micros() as u64;
        for index in 0..self.scenario.client_count {
            let profile = self.chance.index(self.scenario.targets[0].len());
            let total: usize = self
                .scenario
                .targets
                .iter()
                .map(|targets| targets[profile])
                .sum();
            let count = if self.scenario.day.is_none() && self.chance.happens(0.25) {
                self.chance.number(1, total.min(4) as u64)
            } else {
                1
            };
            let joins_after = match self.scenario.day {
                Some(day) => day.joins_after(index, &mut self.chance),
                None => Duration::from_micros(self.chance.number(0, trouble_end * 3 / 4)),
            };
            let joins_at = self.now + joins_after;
            let leaves_at = joins_at + self.chance.millis(0, 90_000);
            let habit = match self.chance.number(0, 19) {
                _ if self.scenario.day.is_some() => Habit::Patient,
                0 => Habit::Wasteful,
                1 | 2 => Habit::AbandonsAt(leaves_at),
                3 => Habit::WithdrawsAt(leaves_at),
                _ => Habit::Patient,
            };
            let request = JobRequest {
                unique_id: format!("job-{index}").parse().expect("this is a unique_id"),
                profile_key: profile_key(profile),
                count: Count::new(count).expect("this is a count"),
                is_array: true,
                qualified_repo: "org/repo".parse().expect("this is a repository"),
                run_id: RunId(index as u64),
            };
            self.clients.push(Client {
                request,
                hold: [None, Some(20), Some(50)][self.chance.index(3)].map(Duration::from_secs),
                habit,
                stage: ClientStage::Enqueueing,
                queue: 0,
                heard_at: BTreeMap::new(),
            });
            self.at(joins_at, Event::ClientActs(index));
        }
    }

    /// A client asks, if it still wants something.
    pub fn client_acts(&mut self, index: usize) {
        let now = self.now;
        let client = &mut self.clients[index];
        match (client.habit, &client.stage) {
            (Habit::AbandonsAt(at), ClientStage::Enqueueing | ClientStage::Asking(_))
                if at <= now =>
            {
                client.stage = ClientStage::Gone;
            }
            (Habit::WithdrawsAt(at), ClientStage::Asking(claims)) if at <= now => {
                client.stage = ClientStage::Withdrawing(claims.clone());
            }
            _ => {}
        }
        let (question, timeout) = match &client.stage {
            ClientStage::Enqueueing => (Question::Enqueue(client.request.clone()), TIMEOUT),
            ClientStage::Asking(claims) => (
                Question::Take(claims.clone(), client.hold),
                client.hold.unwrap_or_default() + TIMEOUT,
            ),
            ClientStage::Withdrawing(claims) => (
                Question::Withdraw(JobReference::Ticket(claims.clone())),
                TIMEOUT,
            ),
            ClientStage::Served | ClientStage::Gone => return,
        };
        let queue = client.queue;
        self.ask(Node::Client(index), Node::Queue(queue), question, timeout);
    }

    /// A client's question has its end.
    pub fn client_learns(&mut self, index: usize, question: &Question, end: End) {
        let answer = match end {
            End::Reply(Reply::Queue(answer)) => answer,
            End::Reply(_) | End::NotThere | End::Broken => {
                let queue_count = self.scenario.queue_count;
                let client = &mut self.clients[index];
                client.queue = (client.queue + 1) % queue_count;
                return self.later(Duration::from_secs(1), Event::ClientActs(index));
            }
        };
        let pause = match answer {
            Answer::Enqueued(claims) => self.client_joins(index, claims),
            Answer::Runners { runners, .. } => return self.client_is_served(index, &runners),
            Answer::Waiting(waiting) if self.clients[index].hold.is_some() => {
                Duration::from_millis(waiting.retry_after_seconds)
            }
            Answer::Waiting(waiting) => Duration::from_secs(waiting.retry_after_seconds),
            Answer::Withdrawn => {
                self.clients[index].stage = ClientStage::Gone;
                return;
            }
            Answer::Refused(Refusal::NotReady) => Duration::from_secs(2),
            Answer::Refused(refusal) => return self.client_is_refused(index, question, &refusal),
            Answer::Status(_) => return,
        };
        self.later(pause, Event::ClientActs(index));
    }

    fn client_joins(&mut self, index: usize, claims: Claims) -> Duration {
        let client = &mut self.clients[index];
        if client.stage == ClientStage::Enqueueing {
            self.tally.jobs += 1;
            client.stage = ClientStage::Asking(claims);
        }
        Duration::ZERO
    }

    fn client_is_served(&mut self, index: usize, runners: &[TakenRunner]) {
        let client = &self.clients[index];
        if !matches!(client.stage, ClientStage::Asking(_)) {
            return;
        }
        self.check_handed(index, runners);
        let client = &mut self.clients[index];
        client.stage = ClientStage::Served;
        self.tally.served += 1;
        if client.habit == Habit::Wasteful {
            return;
        }
        for runner in runners {
            let label = runner.label.clone().unwrap_or_default();
            let delay = self.chance.millis(10, 20_000);
            self.later(delay, Event::WorkflowJob(index, label));
        }
    }

    /// The client's workflow asks GitHub for the label it was given.
    pub fn queue_workflow_job(&mut self, index: usize, label: String) {
        let request = &self.clients[index].request;
        let new = NewJob {
            repo: request.qualified_repo.clone(),
            run_id: request.run_id,
            labels: vec![label],
            command: request.unique_id.to_string(),
        };
        // If its runner is gone by now, the job stays queued, and that is its client's loss.
        let _ = self.github.queue_job(self.now, new);
    }

    fn client_is_refused(&mut self, index: usize, question: &Question, refusal: &Refusal) {
        self.check_refusal(index, question, refusal);
        let client = &mut self.clients[index];
        match &client.stage {
            ClientStage::Asking(_)
                if self.scenario.queue_count > 1 && *refusal == Refusal::UnknownJob =>
            {
                // Fallen silent here while it asked elsewhere.
                client.queue = (client.queue + 1) % self.scenario.queue_count;
                client.stage = ClientStage::Gone;
                self.tally.given_up += 1;
            }
            _ => {
                client.stage = ClientStage::Gone;
                self.tally.given_up += 1;
            }
        }
    }
}
