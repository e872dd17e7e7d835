//! Everything that the queue can want done.

use std::sync::Arc;

use shared::{
    clock::Timestamp,
    operator::Intervention,
    values::{Count, FencingToken, ProfileKey, UniqueId},
    wire::{Estimate, JobStatus, TakenRunner},
};

use crate::{
    estimate::NoEstimate,
    event::{JobEvent, Replacement},
    input::CallId,
    state::{
        fleet::ServerId,
        job::{JobRequest, TicketContent},
    },
    worth_waiting::NotWorthIt,
};

/// Something that is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Answer a request of a client.
    Answer { call: CallId, answer: Answer },
    /// Take runners at a monitor; its end is `Input::Forwarded`.
    Forward(Forward),
    /// Release a reservation at a monitor; its end is `Input::Released`.
    Release(Release),
    /// Record what has happened to a job. Comes before the answers that tell clients of it.
    Record(JobEvent),
    /// Record how long the replacement of a runner took, so that it is known after a restart.
    RecordReplacement(Replacement),
}

/// A take at a monitor on behalf of a job.
#[derive(Clone, Debug)]
pub struct Forward {
    pub server: ServerId,
    pub request: JobRequest,
    /// When the job was enqueued: distinguishes it from an earlier job of the same name. If there
    /// are several tickets for the job, the time of the latest.
    pub enqueued_at: Timestamp,
    /// How many of the job's runners this server is to assign.
    pub count: Count,
    pub token: FencingToken,
    /// After this time the outcome is `Ambiguous`.
    pub deadline_at: Timestamp,
}

/// A release at a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub server: ServerId,
    pub unique_id: UniqueId,
    /// Releases what takes with this token or an earlier one reserved.
    pub token: FencingToken,
    /// Whether the runners are to be destroyed instead of becoming idle again, because a client may
    /// know their labels.
    pub destroy: bool,
}

/// Answer to a request of a client.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The job is in the queue; its ticket contains this.
    Enqueued(TicketContent),
    /// The job's runners, all of them.
    Runners {
        /// For `Input::Undelivered`.
        unique_id: UniqueId,
        runners: Arc<[TakenRunner]>,
        /// Whether they are sent as a JSON array.
        is_array: bool,
    },
    /// The job waits.
    Waiting(WaitingAnswer),
    /// The job was withdrawn.
    Withdrawn {
        /// Whether by an earlier request, whose answer may have been lost.
        is_repeated: bool,
    },
    /// The profile is paused.
    Paused(Intervention),
    /// The profile is not paused. This was its pause, if there was one.
    Resumed(Option<Intervention>),
    /// The status of a job.
    Status(JobStatus),
    /// The request was refused.
    Refused(Refusal),
}

/// Position and prospects of a waiting job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingAnswer {
    /// How many jobs are before it in its profile queue.
    pub ahead: usize,
    /// How long it will still wait, or why that cannot be estimated.
    pub prospect: Result<Estimate, NoEstimate>,
    /// When the client should poll again.
    pub retry_after_seconds: u64,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The name belongs to a job with other parameters, or to one that runs.
    AlreadyEnqueued,
    /// All servers together have a lower target than the job needs.
    Unsatisfiable {
        profile_key: ProfileKey,
        /// Sum of the servers' targets.
        target: usize,
        /// Which servers could have more runners and why they have not: clauses, separated by commas;
        /// empty if there are none.
        because: String,
    },
    /// It is not known yet whether the servers could ever have enough runners.
    NotReady {
        /// Which servers' reports are missing and why: clauses, separated by commas.
        because: String,
    },
    /// By the limits that its client stated, the job is not worth waiting for. It was not enqueued.
    WaitTooLong(NotWorthIt),
    /// The same, of a job that waited: it is withdrawn.
    NoLongerWorthIt(NotWorthIt),
    /// The limit on jobs is reached.
    TooManyJobs { jobs_max: usize },
    /// The limit on jobs of one repository is reached.
    TooManyJobsOfRepository { jobs_max: usize },
    /// No server has this profile, and no job needs it.
    UnknownProfile,
    /// The limit on paused profiles is reached.
    TooManyPauses { pauses_max: usize },
    /// The job is expired, withdrawn, abandoned or finished, or was never known.
    UnknownJob,
}
