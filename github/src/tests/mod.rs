//! The client against a test server with GitHub's paths, over real HTTP.

mod apps;
mod artifacts;
mod moved;
mod odd_values;
mod refusals;
mod runners;
mod software;
mod tokens;

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::*;
use http_client::{Client, testing::Received};
use shared::secret::Secret;

fn github(url: &str) -> Github {
    let settings = GithubConfig {
        api_url: format!("{url}/"),
        scope_path: "/orgs/o".into(),
        credentials: Secret::new("hunter2").into(),
        retry_timeout: std::time::Duration::ZERO,
    };
    Github::new(Client::new(), settings)
}

/// A runner in the form in which GitHub sends it.
fn runner(id: u64) -> Value {
    json!({
        "id": id, "name": format!("runner-{id}"), "os": "linux", "status": "online", "busy": false,
        "labels": [{"id": 1, "name": "self-hosted", "type": "read-only"}],
    })
}

/// The page of `entries` that `request` asks for, in a list of that name.
fn page(name: &str, entries: &[Value], request: &Received) -> HttpResponse {
    let number = |name| -> usize { request.query(name).unwrap().parse().unwrap() };
    let (per_page, page) = (number("per_page"), number("page"));
    let shown: Vec<&Value> = entries
        .iter()
        .skip((page - 1) * per_page)
        .take(per_page)
        .collect();
    HttpResponse::Ok().json(json!({"total_count": entries.len(), name: shown}))
}
