//! Questions and answers between nodes: carried, delayed, repeated, lost, cut off.
//!
//! Owns what becomes of an exchange. Each ends once for the one who asked: with an answer, or
//! with the knowledge of how it failed. What the other side has done is another matter.

use std::time::Duration;

use monitor_core::Take;
use queue_core::{
    events::{Answer, ForwardOutcome, JobReference},
    job::{Claims, JobRequest},
    report::Report,
};
use shared::{
    clock::Timestamp,
    values::{Attempt, UniqueId},
};

use crate::world::{Event, World};

/// Who can ask or be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A queue.
    Queue(usize),
    /// A monitor.
    Monitor(usize),
    /// A client.
    Client(usize),
}

/// An exchange, by its number.
pub type ExchangeId = u64;

/// One question and what became of it.
pub struct Exchange {
    /// Who asked.
    pub from: Node,
    /// In which of its lives.
    pub from_life: u64,
    /// Who was asked.
    pub to: Node,
    /// What.
    pub question: Question,
    /// Whether the one who asked knows how it ended.
    pub is_over: bool,
}

/// What can be asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// Of a queue.
    Enqueue(JobRequest),
    /// Of a queue.
    Take(Claims, Option<Duration>),
    /// Of a queue.
    Withdraw(JobReference),
    /// Of a monitor: what it has, once that differs from the revision known.
    Watch(Option<(u64, u64)>, Duration),
    /// Of a monitor.
    MonitorTake(Take),
    /// Of a monitor: whose, up to which attempt, and whether the runners are destroyed.
    Release(UniqueId, Attempt, bool),
}

/// What can be answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// By a queue.
    Queue(Answer),
    /// By a monitor, to a watch: its news and their revision.
    News(Report, (u64, u64)),
    /// By a monitor, to a watch: nothing new.
    NoNews,
    /// By a monitor, to a take.
    Taken(Granted),
    /// By a monitor, to a release.
    Released,
}

/// How a take at a monitor ended.
#[derive(Clone, Debug)]
pub enum Granted {
    /// These runners.
    Runners(Vec<shared::wire::TakenRunner>),
    /// Nothing.
    Refused,
}

impl Granted {
    /// The same, as the queue's core hears it.
    pub fn into_outcome(self, server_name: &str) -> ForwardOutcome {
        match self {
            Self::Refused => ForwardOutcome::Refused,
            Self::Runners(mut runners) => {
                for runner in &mut runners {
                    runner.server = Some(server_name.to_owned());
                }
                ForwardOutcome::Granted(runners)
            }
        }
    }
}

/// How an exchange ended for the one who asked.
#[derive(Debug)]
pub enum End {
    /// With an answer.
    Reply(Reply),
    /// The other side was not there: the question had no effect.
    NotThere,
    /// Nobody knows what the other side did.
    Broken,
}

impl World {
    /// Asks, and waits for an answer until `timeout` has passed.
    pub fn ask(
        &mut self,
        from: Node,
        to: Node,
        question: Question,
        timeout: Duration,
    ) -> ExchangeId {
        self.last_exchange += 1;
        let id = self.last_exchange;
        let exchange = Exchange {
            from,
            from_life: self.life(from),
            to,
            question,
            is_over: false,
        };
        self.exchanges.insert(id, exchange);
        self.later(timeout, Event::GivenUp(id));
        let copies = 1 + usize::from(self.strikes(|weather| weather.repeat));
        for _ in 0..copies {
            if self.is_lost(from, to) {
                continue;
            }
            let delay = self.travel_time();
            self.later(delay, Event::Asked(id));
        }
        if self.strikes(|weather| weather.cut) {
            let delay = self.chance.millis(1, 5000);
            self.later(delay, Event::Cut(id));
        }
        id
    }

    /// Answers a question, if anybody still waits.
    pub fn reply(&mut self, id: ExchangeId, reply: Reply) {
        let Some(exchange) = self.exchanges.get(&id) else {
            return;
        };
        let (from, to) = (exchange.from, exchange.to);
        if self.is_lost(to, from) {
            return;
        }
        let delay = self.travel_time();
        self.later(delay, Event::Replied(id, Box::new(reply)));
    }

    /// The one who asked learns how it ended; only the first end counts.
    pub fn end_exchange(&mut self, id: ExchangeId, end: End) {
        let Some(exchange) = self.exchanges.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut exchange.is_over, true) {
            return;
        }
        if !matches!(
            (&exchange.question, &end),
            (Question::Watch(..), End::Reply(_))
        ) {
            let from = exchange.from;
            self.tell(format_args!("{id} {from:?} learns: {end:?}"));
        }
        let Some(exchange) = self.exchanges.get(&id) else {
            return;
        };
        let (from, from_life, question) =
            (exchange.from, exchange.from_life, exchange.question.clone());
        if self.life(from) != from_life {
            return;
        }
        match from {
            Node::Client(client) => self.client_learns(client, &question, end),
            Node::Queue(queue) => self.queue_learns(queue, id, question, end),
            Node::Monitor(_) => {}
        }
    }

    /// Whether the one who asked has turned away: then a held answer goes nowhere.
    pub fn has_hung_up(&self, id: ExchangeId) -> bool {
        self.exchanges.get(&id).is_none_or(|exchange| {
            exchange.is_over || self.life(exchange.from) != exchange.from_life
        })
    }

    fn is_lost(&mut self, from: Node, to: Node) -> bool {
        let is_cut_off = self.partitions.iter().any(|&(one, other, until)| {
            self.now < until && ((one, other) == (from, to) || (one, other) == (to, from))
        });
        is_cut_off || self.strikes(|weather| weather.loss)
    }

    fn travel_time(&mut self) -> Duration {
        if self.strikes(|weather| weather.delay) {
            self.chance.millis(1, 30_000)
        } else {
            self.chance.millis(1, 30)
        }
    }

    /// Cuts two nodes off from each other until `until`.
    pub fn partition(&mut self, one: Node, other: Node, until: Timestamp) {
        self.partitions.push((one, other, until));
    }
}
