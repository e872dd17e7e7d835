//! Messages between the queue and its servers.

use super::model_server::Instance;
use crate::{Forward, ForwardOutcome, Release, Report, ServerId};

/// A message that has not arrived yet.
#[derive(Clone)]
pub enum Message {
    /// To a server.
    Take(Forward),
    /// To a server.
    Release(Release),
    /// To the queue.
    Taken(Forward, TakeResult),
    /// To the queue.
    Released(Release),
    /// To the queue.
    Report(ServerId, Report),
}

/// A message that is under way, and the queue instance that it is from or to.
#[derive(Clone)]
pub struct InTransit {
    pub instance: Instance,
    pub message: Message,
}

/// A server's answer to a take. Unlike `ForwardOutcome` it can be cloned.
#[derive(Clone)]
pub enum TakeResult {
    Granted(Vec<shared::wire::TakenRunner>),
    Refused,
    RefusedThisJob,
}

impl TakeResult {
    pub fn into_outcome(self) -> ForwardOutcome {
        match self {
            Self::Granted(runners) => ForwardOutcome::Granted(runners),
            Self::Refused => ForwardOutcome::Refused(String::new()),
            Self::RefusedThisJob => ForwardOutcome::RefusedThisJob,
        }
    }
}
