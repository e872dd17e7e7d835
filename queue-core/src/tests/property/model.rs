//! One queue, two servers, some clients, and the messages between them.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    clock::Timestamp,
    values::{FencingToken, UniqueId},
    wire::TakenRunner,
};

use super::super::harness::{config, invariants, request};
use super::{
    messages::{InTransit, Message},
    model_server::{Instance, ModelServer, PROFILES},
};
use crate::{
    Answer, CallId, Config, Effect, Forward, Input, JobRequest, Limits, Queue, RunnerId, ServerId,
    TicketContent, testing::Stories,
};

/// How many servers there are.
pub const SERVERS: usize = 2;
/// How many clients there are, each with one job.
pub const CLIENTS: usize = 7;

/// The queue, and everything around it.
pub struct Model {
    pub queue: Queue,
    pub instance: Instance,
    pub now: Timestamp,
    pub servers: Vec<ModelServer>,
    pub in_transit: Vec<InTransit>,
    /// The tickets of each client, the latest last.
    pub tickets: Vec<Vec<TicketContent>>,
    /// The calls without an answer; for takes, of which job.
    pub calls: BTreeMap<CallId, Option<UniqueId>>,
    pub last_call: CallId,
    /// The answers to the last step, by call.
    pub answers: BTreeMap<CallId, Answer>,
    /// Forwards without an answer, and their deadlines.
    pub open_forwards: BTreeMap<(ServerId, UniqueId, FencingToken), (Forward, Timestamp)>,
    pub fails_next_delivery: bool,
    /// What the events of this process tell.
    pub stories: Stories,
    /// The job that each delivered runner was delivered for.
    pub delivered_to: BTreeMap<(ServerId, RunnerId), UniqueId>,
}

/// Low limits, so that they are reached.
pub fn tight_config() -> Config {
    Config {
        limits: Limits {
            jobs_max: CLIENTS - 1,
            held_max: 3,
            ..config().limits
        },
        ..config()
    }
}

/// The names of the servers.
pub fn names() -> Vec<String> {
    (0..SERVERS)
        .map(|server| format!("server-{server}"))
        .collect()
}

/// The request of a client, which is always the same.
pub fn request_of(client: usize) -> JobRequest {
    let name = format!("job-{client}");
    request(&name, PROFILES[client % 2], 1 + client as u64 % 4)
}

impl Model {
    /// The start of a run.
    pub fn new() -> Self {
        let now = Timestamp::from_seconds(1_000_000);
        Self {
            queue: Queue::new(tight_config(), &names(), 0, now),
            instance: 0,
            now,
            servers: (0..SERVERS).map(|_| ModelServer::default()).collect(),
            in_transit: Vec::new(),
            tickets: vec![Vec::new(); CLIENTS],
            calls: BTreeMap::new(),
            last_call: 0,
            answers: BTreeMap::new(),
            open_forwards: BTreeMap::new(),
            fails_next_delivery: false,
            stories: Stories::default(),
            delivered_to: BTreeMap::new(),
        }
    }

    /// A client takes; `None` while the take is held.
    pub fn ask(&mut self, ticket: &TicketContent, hold: Duration) -> Option<Answer> {
        self.last_call += 1;
        let call = self.last_call;
        self.calls
            .insert(call, Some(ticket.request.spec.unique_id.clone()));
        let ticket = ticket.clone();
        self.handle(Input::Take {
            call,
            ticket,
            hold: Some(hold),
        });
        let answer = self.answers.remove(&call);
        assert!(
            answer.is_some() || !hold.is_zero(),
            "call {call} was not answered at once"
        );
        answer
    }

    /// A call that is answered at once.
    pub fn call(&mut self, input: impl FnOnce(CallId) -> Input) -> Answer {
        self.last_call += 1;
        let call = self.last_call;
        self.calls.insert(call, None);
        self.handle(input(call));
        self.answers
            .remove(&call)
            .expect("such calls are answered at once")
    }

    /// Advances the time as the event loop does: a tick when one is due, and at least every second.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.now < until {
            let next = (self.now + Duration::from_secs(1)).min(until);
            let due = self.queue.poll_timeout();
            self.now = due.map_or(next, |due| due.min(next)).max(self.now);
            self.tick();
        }
    }

    /// Hands in a tick.
    pub fn tick(&mut self) {
        let now = self.now;
        self.open_forwards
            .retain(|_, (_, deadline_at)| now < *deadline_at);
        self.handle(Input::Tick);
        invariants::check_rest(&self.queue, self.now);
    }

    /// Hands in an input, and checks and performs its effects.
    pub fn handle(&mut self, input: Input) {
        // A tick handles several timers; the order is checked only against the state at its end.
        let is_one_step = !matches!(input, Input::Tick);
        self.queue.handle(self.now, input);
        let mut undelivered = Vec::new();
        while let Some(effect) = self.queue.poll_effect() {
            self.stories.observe(&effect).unwrap();
            match effect {
                Effect::Answer { call, answer } => {
                    assert!(
                        self.calls.remove(&call).is_some(),
                        "{call} is answered twice"
                    );
                    if let Answer::Runners {
                        unique_id, runners, ..
                    } = &answer
                    {
                        if std::mem::take(&mut self.fails_next_delivery) {
                            undelivered.push(unique_id.clone());
                        } else {
                            self.record_delivery(unique_id, runners);
                        }
                    }
                    self.answers.insert(call, answer);
                }
                Effect::Forward(forward) => {
                    let is_held = self.check_forward(&forward);
                    if is_one_step && !is_held {
                        self.check_order(&forward);
                    }
                    self.send(Message::Take(forward));
                }
                Effect::Release(release) => self.send(Message::Release(release)),
                Effect::Record(_) | Effect::RecordReplacement(_) => {}
            }
        }
        self.stories.compare(&self.queue).unwrap();
        invariants::check(&self.queue, self.now);
        for unique_id in undelivered {
            self.handle(Input::Undelivered { unique_id });
        }
    }

    fn send(&mut self, message: Message) {
        self.in_transit.push(InTransit {
            instance: self.instance,
            message,
        });
    }
}

/// A runner as a server hands it out.
pub fn runner(server: ServerId, id: RunnerId) -> TakenRunner {
    TakenRunner {
        id,
        runner: serde_json::json!({ "id": id }),
        label: Some(format!("runner:{server}-{id}")),
        server: names().get(server).cloned(),
    }
}
