//! One runner of a monitor: its story and its destruction.

use std::time::Duration;

use http_client::{Client, Method, Request, Response, Retry};
use shared::{secret::Secret, settings::BaseUrl};

use super::{ErrorResponse, RequestError, error::expect_ok};

/// The largest story of a runner, in bytes.
const BODY_MAX: usize = 8 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Gets what has happened to a runner of the monitor at `base_url`, also if it is gone.
///
/// # Errors
/// See [`RequestError`].
pub async fn runner_story(
    client: &Client,
    base_url: &BaseUrl,
    id: u64,
    api_token: &Secret,
) -> Result<Response, RequestError> {
    let url = base_url.join(&format!("runner/{id}"));
    let mut request = Request::new(Method::GET, &url).header("accept", "application/json");
    request.bearer = Some(api_token);
    request.timeout = TIMEOUT;
    request.body_max = BODY_MAX;
    request.retry = Retry::Once;
    let response = client.send(request).await?;
    expect_ok("show the runner", response)
}

/// Asks the monitor at `base_url` to destroy a runner; by force even while GitHub shows that it runs a job.
/// Idempotent. Succeeds once the monitor has decided it, which is before the runner is gone.
///
/// # Errors
/// See [`RequestError`].
pub async fn destroy_runner(
    client: &Client,
    base_url: &BaseUrl,
    id: u64,
    is_forced: bool,
    api_token: &Secret,
) -> Result<(), RequestError> {
    let force = if is_forced { "?force=true" } else { "" };
    let url = base_url.join(&format!("runner/{id}{force}"));
    let mut request = Request::new(Method::DELETE, &url).header("accept", "application/json");
    request.bearer = Some(api_token);
    request.timeout = TIMEOUT;
    request.retry = Retry::Once;
    let response = client.send(request).await?;
    if response.status.is_success() {
        return Ok(());
    }
    let error = ErrorResponse::parse("destroy the runner", &response);
    Err(RequestError::Refused(error))
}
