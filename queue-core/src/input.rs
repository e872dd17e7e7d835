//! Everything that can happen to the queue.

use std::time::Duration;

use shared::{
    clock::Timestamp,
    operator::Order,
    policy::RunFacts,
    values::{FencingToken, ProfileKey, UniqueId},
    wire::TakenRunner,
};

use crate::{
    config::Limits,
    event::{EnqueuedBy, WithdrawnBy},
    state::{
        fleet::{Report, ServerFailure, ServerId},
        job::{JobRequest, TicketContent},
    },
};

/// Identifies a request of a client until it is answered. Chosen by the caller, never reused.
pub type CallId = u64;

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// A client enqueues a job. Answered with `Enqueued` or `Refused`.
    Enqueue {
        call: CallId,
        request: JobRequest,
        /// Random value for the ticket.
        nonce: u64,
        by: EnqueuedBy,
        /// What is known of its run, for the rules of a policy.
        facts: RunFacts,
    },
    /// A client with a valid ticket asks for its runners. Answered with `Runners`, `Waiting` or
    /// `Refused`.
    Take {
        call: CallId,
        ticket: TicketContent,
        /// How long the answer may be held until there are runners; it is not held if
        /// `Config::held_max` takes are held already, or four of this job.
        hold: Option<Duration>,
    },
    /// A client disconnected before its take was answered.
    Disconnected { call: CallId, unique_id: UniqueId },
    /// An answer with runners could not be sent, because the client had disconnected.
    Undelivered { unique_id: UniqueId },
    /// A client or an operator withdraws a job. Answered with `Withdrawn` or `Refused`.
    Withdraw { call: CallId, by: JobReference },
    /// A client or an operator asks for the status of a job, which does not count as a sign of the
    /// client's presence. Answered with `Status` or `Refused`.
    Inspect { call: CallId, by: JobReference },
    /// An operator pauses a profile, or replaces the note of its pause. Answered with `Paused` or `Refused`.
    Pause { call: CallId, order: PauseOrder },
    /// An operator resumes a profile. Answered with `Resumed`.
    Resume {
        call: CallId,
        profile_key: ProfileKey,
    },
    /// The settings have changed. What was decided by the former ones stays as it is.
    SetLimits(Limits),
    /// A monitor answered a poll with its dashboard.
    Reported { server: ServerId, report: Report },
    /// A monitor answered a poll with "not modified".
    Unchanged {
        server: ServerId,
        /// When the poll was sent.
        asked_at: Timestamp,
    },
    /// A request to a monitor failed, or the answer to a poll was not understood.
    Unreachable {
        server: ServerId,
        failure: ServerFailure,
    },
    /// A monitor refused the API token.
    TokenRefused {
        server: ServerId,
        /// Whether in a poll. Older monitors check it in takes and releases only.
        by_poll: bool,
    },
    /// A forward ended.
    Forwarded {
        server: ServerId,
        unique_id: UniqueId,
        token: FencingToken,
        outcome: ForwardOutcome,
    },
    /// A release ended.
    Released {
        server: ServerId,
        unique_id: UniqueId,
        token: FencingToken,
        /// Whether the server confirmed it, or does not know releases at all.
        is_confirmed: bool,
    },
    /// Time has passed.
    Tick,
}

/// What an operator orders with a pause.
#[derive(Clone, Debug)]
pub struct PauseOrder {
    pub profile_key: ProfileKey,
    pub order: Order,
}

/// How a request names a job.
#[derive(Clone, Debug)]
pub enum JobReference {
    /// By its ticket.
    Ticket(TicketContent),
    /// By its name, authorised by the API token.
    Operator(UniqueId),
}

impl JobReference {
    /// The name of the job.
    pub fn unique_id(&self) -> &UniqueId {
        match self {
            Self::Ticket(ticket) => &ticket.request.spec.unique_id,
            Self::Operator(unique_id) => unique_id,
        }
    }

    /// What authorises a withdrawal by this request.
    pub fn withdrawn_by(&self) -> WithdrawnBy {
        match self {
            Self::Ticket(_) => WithdrawnBy::Ticket,
            Self::Operator(_) => WithdrawnBy::ApiToken,
        }
    }
}

/// How a forward ended.
#[derive(Debug)]
pub enum ForwardOutcome {
    /// The server assigned these runners, as many as requested, with `server` filled in.
    Granted(Vec<TakenRunner>),
    /// The server certainly assigned nothing, for this reason in its words; may be empty.
    Refused(String),
    /// The server certainly assigned nothing, and would assign nothing to this job whatever was
    /// idle: it knows another job of this name, or this one as finished.
    RefusedThisJob,
    /// The server certainly assigned nothing: it refuses the API token.
    TokenRefused,
    /// It is unknown whether the server assigned runners: there was no complete, meaningful answer.
    Ambiguous,
}
