//! The dashboard of a queue, current instead of up to 250 ms old.

use http_client::{Client, Method, Request};
use serde_json::Value;
use shared::clock::Clock;

use super::wait_until;

/// The dashboard of the queue at `queue_url`, from a snapshot that was taken after this call; null if
/// the queue does not respond.
pub async fn queue_dashboard(queue_url: &str) -> Value {
    let url = format!("{queue_url}/dashboard.json");
    let client = Client::new();
    let called_at = Clock::start().now().as_micros();
    let mut dashboard = Value::Null;
    wait_until("the dashboard is current", async || {
        let response = client.send(Request::new(Method::GET, &url)).await;
        dashboard = response
            .ok()
            .and_then(|response| response.json().ok())
            .unwrap_or_default();
        let captured_at = dashboard["captured_at_micros"].as_u64();
        captured_at.is_none_or(|captured_at| captured_at >= called_at)
    })
    .await;
    dashboard
}

/// The public id of every waiting job on a queue's dashboard, in the order of each profile.
pub fn waiting_jobs(dashboard: &Value) -> Vec<String> {
    let profiles = dashboard["profiles"].as_array().into_iter().flatten();
    let jobs = profiles.filter_map(|profile| profile["jobs"].as_array());
    jobs.flatten()
        .map(|job| job["public_id"].as_str().unwrap().to_owned())
        .collect()
}
