//! The dashboard of a queue or monitor as JSON, which needs no token.

use std::time::Duration;

use http_client::{Client, Method, Request, Response, Retry, StatusCode};
use shared::settings::BaseUrl;

use super::{ErrorResponse, RequestError};

/// The largest dashboard: some thousand jobs or runners.
const BODY_MAX: usize = 8 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Gets `/dashboard.json` of the queue or monitor at `base_url`.
///
/// # Errors
/// See [`RequestError`].
pub async fn dashboard(client: &Client, base_url: &BaseUrl) -> Result<Response, RequestError> {
    let url = base_url.join("dashboard.json");
    let mut request = Request::new(Method::GET, &url).header("accept", "application/json");
    request.timeout = TIMEOUT;
    request.body_max = BODY_MAX;
    request.retry = Retry::Once;
    let response = client.send(request).await?;
    match response.status {
        StatusCode::OK => Ok(response),
        _ => Err(RequestError::Refused(ErrorResponse::parse(
            "get the dashboard",
            &response,
        ))),
    }
}
