//! Typed extractors: what handlers read from a request, parsed and verified.

use std::{
    borrow::Cow,
    future::{Ready, ready},
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Data};
use daemon::{
    auth::Bearer,
    error::{ApiError, Code},
    web::{accepts_json, from_text, labels_from_response, query, segment},
};
use serde::Deserialize;
use shared::{
    policy::{Fact, RunFacts},
    values::{QualifiedRepo, RunId, UniqueId},
    wait_limits::{LimitSeconds, Slowdown, WaitLimits},
};

use queue_core::{JobReference, TicketContent};

use super::AppState;

/// Implements `FromRequest` by the type's `from` function.
macro_rules! extractor {
    ($type:ty) => {
        impl FromRequest for $type {
            type Error = ApiError;
            type Future = Ready<Result<Self, ApiError>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(Self::from(request))
            }
        }
    };
}

/// The content of the ticket in a request, of the job in its path.
///
/// The ticket is in `Authorization: Bearer <ticket>`, else in the parameter `token`.
pub struct JobTicket(pub TicketContent);
extractor!(JobTicket);

/// The job in the path, of a client with its ticket or of an operator with the API token.
pub struct AccessibleJob(pub JobReference);
extractor!(AccessibleJob);

/// Whose jobs a client sees in the history.
pub enum HistoryAccess {
    /// All: it has the API token.
    All,
    /// That of its ticket.
    Own(TicketContent),
}
extractor!(HistoryAccess);

/// The parameters of an enqueue.
#[derive(Deserialize)]
pub struct JobParameters {
    #[serde(deserialize_with = "from_text")]
    pub unique_id: UniqueId,
    #[serde(deserialize_with = "from_text")]
    pub qualified_repo: QualifiedRepo,
    #[serde(deserialize_with = "from_text")]
    pub run_id: RunId,
    /// Whether the client reads the label of its runners from the response.
    #[serde(default, deserialize_with = "labels_from_response")]
    pub labels_from_response: bool,
    #[serde(default)]
    max_wait: Option<LimitSeconds>,
    #[serde(default)]
    hosted_duration: Option<LimitSeconds>,
    #[serde(default)]
    slowdown: Option<Slowdown>,
    #[serde(default, deserialize_with = "optional_fact")]
    branch: Option<Fact>,
    #[serde(default, deserialize_with = "optional_fact")]
    event: Option<Fact>,
    #[serde(default, deserialize_with = "optional_fact")]
    workflow: Option<Fact>,
}

/// A fact of a run. An empty one is not known: a workflow has no branch if a tag was pushed.
fn optional_fact<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Fact>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let fact = (!text.is_empty()).then(|| text.parse()).transpose();
    fact.map_err(serde::de::Error::custom)
}

impl JobParameters {
    /// What the client says of its run. Only with the API token it is believed.
    pub fn facts(&self) -> RunFacts {
        RunFacts {
            branch: self.branch.clone(),
            event: self.event.clone(),
            workflow: self.workflow.as_ref().map(Fact::file_name),
        }
    }

    /// Up to when the client waits.
    pub fn limits(&self) -> Result<WaitLimits, ApiError> {
        if self.hosted_duration.is_some() && self.slowdown.is_none() {
            return Err(ApiError::new(
                Code::BadRequest,
                "hosted_duration needs the parameter slowdown: how many times as long a job takes on a hosted \
                 runner",
            ));
        }
        Ok(WaitLimits {
            max_wait: self.max_wait,
            hosted_duration: self.hosted_duration,
            slowdown: self.slowdown,
        })
    }
}

/// Whether the client accepts JSON by name, so that even a response that `curl --retry` repeats may
/// have a body.
pub struct AcceptsJson(pub bool);
extractor!(AcceptsJson);

impl JobTicket {
    fn from(request: &HttpRequest) -> Result<Self, ApiError> {
        let state = state_of(request)?;
        let unique_id: UniqueId = segment(request, "unique_id")?;
        let token = token_parameter(request)?;
        let bearer = Bearer::of(request);
        let accepted = Accepted::Ticket;
        let ticket = verify(state, &bearer, token.as_deref(), &unique_id, accepted)?;
        Ok(Self(ticket))
    }
}

impl AccessibleJob {
    fn from(request: &HttpRequest) -> Result<Self, ApiError> {
        let state = state_of(request)?;
        let unique_id: UniqueId = segment(request, "unique_id")?;
        let token = token_parameter(request)?;
        let bearer = Bearer::of(request);
        if state.api_token.check(&bearer).is_ok() {
            return Ok(Self(JobReference::Operator(named(state, unique_id))));
        }
        let accepted = Accepted::TicketOrApiToken;
        let ticket = verify(state, &bearer, token.as_deref(), &unique_id, accepted)?;
        Ok(Self(JobReference::Ticket(ticket)))
    }
}

/// The job that an operator names: by its `unique_id`, or by its public id, because pages show no other.
fn named(state: &AppState, unique_id: UniqueId) -> UniqueId {
    let Ok(public_id) = unique_id.as_str().parse() else {
        return unique_id;
    };
    let is_known = state.event_loop.read(|queue, _| queue.has_job(&unique_id))
        || state.journal.job(unique_id.public_id()).is_some();
    let by_public_id = state.journal.job(public_id).filter(|_| !is_known);
    by_public_id.unwrap_or(unique_id)
}

impl HistoryAccess {
    fn from(request: &HttpRequest) -> Result<Self, ApiError> {
        let state = state_of(request)?;
        let token = token_parameter(request)?;
        let bearer = Bearer::of(request);
        if state.api_token.check(&bearer).is_ok() {
            return Ok(Self::All);
        }
        let accepted = Accepted::TicketOrApiToken;
        let content = ticket_content(state, &bearer, token.as_deref(), accepted)?;
        Ok(Self::Own(content))
    }
}

impl AcceptsJson {
    fn from(request: &HttpRequest) -> Result<Self, ApiError> {
        Ok(Self(accepts_json(request.headers())))
    }
}

/// The parameter `token` of the query string.
fn token_parameter(request: &HttpRequest) -> Result<Option<Cow<'_, str>>, ApiError> {
    #[derive(Deserialize)]
    struct Parameters {
        token: Option<String>,
    }
    match request.query_string().strip_prefix("token=") {
        // Nearly all polls: a ticket, which has nothing to be decoded, and no other parameter.
        // Decoding it anyway would take a tenth of the time of a poll.
        Some(token) if is_plain(token) => Ok(Some(Cow::Borrowed(token))),
        _ => {
            let parameters: Parameters = query(request)?;
            Ok(parameters.token.map(Cow::Owned))
        }
    }
}

/// Whether a text at the end of a query string is one value that needs no decoding. Looks at every
/// byte instead of stopping at the first, so that the compiler can look at many at once.
fn is_plain(text: &str) -> bool {
    let specials = text.bytes().map(|byte| matches!(byte, b'%' | b'+' | b'&'));
    !specials.fold(false, |has_special, is_special| has_special | is_special)
}

fn state_of(request: &HttpRequest) -> Result<&AppState, ApiError> {
    let state = request.app_data::<Data<AppState>>();
    state.map(|state| &***state).ok_or_else(|| {
        ApiError::new(
            Code::Internal,
            "internal error of the queue: its routes have no state",
        )
    })
}

/// The content of a ticket, if it is valid and of this job.
fn verify(
    state: &AppState,
    bearer: &Bearer,
    in_query: Option<&str>,
    unique_id: &UniqueId,
    accepted: Accepted,
) -> Result<TicketContent, ApiError> {
    let content = ticket_content(state, bearer, in_query, accepted)?;
    if content.request.spec.unique_id != *unique_id {
        return Err(ApiError::new(
            Code::WrongTicket,
            "this ticket is for another job",
        ));
    }
    Ok(content)
}

/// The content of a valid ticket, in the header or in the query string.
fn ticket_content(
    state: &AppState,
    bearer: &Bearer,
    in_query: Option<&str>,
    accepted: Accepted,
) -> Result<TicketContent, ApiError> {
    let wrong = |message| ApiError::new(Code::WrongTicket, message);
    let ticket = match (bearer, in_query) {
        (Bearer::Token(ticket), _) => ticket.expose(),
        (Bearer::Garbled, _) => {
            return Err(wrong(accepted.garbled()));
        }
        (Bearer::Missing, Some(ticket)) => ticket,
        (Bearer::Missing, None) => {
            return Err(ApiError::new(Code::Unauthorised, accepted.missing()));
        }
    };
    let content = state.ticket_key.verify(ticket);
    content.map_err(|_| wrong(accepted.wrong()))
}

/// Which credentials a request may have, for the messages about those that it has not.
#[derive(Clone, Copy)]
enum Accepted {
    Ticket,
    TicketOrApiToken,
}

impl Accepted {
    fn missing(self) -> &'static str {
        match self {
            Self::Ticket => {
                "this request needs the job's ticket, as `?token=<ticket>` or `Authorization: Bearer <ticket>`"
            }
            Self::TicketOrApiToken => {
                "this request needs the API token, as `Authorization: Bearer <token>`, or the job's ticket, as \
                 `?token=<ticket>` or `Authorization: Bearer <ticket>`"
            }
        }
    }

    fn garbled(self) -> &'static str {
        match self {
            Self::Ticket => "the Authorization header must be one `Bearer <ticket>`",
            Self::TicketOrApiToken => {
                "the Authorization header must be one `Bearer <API token>` or `Bearer <ticket>`"
            }
        }
    }

    fn wrong(self) -> &'static str {
        match self {
            Self::Ticket => {
                "this is no ticket of this queue; if the queue's key has changed, enqueue again"
            }
            Self::TicketOrApiToken => {
                "this is neither the API token nor a ticket of this queue; if the queue's key has changed, \
                 enqueue again"
            }
        }
    }
}
