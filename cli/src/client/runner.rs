//! One runner of a monitor: its story, and the output of its guest.

use std::time::Duration;

use http_client::{Client, Method, Request, Response, Retry, StatusCode};
use shared::{secret::Secret, settings::BaseUrl};

use super::{RequestError, error::expect_ok};

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

/// Gets the last lines that the guest of a runner has printed; none if they cannot be read, and from monitors of
/// earlier releases.
///
/// # Errors
/// See [`RequestError`].
pub async fn runner_output(
    client: &Client,
    base_url: &BaseUrl,
    id: u64,
    api_token: &Secret,
) -> Result<Vec<String>, RequestError> {
    let url = base_url.join(&format!("runner/{id}/console.log"));
    let mut request =
        Request::new(Method::GET, &url).header("accept", "text/plain, application/json");
    request.bearer = Some(api_token);
    request.timeout = TIMEOUT;
    request.retry = Retry::Once;
    let response = client.send(request).await?;
    if response.status == StatusCode::NOT_FOUND {
        return Ok(Vec::new());
    }
    let text = expect_ok("read the output of the runner", response)?;
    Ok(text.text()?.lines().map(str::to_owned).collect())
}
