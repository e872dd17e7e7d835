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
    /// By the limits that the client stated, hosted runners are the better choice than to wait.
    WaitTooLong,
    /// The same, of a job that has waited for some time: it was removed.
    NoLongerWorthIt,
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
    /// All codes.
    pub const ALL: [Self; 29] = [
        Self::BadRequest,
        Self::Unauthorised,
        Self::WrongToken,
        Self::WrongTicket,
        Self::WrongSignature,
        Self::NotAuthorised,
        Self::NotYours,
        Self::CrossSite,
        Self::WrongHost,
        Self::QueueMember,
        Self::NotFound,
        Self::UnknownJob,
        Self::UnknownProfile,
        Self::MethodNotAllowed,
        Self::AlreadyEnqueued,
        Self::AlreadyReserved,
        Self::AlreadyClaimed,
        Self::StaleAttempt,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Unsatisfiable,
        Self::WaitTooLong,
        Self::NoLongerWorthIt,
        Self::InvalidSettings,
        Self::TooManyJobs,
        Self::Internal,
        Self::NotReady,
        Self::Waiting,
        Self::NoCapacity,
    ];

    /// What it means, in one sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::BadRequest => "A parameter is missing or has an invalid form.",
            Self::Unauthorised => "The request needs a token or ticket and has none.",
            Self::WrongToken => "The token is not one that this daemon accepts.",
            Self::WrongTicket => {
                "The ticket was not signed by this queue, or belongs to another job."
            }
            Self::WrongSignature => "The webhook is not signed with the secret of this monitor.",
            Self::NotAuthorised => "The artifact does not prove the request.",
            Self::NotYours => {
                "A guest requested something that does not, or no longer, belong to it."
            }
            Self::CrossSite => "A page of another site has made a browser send the request.",
            Self::WrongHost => "The daemon does not answer under the name in `Host`.",
            Self::QueueMember => "This server belongs to a queue.",
            Self::NotFound => "There is no such path or thing.",
            Self::UnknownJob => "The queue has no such job, or it is over.",
            Self::UnknownProfile => "No server has this profile.",
            Self::MethodNotAllowed => "The path exists, but not with this method.",
            Self::AlreadyEnqueued => "Another job with this `unique_id` has other parameters.",
            Self::AlreadyReserved => "A reservation with this `unique_id` has other parameters.",
            Self::AlreadyClaimed => {
                "The artifact contains no secret, and was answered once already."
            }
            Self::StaleAttempt => "A later take or release has overtaken this one.",
            Self::TooLarge => "The body of the request is too large.",
            Self::UnsupportedMediaType => "The content type of the body is not understood.",
            Self::Unsatisfiable => "No server can ever meet the request.",
            Self::WaitTooLong => {
                "By the limits that the client stated, hosted runners are the better choice than to wait."
            }
            Self::NoLongerWorthIt => {
                "By the limits that the client stated, hosted runners are the better choice now."
            }
            Self::InvalidSettings => "The settings have a mistake, so nothing was changed.",
            Self::TooManyJobs => "A limit of jobs is reached.",
            Self::Internal => "An error of the daemon.",
            Self::NotReady => "The daemon cannot answer yet.",
            Self::Waiting => "The job still waits for its runners.",
            Self::NoCapacity => "Too few runners of that profile are idle.",
        }
    }

    /// What a client or an operator can do, in one sentence of Markdown.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::BadRequest => "Correct the parameter that the message names.",
            Self::Unauthorised => "Send it as `Authorization: Bearer …`.",
            Self::WrongToken => "Compare it with `SERVO_CI_MONITOR_API_TOKEN` of the daemon.",
            Self::WrongTicket => {
                "Enqueue the job again; after a move of the queue give it its former key."
            }
            Self::WrongSignature => "Set the same secret at GitHub and in `GITHUB_WEBHOOK_SECRET`.",
            Self::NotAuthorised => {
                "Correct what the message names; see [artifact authentication](http-api.md#artifact-authentication)."
            }
            Self::NotYours => {
                "Nothing needs to be done if the guest is being destroyed; otherwise see the log of the monitor."
            }
            Self::CrossSite => "Send it from a page of the daemon, or with another program.",
            Self::WrongHost => "Use another name, or add this one to `allowed_hosts`.",
            Self::QueueMember => "Enqueue the job at the queue.",
            Self::NotFound => "Compare the path with this page; the message says what is missing.",
            Self::UnknownJob => {
                "Enqueue it again if it still needs runners; the message says how it ended."
            }
            Self::UnknownProfile => "Use one that the dashboard shows.",
            Self::MethodNotAllowed => "Use one of the methods in `Allow`.",
            Self::AlreadyEnqueued => "Choose another `unique_id`, preferably a UUID.",
            Self::AlreadyReserved => "Choose another `unique_id`, preferably a UUID.",
            Self::AlreadyClaimed => {
                "Put the hash of a secret into the artifact, or use the API token."
            }
            Self::StaleAttempt => "Nothing: it arrived too late.",
            Self::TooLarge => "Send less.",
            Self::UnsupportedMediaType => "Send JSON or a form.",
            Self::Unsatisfiable => {
                "Ask for fewer runners or another profile; the message says what the servers could have."
            }
            Self::WaitTooLong | Self::NoLongerWorthIt => {
                "Use hosted runners, or enqueue the job with wider limits; the message has the arithmetic."
            }
            Self::InvalidSettings => "Correct what the message names, and reload again.",
            Self::TooManyJobs => "Repeat the request after `Retry-After`.",
            Self::Internal => "See its log, and report it.",
            Self::NotReady => "Repeat the request after `Retry-After`.",
            Self::Waiting => "Repeat the request after `Retry-After`, or let it be held.",
            Self::NoCapacity => "Repeat the request after `Retry-After`.",
        }
    }

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
            Self::WaitTooLong => "wait_too_long",
            Self::NoLongerWorthIt => "no_longer_worth_it",
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
            Self::NoLongerWorthIt => 410,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Unsatisfiable | Self::WaitTooLong | Self::InvalidSettings => 422,
            Self::TooManyJobs => 429,
            Self::Internal => 500,
            Self::NotReady | Self::Waiting | Self::NoCapacity => 503,
        }
    }
}
