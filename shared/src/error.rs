//! Stable codes of error responses, and the HTTP status of each.
//!
//! Scripts match on codes; the book lists what to do about each. The crate `daemon` builds the
//! responses.

/// The reason of an error response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A parameter is missing or has an invalid form.
    BadRequest,
    /// The request requires a token or ticket and has none.
    Unauthorised,
    /// The request has another token than the API token.
    WrongToken,
    /// The ticket was not signed by this queue, or belongs to another job.
    WrongTicket,
    /// A webhook is not signed with our secret.
    WrongSignature,
    /// Artifact authentication failed.
    NotAuthorised,
    /// A guest requested something that does not, or no longer, belong to it.
    NotYours,
    /// A page of another site has made a browser send the request.
    CrossSite,
    /// The daemon does not answer under the name in `Host`.
    WrongHost,
    /// This server belongs to a queue, which has to be used instead.
    QueueMember,
    /// There is no such path.
    NotFound,
    /// No such job: its ticket has expired, or it was withdrawn, abandoned or finished.
    UnknownJob,
    /// This server has no such profile.
    UnknownProfile,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// Another job with the same `unique_id` has other parameters.
    AlreadyEnqueued,
    /// A reservation with the same `unique_id` has other parameters.
    AlreadyReserved,
    /// The artifact contains no secret, and was answered once already.
    AlreadyClaimed,
    /// The fencing token of a take or release is older than that of a later one.
    StaleAttempt,
    /// The body of the request is too large.
    TooLarge,
    /// The body of the request has a content type that is not understood.
    UnsupportedMediaType,
    /// No server can ever meet the request, however long it waits.
    Unsatisfiable,
    /// The settings file is invalid, so nothing was changed.
    InvalidSettings,
    /// The limit of jobs or held requests is reached.
    TooManyJobs,
    /// An error of the daemon, which its log explains.
    Internal,
    /// The daemon cannot answer yet; to be retried.
    NotReady,
    /// The job is still waiting for runners; to be retried.
    Waiting,
    /// Too few runners of that profile are idle; to be retried.
    NoCapacity,
}

impl Code {
    /// The code in the body of the response, such as `bad_request`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorised => "unauthorised",
            Self::WrongToken => "wrong_token",
            Self::WrongTicket => "wrong_ticket",
            Self::WrongSignature => "wrong_signature",
            Self::NotAuthorised => "not_authorised",
            Self::NotYours => "not_yours",
            Self::CrossSite => "cross_site",
            Self::WrongHost => "wrong_host",
            Self::QueueMember => "queue_member",
            Self::NotFound => "not_found",
            Self::UnknownJob => "unknown_job",
            Self::UnknownProfile => "unknown_profile",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::AlreadyEnqueued => "already_enqueued",
            Self::AlreadyReserved => "already_reserved",
            Self::AlreadyClaimed => "already_claimed",
            Self::StaleAttempt => "stale_attempt",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Unsatisfiable => "unsatisfiable",
            Self::InvalidSettings => "invalid_settings",
            Self::TooManyJobs => "too_many_jobs",
            Self::Internal => "internal",
            Self::NotReady => "not_ready",
            Self::Waiting => "waiting",
            Self::NoCapacity => "no_capacity",
        }
    }

    /// The HTTP status of the response.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorised => 401,
            Self::WrongToken
            | Self::WrongTicket
            | Self::WrongSignature
            | Self::NotAuthorised
            | Self::NotYours
            | Self::CrossSite
            | Self::WrongHost
            | Self::QueueMember => 403,
            Self::NotFound | Self::UnknownJob | Self::UnknownProfile => 404,
            Self::MethodNotAllowed => 405,
            Self::AlreadyEnqueued
            | Self::AlreadyReserved
            | Self::AlreadyClaimed
            | Self::StaleAttempt => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Unsatisfiable | Self::InvalidSettings => 422,
            Self::TooManyJobs => 429,
            Self::Internal => 500,
            Self::NotReady | Self::Waiting | Self::NoCapacity => 503,
        }
    }
}
