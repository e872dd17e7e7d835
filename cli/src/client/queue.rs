//! The requests of a job to the queue: enqueue, take, status, withdraw.
//!
//! Responsible for their URLs, headers and limits. Tickets and tokens are sent in `Authorization`,
//! never in a URL, because proxies log URLs.

use std::time::Duration;

use http_client::{Client, HttpError, Method, Request, Response, Retry, StatusCode};
use shared::{
    job_spec::JobSpec,
    operator::Author,
    secret::Secret,
    settings::BaseUrl,
    values::{Count, ProfileKey, QualifiedRepo, RunId, UniqueId},
    wait_limits::WaitLimits,
    wire::JobStatus,
};

use super::{
    ErrorResponse, RequestError, Take, Taken, Waiting, error::expect_ok, orders::with_author,
};

/// How much longer than its hold time a take may last.
const HOLD_GRACE: Duration = Duration::from_secs(10);
/// The largest story or history: a thousand events or jobs.
const HISTORY_BODY_MAX: usize = 8 * 1024 * 1024;
/// How long the queue may search its files.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest ticket, in bytes; a usual one has some 500.
const TICKET_LENGTH_MAX: usize = 16 * 1024;

/// A job to enqueue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
    /// Name and requirements of the job.
    pub spec: JobSpec,
    /// Whether takes return an array of runners, also if the count is one. Decides the URL.
    pub is_array: bool,
    /// Whether the client reads the labels of its runners from the response to a take. Otherwise the
    /// label `reserved-for:<unique_id>` is added to each of them, which costs a call to GitHub.
    pub labels_from_response: bool,
    /// Up to when hosted runners are not the better choice.
    pub limits: WaitLimits,
}

impl JobRequest {
    /// A request for `count` runners. `None` asks for one runner, without an array.
    pub fn new(
        unique_id: UniqueId,
        profile_key: ProfileKey,
        count: Option<Count>,
        qualified_repo: QualifiedRepo,
        run_id: RunId,
    ) -> Self {
        let spec = JobSpec {
            unique_id,
            profile_key,
            count: count.unwrap_or(Count::ONE),
            qualified_repo,
            run_id,
        };
        Self {
            spec,
            is_array: count.is_some(),
            labels_from_response: true,
            limits: WaitLimits::default(),
        }
    }
}

/// A client of one queue. Not `Send`; a clone is cheap.
#[derive(Clone)]
pub struct QueueClient {
    client: Client,
    base_url: BaseUrl,
    author: Author,
}

impl QueueClient {
    /// A client of the queue at `base_url`.
    pub fn new(client: Client, base_url: BaseUrl) -> Self {
        Self {
            client,
            base_url,
            author: Author::default(),
        }
    }

    /// With the name of the operator who makes changes.
    pub fn by(mut self, author: Author) -> Self {
        self.author = author;
        self
    }

    /// Enqueues `job` and returns its ticket. Idempotent.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn enqueue(
        &self,
        job: &JobRequest,
        api_token: &Secret,
    ) -> Result<Secret, RequestError> {
        // Nothing here needs escaping: each value was parsed, and consists of characters that a URL
        // may contain.
        let spec = &job.spec;
        let count = if job.is_array {
            format!("/{}", spec.count)
        } else {
            String::new()
        };
        // Absent rather than false, as in the requests of clients that know nothing of it.
        let labels = if job.labels_from_response {
            "&labels_from_response=true"
        } else {
            ""
        };
        let url = self.base_url.join(&format!(
            "profile/{}/enqueue{count}?unique_id={}&qualified_repo={}&run_id={}{labels}{}",
            spec.profile_key,
            spec.unique_id,
            spec.qualified_repo,
            spec.run_id,
            job.limits.to_query(),
        ));
        let mut request = Request::new(Method::POST, &url);
        request.body_max = TICKET_LENGTH_MAX;
        let response = self.send(request, api_token).await?;
        Ok(ticket(&expect_ok("enqueue the job", response)?)?)
    }

    /// Asks for the runners of a job; the queue may hold the response for `hold`. Idempotent.
    ///
    /// # Errors
    /// See [`RequestError`]. That the job still waits is not an error.
    pub async fn take(
        &self,
        unique_id: &UniqueId,
        ticket: &Secret,
        hold: Duration,
    ) -> Result<Take, RequestError> {
        let url = self.base_url.join(&format!("take/{unique_id}"));
        let mut request = Request::new(Method::POST, &url);
        request.timeout = hold + HOLD_GRACE;
        if !hold.is_zero() {
            request = request.header("prefer", format!("wait={}", hold.as_secs()));
        }
        let response = self.send(request, ticket).await?;
        if response.status == StatusCode::OK {
            return Ok(Take::Runners(Taken::parse(&response)?));
        }
        let error = ErrorResponse::parse("take the job's runners", &response);
        if error.code == "waiting" {
            return Ok(Take::Waiting(Waiting::parse(&response)));
        }
        Err(RequestError::Refused(error))
    }

    /// The status of a job. Unlike a take it does not tell the queue that the client is present.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn status(
        &self,
        unique_id: &UniqueId,
        bearer: &Secret,
    ) -> Result<JobStatus, RequestError> {
        let url = self.base_url.join(&format!("job/{unique_id}"));
        let response = self.send(Request::new(Method::GET, &url), bearer).await?;
        Ok(expect_ok("get the status of the job", response)?.json()?)
    }

    /// Where a job stands and what has happened to it: a response with a
    /// [`JobReport`](shared::wire::JobReport).
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn job(
        &self,
        unique_id: &UniqueId,
        bearer: &Secret,
    ) -> Result<Response, RequestError> {
        let url = self.base_url.join(&format!("job/{unique_id}"));
        self.get(&url, bearer, "show the job").await
    }

    /// The jobs that are over and match these parameters: a response with a
    /// [`History`](shared::wire::History).
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn history(
        &self,
        query: &[(&str, String)],
        api_token: &Secret,
    ) -> Result<Response, RequestError> {
        let parameters: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let path = format!("history.json?{}", parameters.join("&"));
        let url = self.base_url.join(&path);
        self.get(&url, api_token, "show the history").await
    }

    async fn get(
        &self,
        url: &str,
        bearer: &Secret,
        purpose: &'static str,
    ) -> Result<Response, RequestError> {
        let mut request = Request::new(Method::GET, url);
        request.body_max = HISTORY_BODY_MAX;
        request.timeout = HISTORY_TIMEOUT;
        let response = self.send(request, bearer).await?;
        expect_ok(purpose, response)
    }

    /// Withdraws a job, authorised by its ticket or by the API token. Runners that are reserved for
    /// it are released. Returns whether the queue knew the job.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn withdraw(
        &self,
        unique_id: &UniqueId,
        bearer: &Secret,
    ) -> Result<bool, RequestError> {
        let url = self.base_url.join(&format!("job/{unique_id}"));
        let mut request = Request::new(Method::DELETE, &url);
        request.timeout = Duration::from_secs(3);
        let request = with_author(request, &self.author);
        let response = self.send(request, bearer).await?;
        // Any other success is the page of something in front of the queue.
        if response.status == StatusCode::NO_CONTENT {
            return Ok(true);
        }
        let error = ErrorResponse::parse("withdraw the job", &response);
        match error.code.as_str() {
            "unknown_job" => Ok(false),
            _ => Err(RequestError::Refused(error)),
        }
    }

    /// Sends a request with what all requests have in common: one retry, because they are idempotent, and
    /// `Accept`, because without it some error responses of the queue have no body.
    async fn send(&self, mut request: Request<'_>, bearer: &Secret) -> Result<Response, HttpError> {
        request.bearer = Some(bearer);
        request.retry = Retry::Once;
        let request = request.header("accept", "application/json");
        self.client.send(request).await
    }
}

/// The ticket in a response. Any other text, such as the page of a proxy, is not a ticket.
fn ticket(response: &Response) -> Result<Secret, HttpError> {
    let text = response.text()?.trim();
    if is_ticket(text) {
        return Ok(Secret::new(text));
    }
    Err(HttpError::Malformed {
        target: "the queue".into(),
        cause: "it is not a ticket".into(),
    })
}

/// Whether `text` can be a bearer token (RFC 6750, section 2.1).
fn is_ticket(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_proxy_is_not_a_ticket() {
        for ticket in ["eyJ0.eyJ1.c2-_", "AbCdEf0123456789", "a+/b=="] {
            assert!(is_ticket(ticket), "{ticket}");
        }
        for other in [
            "",
            "<html>",
            "<html></html>",
            "Bad Gateway",
            "{}",
            "a\"b",
            "a\u{e9}",
        ] {
            assert!(!is_ticket(other), "{other}");
        }
    }
}
