//! The core in its place: one lock around it, effects performed outside, a sleep until it wants
//! to be woken.
//!
//! Owns the lock, and who waits for which answer. Decides nothing.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use shared::{
    clock::{Clock, Timestamp},
    values::UniqueId,
};
use tokio::sync::{Notify, mpsc, oneshot};

use queue_core::{
    events::{Answer, CallId, Forward, Input, Output, Release},
    queue::Queue,
};

/// The longest sleep: so that a process that was stopped and goes on notices that it was.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What the task of one server is to do.
#[derive(Debug)]
pub enum Order {
    /// Take runners there.
    Forward(Forward),
    /// Give a reservation back there.
    Release(Release),
}

/// The core and those who wait for it. Cheap to clone.
#[derive(Clone)]
pub struct Driver(Arc<Shared>);

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    /// Told when the core wants to be woken earlier than planned.
    replanned: Notify,
    servers: Vec<mpsc::UnboundedSender<Order>>,
}

struct State {
    queue: Queue,
    callers: HashMap<CallId, oneshot::Sender<Answer>>,
    last_call: CallId,
}

impl Driver {
    /// A driver for `queue`. The orders for each of its servers go to the channel of the same
    /// number. They are few: the core never asks a server for more than it has.
    pub fn new(queue: Queue, clock: Clock, servers: Vec<mpsc::UnboundedSender<Order>>) -> Self {
        let state = State {
            queue,
            callers: HashMap::new(),
            last_call: 0,
        };
        Self(Arc::new(Shared {
            clock,
            state: Mutex::new(state),
            replanned: Notify::new(),
            servers,
        }))
    }

    /// The current moment.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Tells the core what happened.
    pub fn handle(&self, input: Input) {
        self.step(|_| input);
    }

    /// Hands in a call of a client; its answer comes out of the receiver, once. Also returns the
    /// call's number, for [`hang_up`](Self::hang_up).
    pub fn call(&self, input: impl FnOnce(CallId) -> Input) -> (CallId, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let mut call = 0;
        self.step(|state| {
            state.last_call += 1;
            call = state.last_call;
            state.callers.insert(call, sender);
            input(call)
        });
        (call, receiver)
    }

    /// The client of a call hung up before its answer was sent. The answer may have come out at
    /// that very moment.
    pub fn hang_up(
        &self,
        call: CallId,
        unique_id: &UniqueId,
        answer: &mut oneshot::Receiver<Answer>,
    ) {
        answer.close();
        let unique_id = unique_id.clone();
        match answer.try_recv() {
            Ok(Answer::Runners { .. }) => self.handle(Input::Undelivered { unique_id }),
            Ok(_) => {}
            Err(_) => self.step(|state| {
                state.callers.remove(&call);
                Input::HungUp { call, unique_id }
            }),
        }
    }

    /// Looks at the core without changing it.
    pub fn look<T>(&self, look: impl FnOnce(&Queue, Timestamp) -> T) -> T {
        let state = self.0.state.lock();
        look(&state.queue, self.now())
    }

    /// Wakes the core whenever it wants to be woken. Never ends.
    pub async fn run(self) {
        loop {
            let now = self.now();
            let timeout = self.look(|queue, _| queue.poll_timeout());
            let sleep = timeout.map_or(SLEEP_MAX, |timeout| timeout.since(now).min(SLEEP_MAX));
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.0.replanned.notified() => continue,
            }
            self.handle(Input::Tick);
        }
    }

    /// One step of the core, then everything that it wants done.
    fn step(&self, input: impl FnOnce(&mut State) -> Input) {
        let mut answers = Vec::new();
        let mut orders = Vec::new();
        let is_replanned = {
            let mut state = self.0.state.lock();
            let input = input(&mut state);
            let timeout = state.queue.poll_timeout();
            // Under the lock, so that the core sees time go forward only.
            let now = self.now();
            state.queue.handle(now, input);
            while let Some(output) = state.queue.poll_output() {
                match output {
                    Output::Answer { call, answer } => {
                        answers.extend(state.callers.remove(&call).zip(Some(answer)));
                    }
                    Output::Forward(forward) => {
                        orders.push((forward.server, Order::Forward(forward)));
                    }
                    Output::Release(release) => {
                        orders.push((release.server, Order::Release(release)));
                    }
                }
            }
            let earlier = state.queue.poll_timeout();
            earlier.is_some() && (timeout.is_none() || earlier < timeout)
        };
        if is_replanned {
            self.0.replanned.notify_one();
        }
        for (server, order) in orders {
            // A closed channel is a server task that has ended, and with it soon the daemon.
            let _ = self.0.servers[server].send(order);
        }
        for (caller, answer) in answers {
            if let Err(Answer::Runners { unique_id, .. }) = caller.send(answer) {
                self.handle(Input::Undelivered { unique_id });
            }
        }
    }
}

#[cfg(test)]
mod tests;
