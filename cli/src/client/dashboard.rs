//! How a daemon stands: its dashboard as JSON, open to all.

use std::time::Duration;

use http_client::{Answer, Call, Client, Method, Retry, StatusCode};
use shared::settings::BaseUrl;

use super::{CallError, Refusal};

/// The largest dashboard: some thousand jobs or runners.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// Gets `/dashboard.json` of the queue or monitor at `base_url`.
///
/// # Errors
/// As [`CallError`] says.
pub async fn dashboard(client: &Client, base_url: &BaseUrl) -> Result<Answer, CallError> {
    let url = base_url.join("dashboard.json");
    let mut call = Call::new(Method::GET, &url).header("accept", "application/json");
    call.timeout = Duration::from_secs(10);
    call.body_max = BODY_MAX;
    call.retry = Retry::Once;
    let answer = client.call(call).await?;
    match answer.status {
        StatusCode::OK => Ok(answer),
        _ => Err(CallError::Refused(Refusal::of(
            "get the dashboard",
            &answer,
        ))),
    }
}
