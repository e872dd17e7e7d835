//! Queues in the story: the real core, and around it what the real driver and server tasks do.

use std::{collections::BTreeMap, time::Duration};

use queue_core::{
    events::{Answer, CallId, ForwardOutcome, Input, Output},
    queue::{Queue, Rules},
};
use shared::{clock::Timestamp, values::Attempt};

use crate::{
    network::{End, ExchangeId, Granted, Node, Question, Reply},
    world::{Event, World},
};

/// How long a monitor is asked to hold its answer, and how much longer it may take.
const WATCH_HOLD: Duration = Duration::from_secs(5);
const WATCH_GRACE: Duration = Duration::from_secs(5);
const WATCH_RETRY: Duration = Duration::from_secs(1);
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest sleep of the driver.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// One queue's process, or its absence.
#[derive(Default)]
pub struct QueueNode {
    /// The core, while the process lives.
    pub core: Option<Queue>,
    /// How often it was started.
    pub life: u64,
    /// It does nothing before.
    pub frozen_until: Timestamp,
    last_call: CallId,
    calls: BTreeMap<CallId, ExchangeId>,
    etags: Vec<Option<(u64, u64)>>,
    asked: BTreeMap<ExchangeId, (usize, Timestamp)>,
    wake_at: Timestamp,
}

/// The rules of every queue in the story, those of the defaults.
pub fn rules() -> Rules {
    Rules {
        settle: Duration::from_secs(5),
        abandon_after: Duration::from_secs(30),
        forward_timeout: Duration::from_secs(10),
        stale_after: Duration::from_secs(15),
        ticket_lifetime: Duration::from_secs(24 * 3600),
        jobs_max: 100_000,
        jobs_per_repo_max: None,
        held_max: 10_000,
    }
}

impl World {
    /// Starts a queue that is not running.
    pub fn start_queue(&mut self, index: usize) {
        let names = self.server_names();
        let node = &mut self.queues[index];
        let (life, last_call) = (node.life + 1, node.last_call);
        *node = QueueNode {
            core: Some(Queue::new(rules(), &names, self.now)),
            life,
            last_call,
            etags: vec![None; names.len()],
            ..QueueNode::default()
        };
        for server in 0..names.len() {
            self.watch(index, server);
        }
        self.queue_handles(index, Input::Tick);
    }

    /// Ends a queue's process between two steps.
    pub fn crash_queue(&mut self, index: usize) {
        let node = &mut self.queues[index];
        node.core = None;
        node.life += 1;
        self.break_exchanges_with(Node::Queue(index));
    }

    /// A question has arrived at a queue that lives.
    pub fn queue_is_asked(&mut self, index: usize, id: ExchangeId, from: Node, question: Question) {
        if let Node::Client(client) = from {
            self.clients[client].heard_at.insert(index, self.now);
        }
        let node = &mut self.queues[index];
        node.last_call += 1;
        let call = node.last_call;
        node.calls.insert(call, id);
        let nonce = self.chance.number(0, u64::MAX);
        let input = match question {
            Question::Enqueue(request) => Input::Enqueue {
                call,
                request,
                nonce,
            },
            Question::Take(claims, hold) => Input::Take { call, claims, hold },
            Question::Withdraw(by) => Input::Withdraw { call, by },
            Question::Watch(..) | Question::MonitorTake(_) | Question::Release(..) => return,
        };
        self.queue_handles(index, input);
    }

    /// One step of a queue, and everything that it wants done.
    pub fn queue_handles(&mut self, index: usize, input: Input) {
        let now = self.now;
        let Some(core) = self.queues[index].core.as_mut() else {
            return;
        };
        core.handle(now, input);
        let outputs: Vec<Output> = std::iter::from_fn(|| core.poll_output()).collect();
        self.check_outputs(index, &outputs);
        for output in outputs {
            self.queue_does(index, output);
        }
        self.plan_queue_wake(index);
    }

    /// The queue's alarm went off.
    pub fn queue_wakes(&mut self, index: usize, life: u64, at: Timestamp) {
        let node = &self.queues[index];
        if node.life == life && node.wake_at == at {
            self.queue_handles(index, Input::Tick);
        }
    }

    /// A client hung up on a queue.
    pub fn queue_loses_caller(&mut self, index: usize, id: ExchangeId) {
        let call = self.queues[index]
            .calls
            .iter()
            .find(|(_, exchange)| **exchange == id)
            .map(|(call, _)| *call);
        let question = self
            .exchanges
            .get(&id)
            .map(|exchange| exchange.question.clone());
        if let (Some(call), Some(Question::Take(claims, _))) = (call, question) {
            self.queues[index].calls.remove(&call);
            self.queue_handles(
                index,
                Input::HungUp {
                    call,
                    unique_id: claims.request.unique_id,
                },
            );
        }
    }

    /// An exchange that a queue began has ended.
    pub fn queue_learns(&mut self, index: usize, id: ExchangeId, question: Question, end: End) {
        match question {
            Question::Watch(..) => self.watch_ended(index, id, end),
            Question::MonitorTake(take) => {
                let Some((server, _)) = self.queues[index].asked.remove(&id) else {
                    return;
                };
                let outcome = match end {
                    End::Reply(Reply::Taken(granted)) => {
                        granted.into_outcome(&self.server_names()[server])
                    }
                    End::NotThere => {
                        self.queue_handles(index, Input::Unreachable { server });
                        Granted::Refused.into_outcome("")
                    }
                    End::Reply(_) | End::Broken => ForwardOutcome::Ambiguous,
                };
                let (unique_id, attempt) = (
                    take.unique_id,
                    take.attempt.map_or(0, |attempt| attempt.number),
                );
                self.queue_handles(
                    index,
                    Input::Forwarded {
                        server,
                        unique_id,
                        attempt,
                        outcome,
                    },
                );
            }
            Question::Release(unique_id, attempt, _) => {
                let Some((server, _)) = self.queues[index].asked.remove(&id) else {
                    return;
                };
                let is_settled = matches!(end, End::Reply(Reply::Released));
                let attempt = attempt.number;
                self.queue_handles(
                    index,
                    Input::Released {
                        server,
                        unique_id,
                        attempt,
                        is_settled,
                    },
                );
            }
            Question::Enqueue(_) | Question::Take(..) | Question::Withdraw(_) => {}
        }
    }

    /// Asks a monitor what is new.
    pub fn watch(&mut self, index: usize, server: usize) {
        let question = Question::Watch(self.queues[index].etags[server], WATCH_HOLD);
        let id = self.ask(
            Node::Queue(index),
            Node::Monitor(server),
            question,
            WATCH_HOLD + WATCH_GRACE,
        );
        self.queues[index].asked.insert(id, (server, self.now));
    }

    fn watch_ended(&mut self, index: usize, id: ExchangeId, end: End) {
        let Some((server, asked_at)) = self.queues[index].asked.remove(&id) else {
            return;
        };
        let (input, pause) = match end {
            End::Reply(Reply::News(mut report, etag)) => {
                report.asked_at = asked_at;
                self.queues[index].etags[server] = Some(etag);
                (Input::Reported { server, report }, Duration::from_millis(5))
            }
            End::Reply(_) => (Input::Unchanged { server, asked_at }, Duration::ZERO),
            End::NotThere | End::Broken => {
                self.queues[index].etags[server] = None;
                (Input::Unreachable { server }, WATCH_RETRY)
            }
        };
        self.queue_handles(index, input);
        let life = self.queues[index].life;
        self.later(pause, Event::Watch(index, life, server));
    }

    fn queue_does(&mut self, index: usize, output: Output) {
        let from = Node::Queue(index);
        match output {
            Output::Answer { call, answer } => {
                let Some(id) = self.queues[index].calls.remove(&call) else {
                    return;
                };
                // A handler that is gone already cannot take the answer.
                if let Answer::Runners { unique_id, .. } = &answer
                    && self.has_hung_up(id)
                    && self.chance.happens(0.5)
                {
                    let unique_id = unique_id.clone();
                    return self.queue_handles(index, Input::Undelivered { unique_id });
                }
                self.note_heard(id);
                self.reply(id, Reply::Queue(answer));
            }
            Output::Forward(forward) => {
                self.tally.forwards += 1;
                let take = monitor_core::Take {
                    unique_id: forward.request.unique_id,
                    profile_key: forward.request.profile_key,
                    count: forward.count,
                    qualified_repo: forward.request.qualified_repo,
                    run_id: forward.request.run_id,
                    attempt: Some(self.attempt(index, forward.attempt)),
                };
                let timeout = forward.deadline_at.since(self.now);
                let id = self.ask(
                    from,
                    Node::Monitor(forward.server),
                    Question::MonitorTake(take),
                    timeout,
                );
                self.queues[index]
                    .asked
                    .insert(id, (forward.server, self.now));
            }
            Output::Release(release) => {
                self.tally.releases += 1;
                let attempt = self.attempt(index, release.attempt);
                let question = Question::Release(release.unique_id, attempt, release.is_delivered);
                let id = self.ask(
                    from,
                    Node::Monitor(release.server),
                    question,
                    RELEASE_TIMEOUT,
                );
                self.queues[index]
                    .asked
                    .insert(id, (release.server, self.now));
            }
        }
    }

    /// An attempt of this queue in its present life: one that is started again is another queue.
    fn attempt(&self, index: usize, number: u64) -> Attempt {
        let queue = 1 + (index as u64) + 1000 * self.queues[index].life;
        Attempt { queue, number }
    }

    fn plan_queue_wake(&mut self, index: usize) {
        let node = &mut self.queues[index];
        let Some(core) = &node.core else { return };
        let latest = self.now + SLEEP_MAX;
        let at = core
            .poll_timeout()
            .unwrap_or(latest)
            .clamp(self.now, latest);
        if node.wake_at <= self.now || at < node.wake_at {
            node.wake_at = at;
            let life = node.life;
            self.at(at, Event::QueueWakes(index, life, at));
        }
    }
}
