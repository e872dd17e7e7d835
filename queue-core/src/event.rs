//! What happens to jobs, step by step: the history of a job is the list of its events. And how long the
//! replacement of each runner took, from which estimates follow.
//!
//! Each step is recorded where the change is made. An event contains no ticket and no label.

use std::time::Duration;

use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{Count, LaneName, ProfileKey},
    wire::Estimate,
};

use crate::{
    state::{
        fleet::{RunnerId, ServerId},
        job::Retirement,
    },
    worth_waiting::NotWorthIt,
};

/// One step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEvent {
    pub at: Timestamp,
    pub job: JobSpec,
    /// When the job was enqueued, by the ticket that determines its position.
    pub enqueued_at: Timestamp,
    /// When it counts as enqueued, by the same ticket.
    pub queued_at: Timestamp,
    /// The lane that a policy has put it into.
    pub lane: Option<LaneName>,
    pub step: JobStep,
}

/// A runner was replaced: its successor is idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    pub at: Timestamp,
    pub server: ServerId,
    pub profile_key: ProfileKey,
    /// The successor.
    pub runner: RunnerId,
    /// The time from the end of the runner until its successor was idle.
    pub took: Duration,
}

/// What has happened to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStep {
    /// It was enqueued.
    Enqueued { by: EnqueuedBy },
    /// It was restored from its ticket: this queue did not know it, or its runners expired unused.
    Restored,
    /// A job behind it was chosen. Recorded when that begins, and when the reason changes.
    PassedOver { reason: PassOverReason },
    /// A server was asked for its runners.
    Forwarded { server: ServerId, count: Count },
    /// A server that was asked did not grant them, so that the job waits again.
    Refused {
        server: ServerId,
        reason: ForwardFailure,
        /// What the server said; may be empty.
        answer: String,
    },
    /// It has all its runners.
    Assigned {
        runners: Vec<ServerRunners>,
        /// The wait that was estimated when it was enqueued, if that was possible.
        estimated: Option<Estimate>,
    },
    /// A take was answered with its runners. Further takes are not recorded.
    Delivered,
    /// None of the responses with its runners could be sent.
    NotDelivered,
    /// A workflow job runs on one of its runners.
    Started,
    /// A runner was gone before it was delivered, so that the job waits again.
    Returned,
    /// The job is over.
    Retired {
        retirement: Retirement,
        /// What it had, as far as this queue knows.
        assignment: Assignment,
    },
}

/// What authorised an enqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnqueuedBy {
    ApiToken,
    Artifact,
}

impl EnqueuedBy {
    /// Its name in snake case, for events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiToken => "api_token",
            Self::Artifact => "artifact",
        }
    }
}

/// What authorised a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithdrawnBy {
    Ticket,
    ApiToken,
    /// The limits that its client stated: it was no longer worth waiting for.
    WaitLimits(NotWorthIt),
}

impl WithdrawnBy {
    /// Its name in snake case, for events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::ApiToken => "api_token",
            Self::WaitLimits(_) => "wait_limits",
        }
    }
}

/// Why a later job was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassOverReason {
    /// The servers that answer could never have as many runners as it needs.
    TooFewReachable,
    /// The servers with idle runners may not be asked for this job at the moment.
    ServersExcluded,
    /// Its repository has as many runners as the policy allows, or an earlier job of it needs more than are left.
    RepositoryLimit,
}

impl PassOverReason {
    /// Its name in snake case, for events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooFewReachable => "too_few_reachable",
            Self::ServersExcluded => "servers_excluded",
            Self::RepositoryLimit => "repository_limit",
        }
    }
}

/// Why a server did not grant a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardFailure {
    /// It refused.
    Refused,
    /// It refused this job, whatever is idle.
    RefusedThisJob,
    /// It refused the API token.
    TokenRefused,
    /// There was no usable response, so that it may have granted it.
    Ambiguous,
}

impl ForwardFailure {
    /// Its name in snake case, for events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::RefusedThisJob => "refused_this_job",
            Self::TokenRefused => "token_refused",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// Runners of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRunners {
    pub server: ServerId,
    pub runners: Vec<RunnerId>,
}

/// The runners of a job, and since when. Empty if it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// `None` if another queue assigned them, or this one before it was restarted.
    pub assigned_at: Option<Timestamp>,
    /// When a workflow job was first reported to run on one of them.
    pub started_at: Option<Timestamp>,
    pub runners: Vec<ServerRunners>,
}
