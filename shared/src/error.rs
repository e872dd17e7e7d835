//! The stable codes of error responses, and the HTTP status of each.
//!
//! A code is what scripts match on; `docs/` lists what to do about each. The response itself is
//! built by the crate `daemon`.

/// What went wrong, as a stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A parameter is missing or not of its form.
    BadRequest,
    /// The call needs a token or ticket and has none.
    Unauthorised,
    /// The API token is not the right one.
    WrongToken,
    /// The ticket is not one of ours, or of another job.
    WrongTicket,
    /// A webhook that was not signed with our secret.
    WrongSignature,
    /// The artifact that should prove the right to a runner does not.
    NotAuthorised,
    /// A guest asked for something that is not, or no longer, its own.
    NotYours,
    /// This server belongs to a queue: ask there.
    QueueMember,
    /// There is nothing at this path.
    NotFound,
    /// No such job: expired, withdrawn, or its runner is long gone.
    UnknownJob,
    /// No such profile on this server.
    UnknownProfile,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// That `unique_id` is taken by a job with other parameters.
    AlreadyEnqueued,
    /// That `unique_id` holds runners under other parameters.
    AlreadyReserved,
    /// A take or release that has been overtaken by a later one.
    StaleAttempt,
    /// The body is larger than is taken here.
    TooLarge,
    /// Waiting could never help.
    Unsatisfiable,
    /// A limit on jobs or held requests is reached.
    TooManyJobs,
    /// Something is broken on this side; the log says what.
    Internal,
    /// What is needed to answer is not known yet.
    NotReady,
    /// The job waits for a runner.
    Waiting,
    /// No runner of that profile is idle.
    NoCapacity,
}

impl Code {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorised => "unauthorised",
            Self::WrongToken => "wrong_token",
            Self::WrongTicket => "wrong_ticket",
            Self::WrongSignature => "wrong_signature",
            Self::NotAuthorised => "not_authorised",
            Self::NotYours => "not_yours",
            Self::QueueMember => "queue_member",
            Self::NotFound => "not_found",
            Self::UnknownJob => "unknown_job",
            Self::UnknownProfile => "unknown_profile",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::AlreadyEnqueued => "already_enqueued",
            Self::AlreadyReserved => "already_reserved",
            Self::StaleAttempt => "stale_attempt",
            Self::TooLarge => "too_large",
            Self::Unsatisfiable => "unsatisfiable",
            Self::TooManyJobs => "too_many_jobs",
            Self::Internal => "internal",
            Self::NotReady => "not_ready",
            Self::Waiting => "waiting",
            Self::NoCapacity => "no_capacity",
        }
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorised => 401,
            Self::WrongToken
            | Self::WrongTicket
            | Self::WrongSignature
            | Self::NotAuthorised
            | Self::NotYours
            | Self::QueueMember => 403,
            Self::NotFound | Self::UnknownJob | Self::UnknownProfile => 404,
            Self::MethodNotAllowed => 405,
            Self::AlreadyEnqueued | Self::AlreadyReserved | Self::StaleAttempt => 409,
            Self::TooLarge => 413,
            Self::Unsatisfiable => 422,
            Self::TooManyJobs => 429,
            Self::Internal => 500,
            Self::NotReady | Self::Waiting | Self::NoCapacity => 503,
        }
    }
}
