//! Everything that can happen to the queue, and everything it can want done.
//!
//! Two closed lists. After each `Queue::handle` the caller drains `Queue::poll_output`, then
//! sleeps until `Queue::poll_timeout`, then hands in `Input::Tick`.

use std::{fmt, sync::Arc, time::Duration};

use shared::{
    clock::Timestamp,
    values::{Count, ProfileKey, UniqueId},
    wire::{Estimate, JobStatus, TakenRunner},
};

use super::{
    fleet::ServerId,
    job::{Claims, JobRequest},
    report::Report,
};

/// One call of a client, from its arrival to its answer. Chosen by the caller, never used twice.
pub type CallId = u64;

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// A client asks to join.
    Enqueue {
        /// To be answered with `Enqueued` or `Refused`.
        call: CallId,
        /// What it wants.
        request: JobRequest,
        /// A random value for the ticket.
        nonce: u64,
    },
    /// A client with a valid ticket asks for its runners.
    Take {
        /// To be answered with `Runners`, `Waiting` or `Refused`.
        call: CallId,
        /// What its ticket says.
        claims: Claims,
        /// How long the answer may be held back, waiting for a runner. With as many held as
        /// allowed, it is not.
        hold: Option<Duration>,
    },
    /// A client hung up before its take was answered.
    HungUp {
        /// Which take it was.
        call: CallId,
        /// For which job.
        unique_id: UniqueId,
    },
    /// The answer with the runners could not be handed over: the client had hung up.
    Undelivered {
        /// For which job.
        unique_id: UniqueId,
    },
    /// A client, or an operator, gives a job up.
    Withdraw {
        /// To be answered with `Withdrawn` or `Refused`.
        call: CallId,
        /// Which job.
        by: JobReference,
    },
    /// Somebody asks how a job stands. Does not count as the client being present.
    Inspect {
        /// To be answered with `Status` or `Refused`.
        call: CallId,
        /// Which job.
        by: JobReference,
    },
    /// A server said what it has.
    Reported {
        /// Which one.
        server: ServerId,
        /// What it said.
        report: Report,
    },
    /// A server said that nothing changed since its last report.
    Unchanged {
        /// Which one.
        server: ServerId,
        /// When it was asked.
        asked_at: Timestamp,
    },
    /// A server could not be asked, or its answer made no sense.
    Unreachable {
        /// Which one.
        server: ServerId,
    },
    /// A forward came to its end.
    Forwarded {
        /// Who was asked.
        server: ServerId,
        /// On behalf of which job.
        unique_id: UniqueId,
        /// Under which attempt.
        attempt: u64,
        /// How it ended.
        outcome: ForwardOutcome,
    },
    /// A release came to its end.
    Released {
        /// Who was told.
        server: ServerId,
        /// Whose reservation.
        unique_id: UniqueId,
        /// Up to which attempt.
        attempt: u64,
        /// Whether the server confirmed it, or cannot do it at all.
        is_settled: bool,
    },
    /// Time has passed.
    Tick,
}

/// How a caller names a job.
#[derive(Clone, Debug)]
pub enum JobReference {
    /// By its ticket.
    Ticket(Claims),
    /// By its name, with the API token.
    Operator(UniqueId),
}

/// How a forward ended.
#[derive(Debug)]
pub enum ForwardOutcome {
    /// The server gave these runners, all of them, with `server` filled in.
    Granted(Vec<TakenRunner>),
    /// The server gave nothing, for sure.
    Refused,
    /// The server gave nothing, for sure, and would give this job nothing whatever it had: it
    /// knows another job of this name, or this one as over.
    RefusedThisJob,
    /// Nobody knows: no answer, half an answer, or one that makes no sense.
    Ambiguous,
}

/// Something that is to be done.
#[derive(Debug)]
pub enum Output {
    /// Answer a call.
    Answer {
        /// Which one.
        call: CallId,
        /// With what.
        answer: Answer,
    },
    /// Take runners at a server; report back with `Input::Forwarded`.
    Forward(Forward),
    /// Give a reservation back; report back with `Input::Released`.
    Release(Release),
}

/// A take at a monitor on behalf of a job.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Who is asked.
    pub server: ServerId,
    /// For whom.
    pub request: JobRequest,
    /// When the job was enqueued: distinguishes it from an earlier job of the same name.
    pub enqueued_at: Timestamp,
    /// How many of the job's runners this server is asked for.
    pub count: Count,
    /// Strictly growing, over all forwards and releases of this queue.
    pub attempt: u64,
    /// After this, the outcome is `Ambiguous`.
    pub deadline_at: Timestamp,
}

/// A release at a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Who is told.
    pub server: ServerId,
    /// Whose reservation.
    pub unique_id: UniqueId,
    /// The reservation as it was made or repeated up to this attempt, and no later one.
    pub attempt: u64,
    /// Whether the runners are to be destroyed instead of becoming idle again: because a client
    /// may know their labels.
    pub is_delivered: bool,
}

/// What a call is answered with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The job is in line; its ticket says this.
    Enqueued(Claims),
    /// The job's runners.
    Runners {
        /// Which job, so that a lost answer can be reported as `Input::Undelivered`.
        unique_id: UniqueId,
        /// All of them.
        runners: Arc<[TakenRunner]>,
        /// Whether they are to be sent as an array.
        is_array: bool,
    },
    /// Not yet.
    Waiting(WaitingAnswer),
    /// The job is gone, and gives back what it held.
    Withdrawn,
    /// How a job stands.
    Status(JobStatus),
    /// No.
    Refused(Refusal),
}

/// Where a waiting job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingAnswer {
    /// How many are before it.
    pub ahead: usize,
    /// How long it will still take.
    pub estimate: Option<Estimate>,
    /// When the client should ask again.
    pub retry_after_seconds: u64,
}

/// Why the queue says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// That name belongs to a job with other parameters.
    AlreadyEnqueued,
    /// No server is set up to have enough runners of that profile.
    Unsatisfiable {
        /// The profile.
        profile_key: ProfileKey,
        /// How many all servers together are set up to have.
        target: usize,
    },
    /// It is not known yet whether any server is set up to have enough.
    NotReady,
    /// As many jobs as allowed.
    TooManyJobs {
        /// The limit.
        jobs_max: usize,
    },
    /// As many jobs of this repository as allowed.
    TooManyJobsOfRepository {
        /// The limit.
        jobs_max: usize,
    },
    /// Expired, withdrawn, abandoned, or its runners are long gone.
    UnknownJob,
}

/// Why a job waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The queue has just started.
    Settling,
    /// No server that has runners of this profile is answering.
    NoServer,
    /// Others are before it.
    Behind(usize),
    /// It is next, and every runner is taken.
    NoneIdle,
    /// It is next and needs more runners at once than are idle.
    Gathering {
        /// How many are idle.
        idle: usize,
        /// How many it needs.
        wanted: usize,
    },
    /// It needs more runners than the servers that answer could ever have.
    TooFewReachable {
        /// How many those are set up to have.
        reachable: usize,
    },
    /// A server is being asked for it.
    BeingForwarded,
    /// It has its runners.
    HasRunners,
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settling => formatter
                .write_str("the queue has just started and lets everybody get back in line first"),
            Self::NoServer => formatter.write_str("no server that has this profile is answering"),
            Self::Behind(1) => formatter.write_str("one job is before it"),
            Self::Behind(ahead) => write!(formatter, "{ahead} jobs are before it"),
            Self::NoneIdle => {
                formatter.write_str("it is next; every runner of this profile is in use")
            }
            Self::Gathering { idle, wanted } => {
                write!(
                    formatter,
                    "it is next; {idle} of the {wanted} runners it needs are idle"
                )
            }
            Self::TooFewReachable { reachable } => {
                write!(
                    formatter,
                    "the servers that answer can have no more than {reachable} runners of this profile"
                )
            }
            Self::BeingForwarded => formatter.write_str("a server is being asked for its runners"),
            Self::HasRunners => formatter.write_str("it has its runners"),
        }
    }
}
