//! Limits and periods of a queue.

use std::{sync::Arc, time::Duration};

use shared::{clock::Timestamp, policy::Policy};

/// The settings that may change while the queue runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A job is abandoned when its client has sent no request for this long.
    pub abandon_after: Duration,
    /// How long a monitor has to answer a forward.
    pub forward_timeout: Duration,
    /// Maximum number of jobs.
    pub jobs_max: usize,
    /// Maximum number of jobs of one repository; `None` means no separate limit.
    pub jobs_per_repo_max: Option<usize>,
    /// Maximum number of held takes.
    pub held_max: usize,
    /// Which jobs go first; `None` for the order in which they were enqueued.
    pub policy: Option<Arc<Policy>>,
}

/// Settings that the state machine depends on.
#[derive(Clone, Debug)]
pub struct Config {
    /// No runner is assigned for this long after the start, so that waiting clients can present
    /// their tickets first.
    pub startup_grace: Duration,
    /// A server's report is used for this long.
    pub stale_after: Duration,
    /// How long a ticket is valid.
    pub ticket_lifetime: Duration,
    /// A time before this one is that of a clock that was not set.
    pub believable_from: Timestamp,
    /// How long the queue had not run when it was started, by its clock; zero if unknown.
    pub down_for: Duration,
    /// What may change while the queue runs.
    pub limits: Limits,
}
