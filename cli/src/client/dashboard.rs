//! The dashboard of a queue or monitor as JSON, and the problems of one that is not ready. Neither needs a token.

use std::time::Duration;

use http_client::{Client, Method, Request, Response, Retry};
use serde::Deserialize;
use shared::{problem::Problem, settings::BaseUrl};

use super::{RequestError, error::expect_ok};

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
    expect_ok("get the dashboard", response)
}

/// Gets the problems of the queue or monitor at `base_url` from `/readyz`, which has them before there is a
/// dashboard; none if that fails.
pub async fn problems(client: &Client, base_url: &BaseUrl) -> Vec<Problem> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        problems: Vec<Problem>,
    }
    let url = base_url.join("readyz");
    let mut request = Request::new(Method::GET, &url).header("accept", "application/json");
    request.timeout = TIMEOUT;
    request.body_max = BODY_MAX;
    let Ok(response) = client.send(request).await else {
        return Vec::new();
    };
    response
        .json::<Body>()
        .map_or_else(|_| Vec::new(), |body| body.problems)
}
