//! HTTP client for one monitor: polls its dashboard, forwards takes and releases, and classifies
//! each response as granted, refused or ambiguous.

use std::{sync::Arc, time::Duration};

use actix_web::web::{Bytes, block};
use http_client::{Client, HttpError, Method, Request, Response, Retry, StatusCode};
use serde::Deserialize;
use shared::{
    clock::Timestamp,
    demand::{DEMAND_HEADER, Demand},
    secret::Secret,
    settings::BaseUrl,
    text::printable,
    wire::{TakeAnswer, TakenRunner},
};
use tokio::sync::oneshot;

use crate::grant_proofs::GrantProofs;
use queue_core::{Forward, ForwardOutcome, NotReport, Release, Report, ServerFailure, ServerId};

/// How long a monitor is asked to hold a poll while nothing changes.
pub const HOLD: Duration = Duration::from_secs(5);
/// How much longer than that a poll may take.
const HOLD_MARGIN: Duration = Duration::from_secs(5);
/// How long a release may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest dashboard: some thousand runners and a day's reservations.
const DASHBOARD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The largest response to a take.
const TAKE_BYTES_MAX: usize = 1024 * 1024;

/// How long a statement of what jobs wait for may take.
const DEMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// One monitor and how to reach it. Cheap to clone.
#[derive(Clone)]
pub struct MonitorClient {
    /// The server's number in the core.
    pub server: ServerId,
    /// The monitor's base URL.
    pub base_url: BaseUrl,
    /// The token that it is sent, and no other: its own, or the one that all monitors and their queue
    /// share.
    pub token: Secret,
    /// The HTTP client.
    pub client: Client,
    /// Makes the proofs of its takes.
    pub proofs: Arc<GrantProofs>,
}

/// The largest dashboard that is parsed on the thread that dispatches, in bytes. It takes about a tenth of a
/// millisecond.
const INLINE_BYTES_MAX: usize = 16 * 1024;

/// The largest dashboard that is parsed with the priority of everything else, in bytes: that of some hundred
/// runners. Parsing it takes some milliseconds.
const ORDINARY_BYTES_MAX: usize = 512 * 1024;
/// The priority with which larger ones are parsed (`nice`), so that they delay nothing if all processors are
/// busy.
#[cfg(target_os = "linux")]
const PARSE_NICENESS: i32 = 19;

/// A monitor's response to a poll.
pub enum PollResponse {
    /// What it has.
    Dashboard(Dashboard),
    /// The dashboard still has the version that was sent along.
    Unchanged,
}

/// A dashboard that has not been parsed yet.
pub struct Dashboard {
    body: Bytes,
    /// Its version. Older monitors send none.
    pub etag: Option<String>,
}

impl Dashboard {
    /// The report in it. A large one is parsed on another thread, and an enormous one with a low priority, so
    /// that it delays no job of other servers.
    ///
    /// # Errors
    /// When it is not the dashboard of a monitor.
    pub async fn parse(
        self,
        client: &MonitorClient,
        asked_at: Timestamp,
    ) -> Result<Report, PollError> {
        let (server, proofs) = (client.server, Arc::clone(&client.proofs));
        let Self { body, etag } = self;
        let length = body.len();
        let parse = move || {
            let mut report = Report::parse(&body, asked_at).map_err(|error| match error {
                NotReport::OfQueue => PollError::IsQueue,
                NotReport::Unknown => PollError::NoDashboard,
            })?;
            if report.instance.is_none() {
                report.instance = etag.as_deref().and_then(instance_in);
            }
            report.prove(proofs.verifier(server));
            Ok(report)
        };
        if length <= INLINE_BYTES_MAX {
            return parse();
        }
        let parsed = if length <= ORDINARY_BYTES_MAX {
            block(parse).await.ok()
        } else {
            with_low_priority(parse).await
        };
        // It is not executed only if the runtime ends, or if there can be no other thread.
        parsed.unwrap_or(Err(PollError::NoDashboard))
    }
}

/// Executes `work` on a thread with a low priority; `None` if there cannot be one.
async fn with_low_priority<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name("parser".to_owned());
    // Of its own for each work, because a thread cannot get its priority back.
    let started = thread.spawn(move || {
        // On other systems it would apply to the whole process.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::nice(PARSE_NICENESS);
        // The receiver is gone only if the runtime ends.
        let _ = sender.send(work());
    });
    match started {
        Ok(_) => result.await.ok(),
        Err(error) => {
            log::warn!("failed to start a thread that parses a report: {error}");
            None
        }
    }
}

/// Why a poll failed.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// There was no response, or not a dashboard.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The API token was refused.
    #[error("it refused the API token with {0}")]
    TokenRefused(StatusCode),
    /// The response was a redirect.
    #[error("it answered {0}, a redirect to another URL")]
    Redirect(StatusCode),
    /// The monitor is not ready.
    #[error("it answered {0}: {1}")]
    NotReady(StatusCode, String),
    /// The response had an unexpected status.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// The response is from a queue.
    #[error("its URL leads to a queue")]
    IsQueue,
    /// The response is not from a monitor.
    #[error("its response is not the dashboard of a monitor")]
    NoDashboard,
}

impl PollError {
    /// What it means for the server; `None` if the API token was refused.
    pub fn failure(&self) -> Option<ServerFailure> {
        match self {
            Self::TokenRefused(_) => None,
            Self::Redirect(_) => Some(ServerFailure::Redirect),
            Self::NotReady(_, reason) => Some(ServerFailure::NotReady(reason.clone())),
            Self::Status(status) => Some(ServerFailure::Status(status.as_u16())),
            Self::IsQueue => Some(ServerFailure::IsQueue),
            Self::NoDashboard
            | Self::Http(HttpError::Malformed { .. } | HttpError::TooLarge { .. }) => {
                Some(ServerFailure::NoDashboard)
            }
            Self::Http(error) => Some(ServerFailure::NoResponse(format!("failed to {error}"))),
        }
    }
}

/// A request for the dashboard.
fn dashboard_request<'a>(url: &'a str, demand: Option<&Demand>) -> Request<'a> {
    let mut request = Request::new(Method::GET, url).header("accept", "application/json");
    request.body_max = DASHBOARD_BYTES_MAX;
    match demand {
        Some(demand) => request.header(DEMAND_HEADER, demand.to_string()),
        None => request,
    }
}

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// It need not be tried again: the monitor has confirmed it, or is older and has no releases, so
    /// that its reservations end by their deadline.
    Confirmed,
    /// The API token was refused.
    TokenRefused,
    /// It is not known whether the monitor has received it.
    Failed,
}

/// No connection could be made: the monitor has received nothing.
#[derive(Debug)]
pub struct Unreachable;

impl MonitorClient {
    /// Requests the dashboard. With an `etag`, the monitor holds its response until the dashboard
    /// has another version, for [`HOLD`] at most. `demand` is stated to it.
    ///
    /// # Errors
    /// When there is no response in time, or one that is no dashboard by its status.
    pub async fn poll(
        &self,
        etag: Option<&str>,
        demand: Option<&Demand>,
    ) -> Result<PollResponse, PollError> {
        let url = self.base_url.join("dashboard.json");
        let mut request = dashboard_request(&url, demand);
        request.timeout = HOLD + HOLD_MARGIN;
        request.retry = Retry::Once;
        if let Some(etag) = etag {
            request = request
                .header("if-none-match", etag)
                .header("prefer", format!("wait={}", HOLD.as_secs()));
        }
        // Without the token a monitor does not report reservations. One that is sent a wrong token refuses
        // it, so that it is known before a job needs its runners.
        let response = self.send(request).await?;
        match response.status {
            StatusCode::OK => Ok(PollResponse::Dashboard(Dashboard {
                etag: response.header("etag").map(str::to_owned),
                body: response.body,
            })),
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(PollResponse::Unchanged),
            status if is_token_refusal(status) => Err(PollError::TokenRefused(status)),
            status if status.is_redirection() => Err(PollError::Redirect(status)),
            status if code_of(&response.body).as_deref() == Some("not_ready") => {
                Err(PollError::NotReady(status, reason_of(&response)))
            }
            status => Err(PollError::Status(status)),
        }
    }

    /// Tells the monitor of the jobs that wait, while a poll is held. With the `etag` of its dashboard its
    /// answer is short; it is ignored.
    ///
    /// # Errors
    /// When there is no response in time.
    pub async fn state_demand(&self, etag: &str, demand: &Demand) -> Result<(), HttpError> {
        let url = self.base_url.join("dashboard.json");
        let mut request = dashboard_request(&url, Some(demand)).header("if-none-match", etag);
        request.timeout = DEMAND_TIMEOUT;
        self.send(request).await.map(|_| ())
    }

    /// Sends a request with the token.
    async fn send<'a>(&'a self, mut request: Request<'a>) -> Result<Response, HttpError> {
        request.bearer = Some(&self.token);
        self.client.send(request).await
    }

    /// Takes runners for a job.
    ///
    /// # Errors
    /// When the monitor cannot be reached. Any other failure is an outcome.
    pub async fn take(
        &self,
        forward: &Forward,
        timeout: Duration,
    ) -> Result<ForwardOutcome, Unreachable> {
        let url = self.take_url(forward);
        let mut request = Request::new(Method::POST, &url).header("accept", "application/json");
        request.timeout = timeout;
        request.body_max = TAKE_BYTES_MAX;
        match self.send(request).await {
            Ok(response) => Ok(self.classify(forward, &response)),
            Err(error) => {
                log::warn!(
                    "failed to take runners for job {} from monitor {}: {error}; the job keeps its position",
                    forward.request.spec.unique_id,
                    self.base_url
                );
                if error.is_ambiguous() {
                    Ok(ForwardOutcome::Ambiguous)
                } else {
                    Err(Unreachable)
                }
            }
        }
    }

    /// Releases a reservation.
    pub async fn release(&self, release: &Release) -> ReleaseOutcome {
        let destroy = if release.destroy { "&destroy=true" } else { "" };
        let path = format!(
            "reservation/{}?attempt={}{destroy}",
            release.unique_id, release.token
        );
        let url = self.base_url.join(&path);
        let mut request = Request::new(Method::DELETE, &url).header("accept", "application/json");
        request.timeout = RELEASE_TIMEOUT;
        request.retry = Retry::Once;
        match self.send(request).await {
            Ok(response) => match response.status {
                // Any other success is the page of something in front of the monitor.
                StatusCode::NO_CONTENT => ReleaseOutcome::Confirmed,
                status if has_no_releases(status, &response.body) => ReleaseOutcome::Confirmed,
                status if is_token_refusal(status) => ReleaseOutcome::TokenRefused,
                _ => ReleaseOutcome::Failed,
            },
            Err(error) => {
                log::warn!(
                    "failed to release the reservation of job {} at monitor {}: {error}; retrying",
                    release.unique_id,
                    self.base_url
                );
                ReleaseOutcome::Failed
            }
        }
    }

    fn take_url(&self, forward: &Forward) -> String {
        let job = &forward.request.spec;
        let count = if forward.request.is_array {
            format!("/{}", forward.count)
        } else {
            String::new()
        };
        // Monitors that do not know the parameter ignore it; those in production add the label
        // `reserved-for:<unique_id>` in any case.
        let labels = if forward.request.labels_from_response {
            "&labels_from_response=true"
        } else {
            ""
        };
        let proof = self.proofs.proof(
            self.server,
            &job.unique_id,
            forward.enqueued_at,
            forward.count.get(),
        );
        // No value needs escaping: their types allow only characters that may stand in a URL.
        self.base_url.join(&format!(
            "profile/{}/take{count}?unique_id={}&qualified_repo={}&run_id={}&attempt={}&enqueued_at={}&proof={proof}{labels}",
            job.profile_key,
            job.unique_id,
            job.qualified_repo,
            job.run_id,
            forward.token,
            forward.enqueued_at.as_micros(),
        ))
    }

    /// What a response to a take means.
    fn classify(&self, forward: &Forward, response: &Response) -> ForwardOutcome {
        let (job, url) = (&forward.request.spec.unique_id, &self.base_url);
        if response.status == StatusCode::OK {
            return match response.json::<TakeAnswer>().map(TakeAnswer::into_runners) {
                Ok(runners) if runners.is_empty() => {
                    ForwardOutcome::Refused("it assigned none".to_owned())
                }
                Ok(runners) => ForwardOutcome::Granted(self.complete(forward, runners)),
                Err(error) => {
                    log::warn!(
                        "failed to parse the response of monitor {url} to a take for job {job}: {error}; releasing what it may have reserved"
                    );
                    ForwardOutcome::Ambiguous
                }
            };
        }
        if is_token_refusal(response.status) {
            log::warn!(
                "monitor {url} refused the API token with {}; the job {job} keeps its position",
                response.status
            );
            ForwardOutcome::TokenRefused
        } else if is_certain(response) {
            log::info!(
                "monitor {url} refused runners for job {job} with {}",
                response.status
            );
            if response.status == StatusCode::CONFLICT {
                ForwardOutcome::RefusedThisJob
            } else {
                ForwardOutcome::Refused(reason_of(response))
            }
        } else {
            log::warn!(
                "monitor {url} failed with {} to take runners for job {job}; releasing what it may have reserved",
                response.status
            );
            ForwardOutcome::Ambiguous
        }
    }

    /// Adds what clients receive and monitors do not send: the server of each runner and, for
    /// those of older monitors, the label that such a monitor gives to reserved runners.
    fn complete(&self, forward: &Forward, runners: Vec<TakenRunner>) -> Vec<TakenRunner> {
        let reserved_for = || format!("reserved-for:{}", forward.request.spec.unique_id);
        let completed = |runner: TakenRunner| TakenRunner {
            server: Some(self.base_url.as_str().to_owned()),
            label: runner.label.or_else(|| Some(reserved_for())),
            ..runner
        };
        runners.into_iter().map(completed).collect()
    }
}

/// Whether a monitor, or a proxy in front of it, refuses the API token.
fn is_token_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// What identifies the process of a monitor whose dashboard does not yet contain it: the first part of
/// its `ETag`, `W/"<32 hexadecimal digits>-<revision>"`.
fn instance_in(etag: &str) -> Option<String> {
    let opaque = etag.trim_start_matches("W/").trim_matches('"');
    let (instance, _) = opaque.split_once('-')?;
    let is_random = instance.len() == 32 && instance.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_random.then(|| instance.to_owned())
}

/// Whether a monitor answers that it has no releases, because it is older than they are: one of ours with
/// its error, or one of servo/ci-runners with the error of Rocket for a path without a route. With the same
/// status from a proxy the monitor may have received nothing.
fn has_no_releases(status: StatusCode, body: &[u8]) -> bool {
    match status {
        StatusCode::NOT_FOUND => {
            code_of(body).as_deref() == Some("not_found") || is_rocket_not_found(body)
        }
        StatusCode::METHOD_NOT_ALLOWED => code_of(body).as_deref() == Some("method_not_allowed"),
        _ => false,
    }
}

/// Whether a body is that of Rocket 0.5 for a path without a route, as JSON or as a page.
fn is_rocket_not_found(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Body {
        error: RocketError,
    }
    #[derive(Deserialize)]
    struct RocketError {
        code: u16,
        reason: String,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(Body { error }) => error.code == 404 && error.reason == "Not Found",
        Err(_) => std::str::from_utf8(body).is_ok_and(|page| {
            page.contains("<h1>404: Not Found</h1>") && page.contains("<small>Rocket</small>")
        }),
    }
}

/// The code of an error response of ours.
fn code_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        code: String,
    }
    serde_json::from_slice::<Body>(body)
        .ok()
        .map(|body| body.code)
}

/// The longest reason of a monitor that is kept, in characters.
const REASON_MAX: usize = 500;

/// What a monitor says in an error: its message, or else the status. Characters that deceive are escaped.
fn reason_of(response: &Response) -> String {
    #[derive(Deserialize)]
    struct Body {
        message: String,
    }
    match serde_json::from_slice::<Body>(&response.body) {
        Ok(Body { message }) => {
            let message: String = message.chars().take(REASON_MAX).collect();
            printable(&message).into_owned()
        }
        Err(_) => response.status.to_string(),
    }
}

/// Whether a failed take has certainly reserved nothing: it is a monitor's own error, with its code, and
/// its status is a 4xx, or the code is that for no idle runner. Any other response may come from a monitor
/// that is about to stop, or from something in front of it.
fn is_certain(response: &Response) -> bool {
    // These two come from proxies, or from a monitor that did not finish.
    let may_be_temporary = matches!(
        response.status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    );
    code_of(&response.body).is_some_and(|code| {
        code == "no_capacity" || (response.status.is_client_error() && !may_be_temporary)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_monitor_itself_can_state_that_it_has_no_releases() {
        let rocket = r#"{"error": {"code": 404, "reason": "Not Found", "description": "The requested resource could not be found."}}"#;
        let page = "<!DOCTYPE html><html><h1>404: Not Found</h1><small>Rocket</small></html>";
        for (status, body, expected) in [
            (
                404,
                r#"{"code": "not_found", "message": "no such path"}"#,
                true,
            ),
            (
                405,
                r#"{"code": "method_not_allowed", "message": "no"}"#,
                true,
            ),
            (404, rocket, true),
            (404, page, true),
            (404, "<html><h1>404 Not Found</h1>nginx</html>", false),
            (404, "", false),
            (404, "{}", false),
            (404, r#"{"code": "no_such_app"}"#, false),
            (404, r#"{"error": "not found"}"#, false),
            (405, "", false),
            (405, rocket, false),
            (405, r#"{"code": "not_found"}"#, false),
            (410, r#"{"code": "not_found"}"#, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let found = has_no_releases(status, body.as_bytes());
            assert_eq!(found, expected, "{status} {body}");
        }
    }

    #[test]
    fn the_process_of_a_monitor_is_read_from_its_etag() {
        let instance = "00112233445566778899aabbccddeeff";
        for etag in [format!("W/\"{instance}-7\""), format!("\"{instance}-7\"")] {
            assert_eq!(instance_in(&etag).as_deref(), Some(instance), "{etag}");
        }
        for etag in ["", "\"7\"", "W/\"a-7\"", &instance[1..], instance] {
            assert_eq!(instance_in(etag), None, "{etag}");
        }
    }
}
