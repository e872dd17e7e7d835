//! HTTP client for one monitor: polls its dashboard, forwards takes and releases, and classifies
//! each response as granted, refused or ambiguous.

use std::time::Duration;

use http_client::{Client, HttpError, Method, Request, Response, Retry, StatusCode};
use serde::Deserialize;
use shared::{
    clock::Timestamp,
    secret::Secret,
    settings::BaseUrl,
    wire::{MonitorDashboard, TakeAnswer, TakenRunner},
};

use queue_core::{Forward, ForwardOutcome, Release, Report, ServerId};

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

/// One monitor and how to reach it. Cheap to clone.
#[derive(Clone)]
pub struct MonitorClient {
    /// The server's number in the core.
    pub server: ServerId,
    /// The monitor's base URL.
    pub base_url: BaseUrl,
    /// The token that all monitors and their queue share.
    pub api_token: Secret,
    /// The HTTP client.
    pub client: Client,
}

/// A monitor's response to a poll.
pub enum PollResponse {
    /// What it has.
    Report {
        /// The dashboard, as far as the core reads it.
        report: Report,
        /// The version of the dashboard. Older monitors send none.
        etag: Option<String>,
    },
    /// The dashboard still has the version that was sent along.
    Unchanged,
}

/// Why a poll failed.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// There was no response, or not a dashboard.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The response had an unexpected status.
    #[error("it answered {0}")]
    Status(StatusCode),
}

/// No connection could be made: the monitor has received nothing.
#[derive(Debug)]
pub struct Unreachable;

impl MonitorClient {
    /// Requests the dashboard. With an `etag`, the monitor holds its response until the dashboard
    /// has another version, for [`HOLD`] at most.
    ///
    /// # Errors
    /// When there is no response in time, or it is not a dashboard.
    pub async fn poll(
        &self,
        etag: Option<&str>,
        asked_at: Timestamp,
    ) -> Result<PollResponse, PollError> {
        let url = self.base_url.join("dashboard.json");
        let mut request = Request::new(Method::GET, &url);
        request.timeout = HOLD + HOLD_MARGIN;
        request.body_max = DASHBOARD_BYTES_MAX;
        request.retry = Retry::Once;
        if let Some(etag) = etag {
            request = request
                .header("if-none-match", etag)
                .header("prefer", format!("wait={}", HOLD.as_secs()));
        }
        let response = self.client.send(request).await?;
        match response.status {
            StatusCode::OK => {
                let dashboard: MonitorDashboard = response.json()?;
                Ok(PollResponse::Report {
                    report: Report::new(dashboard, asked_at),
                    etag: response.header("etag").map(str::to_owned),
                })
            }
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(PollResponse::Unchanged),
            status => Err(PollError::Status(status)),
        }
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
        request.bearer = Some(&self.api_token);
        request.timeout = timeout;
        request.body_max = TAKE_BYTES_MAX;
        match self.client.send(request).await {
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

    /// Releases a reservation. `true` if it need not be tried again: the monitor has confirmed it,
    /// or is older and has no releases, so that its reservations end by their deadline.
    pub async fn release(&self, release: &Release) -> bool {
        let destroy = if release.destroy { "&destroy=true" } else { "" };
        let path = format!(
            "reservation/{}?attempt={}{destroy}",
            release.unique_id, release.token
        );
        let url = self.base_url.join(&path);
        let mut request = Request::new(Method::DELETE, &url);
        request.bearer = Some(&self.api_token);
        request.timeout = RELEASE_TIMEOUT;
        request.retry = Retry::Once;
        match self.client.send(request).await {
            Ok(response) => {
                let has_no_releases = matches!(
                    response.status,
                    StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
                );
                response.status.is_success() || has_no_releases
            }
            Err(error) => {
                log::warn!(
                    "failed to release the reservation of job {} at monitor {}: {error}; retrying",
                    release.unique_id,
                    self.base_url
                );
                false
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
        // No value needs escaping: their types allow only characters that may stand in a URL.
        self.base_url.join(&format!(
            "profile/{}/take{count}?unique_id={}&qualified_repo={}&run_id={}&attempt={}&enqueued_at={}{labels}",
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
                Ok(runners) if runners.is_empty() => ForwardOutcome::Refused,
                Ok(runners) => ForwardOutcome::Granted(self.complete(forward, runners)),
                Err(error) => {
                    log::warn!(
                        "failed to parse the response of monitor {url} to a take for job {job}: {error}; releasing what it may have reserved"
                    );
                    ForwardOutcome::Ambiguous
                }
            };
        }
        if is_certain(response) {
            log::info!(
                "monitor {url} refused runners for job {job} with {}",
                response.status
            );
            if response.status == StatusCode::CONFLICT {
                ForwardOutcome::RefusedThisJob
            } else {
                ForwardOutcome::Refused
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

/// Whether a failed take has certainly reserved nothing: its status is a 4xx, or its body has the
/// code with which a monitor reports that it has no idle runner. Any other 5xx may come from a
/// monitor that is about to stop, or from a proxy in front of it.
fn is_certain(response: &Response) -> bool {
    #[derive(Deserialize)]
    struct Body {
        code: String,
    }
    let body = response.json::<Body>();
    let has_no_capacity = body.is_ok_and(|body| body.code == "no_capacity");
    // These two come from proxies, or from a monitor that did not finish.
    let may_be_temporary = matches!(
        response.status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    );
    has_no_capacity || (response.status.is_client_error() && !may_be_temporary)
}
