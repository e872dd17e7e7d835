//! The dashboard of a queue or monitor as JSON, which needs no token.

use std::time::Duration;

use http_client::{Client, Method, Request, Response, Retry, StatusCode};
use shared::settings::BaseUrl;

use super::{CallError, ErrorResponse};

/// The largest dashboard: some thousand jobs or runners.
const BODY_MAX: usize = 8 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Gets `/dashboard.json` of the queue or monitor at `base_url`.
///
/// # Errors
/// See [`CallError`].
pub async fn dashboard(client: &Client, base_url: &BaseUrl) -> Result<Response, CallError> {
    let url = base_url.join("dashboard.json");
    let mut call = Request::new(Method::GET, &url).header("accept", "application/json");
    call.timeout = TIMEOUT;
    call.body_max = BODY_MAX;
    call.retry = Retry::Once;
    let response = client.send(call).await?;
    match response.status {
        StatusCode::OK => Ok(response),
        _ => Err(CallError::Refused(ErrorResponse::parse(
            "get the dashboard",
            &response,
        ))),
    }
}
