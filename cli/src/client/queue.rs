//! The calls of a job at the queue: enqueue, take, look, withdraw.
//!
//! Owns their addresses, headers and limits. Tickets and tokens travel in `Authorization`, never in
//! an address, where logs would keep them.

use std::time::Duration;

use http_client::{Answer, Call, Client, HttpError, Method, Retry, StatusCode};
use shared::{
    secret::Secret,
    settings::BaseUrl,
    values::{Count, ProfileKey, QualifiedRepo, RunId, UniqueId},
    wire::JobStatus,
};

use super::{CallError, Refusal, Taken, Waiting};

/// How much longer than it was asked to be held a take may last.
const HOLD_GRACE: Duration = Duration::from_secs(10);
/// The longest ticket, in bytes; they have some 500.
const TICKET_LENGTH_MAX: usize = 16 * 1024;

/// A job, as it is enqueued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name, which nothing else may have.
    pub unique_id: UniqueId,
    /// The kind of runner it needs.
    pub profile_key: ProfileKey,
    /// How many it needs at once; none is one, but then the answer to a take is no array.
    pub count: Option<Count>,
    /// The repository it is for.
    pub qualified_repo: QualifiedRepo,
    /// The workflow run it is for.
    pub run_id: RunId,
}

/// What came of a take.
#[derive(Clone, Debug, PartialEq)]
pub enum Take {
    /// The job's runners.
    Runners(Taken),
    /// Not yet.
    Waiting(Waiting),
}

/// A queue, and how to reach it. Not `Send`; a clone is cheap.
#[derive(Clone)]
pub struct QueueClient {
    client: Client,
    base_url: BaseUrl,
}

impl QueueClient {
    /// The queue at `base_url`.
    pub fn new(client: Client, base_url: BaseUrl) -> Self {
        Self { client, base_url }
    }

    /// Puts `job` in line and returns its ticket. Harmless to repeat.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn enqueue(&self, job: &Job, api_token: &Secret) -> Result<Secret, CallError> {
        // Nothing in here needs escaping: the form of each value allows only what may stand in a
        // URL.
        let count = job
            .count
            .map_or_else(String::new, |count| format!("/{count}"));
        let url = self.base_url.join(&format!(
            "profile/{}/enqueue{count}?unique_id={}&qualified_repo={}&run_id={}",
            job.profile_key, job.unique_id, job.qualified_repo, job.run_id,
        ));
        let mut call = Call::new(Method::POST, &url);
        call.body_max = TICKET_LENGTH_MAX;
        let answer = self.call(call, api_token).await?;
        match answer.status {
            StatusCode::OK => Ok(ticket(&answer)?),
            _ => Err(CallError::Refused(Refusal::of("enqueue the job", &answer))),
        }
    }

    /// Asks for the runners of a job; the answer may be held for `hold`. Harmless to repeat.
    ///
    /// # Errors
    /// As [`CallError`] says; to wait is none.
    pub async fn take(
        &self,
        unique_id: &UniqueId,
        ticket: &Secret,
        hold: Duration,
    ) -> Result<Take, CallError> {
        let url = self.base_url.join(&format!("take/{unique_id}"));
        let mut call = Call::new(Method::POST, &url);
        call.timeout = hold + HOLD_GRACE;
        if !hold.is_zero() {
            call = call.header("prefer", format!("wait={}", hold.as_secs()));
        }
        let answer = self.call(call, ticket).await?;
        if answer.status == StatusCode::OK {
            return Ok(Take::Runners(Taken::of(&answer)?));
        }
        let refusal = Refusal::of("take the job's runners", &answer);
        if refusal.code == "waiting" {
            return Ok(Take::Waiting(Waiting::of(&answer)));
        }
        Err(CallError::Refused(refusal))
    }

    /// How a job stands. Does not count as its client being there.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn look(
        &self,
        unique_id: &UniqueId,
        bearer: &Secret,
    ) -> Result<JobStatus, CallError> {
        let url = self.base_url.join(&format!("job/{unique_id}"));
        let answer = self.call(Call::new(Method::GET, &url), bearer).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.json()?),
            _ => Err(CallError::Refused(Refusal::of("look at the job", &answer))),
        }
    }

    /// Gives a job up, with its ticket or with the API token. Whatever was reserved for it is
    /// released. A job that the queue does not know is given up already.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub async fn withdraw(&self, unique_id: &UniqueId, bearer: &Secret) -> Result<(), CallError> {
        let url = self.base_url.join(&format!("job/{unique_id}"));
        let mut call = Call::new(Method::DELETE, &url);
        call.timeout = Duration::from_secs(3);
        let answer = self.call(call, bearer).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let refusal = Refusal::of("withdraw the job", &answer);
        match refusal.code.as_str() {
            "unknown_job" => Ok(()),
            _ => Err(CallError::Refused(refusal)),
        }
    }

    /// Every call of a job may arrive twice without harm, and wants to know why it is refused: the
    /// queue leaves the bodies of some refusals empty for those who do not ask for JSON.
    async fn call(&self, mut call: Call<'_>, bearer: &Secret) -> Result<Answer, HttpError> {
        call.bearer = Some(bearer);
        call.retry = Retry::Once;
        let accepting = call.header("accept", "application/json");
        self.client.call(accepting).await
    }
}

/// The ticket in an answer; anything that could not be sent back in a header is none.
fn ticket(answer: &Answer) -> Result<Secret, HttpError> {
    let text = answer.text()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Secret::new(text));
    }
    Err(HttpError::Malformed {
        target: "the queue".into(),
        cause: "that is no ticket".into(),
    })
}
