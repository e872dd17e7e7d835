//! What clients, queues and monitors send to each other.

use std::time::Duration;

use monitor_core::Take;
use queue_core::{Answer, JobReference, JobRequest, Report, TicketContent};
use shared::{
    demand::Demand,
    values::{FencingToken, UniqueId},
    wire::TakenRunner,
};

/// A process that can send or receive requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    Queue(usize),
    Monitor(usize),
    Client(usize),
}

/// Identifies a request and its reply.
pub type ExchangeId = u64;

/// Identifies a state of a monitor's dashboard: the monitor's incarnation and a revision.
pub type Etag = (u64, u64);

#[derive(Clone, Debug)]
pub enum Request {
    /// Client to queue.
    Enqueue(JobRequest),
    /// Client to queue: the ticket, and how long the reply may be held.
    Take(TicketContent, Option<Duration>),
    /// Client to queue.
    Withdraw(JobReference),
    /// Queue to monitor: a long poll of the dashboard, which is held for as long as the dashboard
    /// is still the one with this ETag; and what the queue states of the jobs that wait.
    Poll(Option<Etag>, Duration, Option<Demand>),
    /// Queue to monitor.
    Forward(Take),
    /// Queue to monitor: the job, its latest fencing token, and whether to destroy the runners.
    Release(UniqueId, FencingToken, bool),
}

#[derive(Clone, Debug)]
pub enum Reply {
    /// From a queue.
    Queue(Answer),
    /// From a monitor, to a poll: the changed dashboard.
    Report(Box<Report>, Etag),
    /// From a monitor, to a poll whose hold has ended.
    Unchanged,
    /// From a monitor, to a forward: the runners.
    Granted(Vec<TakenRunner>),
    /// From a monitor, to a poll: it answers none at the moment.
    Unavailable,
    /// From a monitor, to any request: it refuses the API token.
    TokenRefused,
    /// From a monitor, to a forward.
    Refused,
    /// From a monitor, to a release.
    Released,
}

/// How an exchange ended for its sender.
#[derive(Debug)]
pub enum ExchangeResult {
    Reply(Reply),
    /// The receiver was not running, so that the request had no effect.
    Unreachable,
    /// There was no reply. Whether the request had an effect is unknown.
    Ambiguous,
}
