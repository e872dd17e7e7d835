//! Runs the core: one lock around it, its effects executed outside of the lock, its timers kept.
//!
//! Responsible for the lock, for waking the core when a timer is due, and for which held call gets
//! which answer. Not responsible for any decision.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use shared::{
    clock::{Clock, Timestamp},
    values::UniqueId,
};
use tokio::sync::{Notify, mpsc, oneshot};

use queue_core::{
    Answer, CallId, Effect, Forward, Input, Queue, Release, Report, ServerId, TicketContent,
};

use crate::recorder::{Event, Recorder};

/// The longest sleep between two ticks. The core recognises by the gap between two inputs that the
/// whole process was stopped for a while, and a longer sleep would look like that.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// A request that the core wants sent to a monitor.
#[derive(Debug)]
pub enum Command {
    /// Take runners for a job.
    Take(Forward),
    /// Release a reservation.
    Release(Release),
}

/// The core, shared by the HTTP handlers and the tasks of the servers. Cheap to clone.
#[derive(Clone)]
pub struct EventLoop(Arc<Shared>);

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    /// Notified when the next timer is due earlier than the sleep that is under way ends.
    is_rescheduled: Notify,
    /// Where the commands for each server go, by `ServerId`.
    servers: Vec<mpsc::UnboundedSender<Command>>,
    recorder: Recorder,
}

struct State {
    queue: Queue,
    /// The held takes.
    held: HashMap<CallId, oneshot::Sender<Answer>>,
    last_call: CallId,
}

/// What a take comes back with.
pub enum TakeReply {
    /// The answer.
    Ready(Answer),
    /// The core holds the take until there are runners or its time is over.
    Held(HeldTake),
}

/// A take that has not been answered. Dropping it reports to the core that the client hung up.
pub struct HeldTake {
    event_loop: EventLoop,
    call: CallId,
    unique_id: UniqueId,
    answer: oneshot::Receiver<Answer>,
    is_answered: bool,
}

/// What is left to do after the lock has been released.
#[derive(Default)]
struct Effects {
    /// The answer to the call that the input itself is, if it is one.
    own_answer: Option<Answer>,
    /// Answers to held takes.
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    commands: Vec<(usize, Command)>,
    has_events: bool,
    is_rescheduled: bool,
}

impl EventLoop {
    /// An event loop for `queue`. The commands for each server go to the channel of the same index.
    /// The channels need no bound: the core never asks a server for more runners than it has.
    pub fn new(
        queue: Queue,
        clock: Clock,
        servers: Vec<mpsc::UnboundedSender<Command>>,
        recorder: Recorder,
    ) -> Self {
        let state = State {
            queue,
            held: HashMap::new(),
            last_call: 0,
        };
        Self(Arc::new(Shared {
            clock,
            state: Mutex::new(state),
            is_rescheduled: Notify::new(),
            servers,
            recorder,
        }))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Hands an event to the core.
    pub fn handle(&self, input: Input) {
        let effects = self.advance(&mut self.0.state.lock(), 0, input);
        self.execute(effects);
    }

    /// Hands the report of a server to the core.
    pub fn handle_report(&self, server: ServerId, report: Report) {
        self.0.recorder.observe(self.now(), server, &report);
        self.handle(Input::Reported { server, report });
    }

    /// Hands a client's call to the core that it answers at once: any but a take. `None` only if the
    /// core breaks that rule.
    pub fn call(&self, input: impl FnOnce(CallId) -> Input) -> Option<Answer> {
        let mut effects = {
            let mut state = self.0.state.lock();
            let call = state.next_call();
            self.advance(&mut state, call, input(call))
        };
        let answer = effects.own_answer.take();
        self.execute(effects);
        answer
    }

    /// Hands a take to the core, which may hold it for as long as `hold`.
    pub fn take(&self, ticket: TicketContent, hold: Option<Duration>) -> TakeReply {
        let unique_id = ticket.request.spec.unique_id.clone();
        let (mut effects, held) = {
            let mut state = self.0.state.lock();
            let call = state.next_call();
            let effects = self.advance(&mut state, call, Input::Take { call, ticket, hold });
            // Most takes are answered at once; only the others need a channel.
            let held = effects.own_answer.is_none().then(|| {
                let (sender, answer) = oneshot::channel();
                state.held.insert(call, sender);
                (call, answer)
            });
            (effects, held)
        };
        let own_answer = effects.own_answer.take();
        self.execute(effects);
        match (own_answer, held) {
            (Some(answer), _) => TakeReply::Ready(answer),
            (None, held) => {
                let (call, answer) = held.expect("an unanswered take is held");
                TakeReply::Held(HeldTake {
                    event_loop: self.clone(),
                    call,
                    unique_id,
                    answer,
                    is_answered: false,
                })
            }
        }
    }

    /// Reads from the core without changing it.
    pub fn read<T>(&self, read: impl FnOnce(&Queue, Timestamp) -> T) -> T {
        let state = self.0.state.lock();
        read(&state.queue, self.now())
    }

    /// Ticks whenever a timer of the core is due. Never returns.
    pub async fn run_timers(self) {
        loop {
            let timeout = self.read(|queue, now| queue.poll_timeout().map(|at| at.since(now)));
            let sleep = timeout.unwrap_or(SLEEP_MAX).min(SLEEP_MAX);
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.0.is_rescheduled.notified() => continue,
            }
            self.handle(Input::Tick);
        }
    }

    /// One step of the core. `own_call` is the call that `input` is, if it is one.
    fn advance(&self, state: &mut State, own_call: CallId, input: Input) -> Effects {
        let mut effects = Effects::default();
        let timeout_before = state.queue.poll_timeout();
        // Read under the lock, so that the core sees time go forward only.
        let now = self.now();
        state.queue.handle(now, input);
        while let Some(output) = state.queue.poll_effect() {
            match output {
                Effect::Answer { call, answer } if call == own_call => {
                    effects.own_answer = Some(answer);
                }
                Effect::Answer { call, answer } => {
                    let held = state.held.remove(&call);
                    effects.answers.extend(held.zip(Some(answer)));
                }
                Effect::Forward(forward) => {
                    let server = forward.server;
                    effects.commands.push((server, Command::Take(forward)));
                }
                Effect::Release(release) => {
                    let server = release.server;
                    effects.commands.push((server, Command::Release(release)));
                }
                Effect::Record(event) => {
                    self.0.recorder.add(Event::Job(event));
                    effects.has_events = true;
                }
                Effect::RecordReplacement(replacement) => {
                    self.0.recorder.add(Event::Replaced(replacement));
                    effects.has_events = true;
                }
            }
        }
        let timeout = state.queue.poll_timeout();
        effects.is_rescheduled =
            timeout.is_some() && (timeout_before.is_none() || timeout < timeout_before);
        effects
    }

    /// Executes effects, without the lock.
    fn execute(&self, effects: Effects) {
        if effects.is_rescheduled {
            self.0.is_rescheduled.notify_one();
        }
        for (server, command) in effects.commands {
            // A closed channel belongs to a task that has ended, and the daemon ends with it.
            let _ = self.0.servers[server].send(command);
        }
        if effects.has_events {
            self.0.recorder.record_all();
        }
        for (held, answer) in effects.answers {
            if let Err(Answer::Runners { unique_id, .. }) = held.send(answer) {
                self.handle(Input::Undelivered { unique_id });
            }
        }
    }
}

impl State {
    /// Numbers start at 1: 0 is the `own_call` of inputs that are no calls.
    fn next_call(&mut self) -> CallId {
        self.last_call += 1;
        self.last_call
    }
}

impl HeldTake {
    /// Waits for the answer. `None` only if the core drops the call, which would be a bug.
    pub async fn answer(&mut self) -> Option<Answer> {
        let answer = (&mut self.answer).await.ok();
        self.is_answered = true;
        answer
    }
}

impl Drop for HeldTake {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        self.answer.close();
        let unique_id = self.unique_id.clone();
        match self.answer.try_recv() {
            // The answer was sent at the very moment in which the client hung up.
            Ok(Answer::Runners { .. }) => {
                self.event_loop.handle(Input::Undelivered { unique_id });
            }
            Ok(_) => {}
            Err(_) => {
                let call = self.call;
                let effects = {
                    let mut state = self.event_loop.0.state.lock();
                    state.held.remove(&call);
                    let hung_up = Input::Disconnected { call, unique_id };
                    self.event_loop.advance(&mut state, 0, hung_up)
                };
                self.event_loop.execute(effects);
            }
        }
    }
}

#[cfg(test)]
mod tests;
