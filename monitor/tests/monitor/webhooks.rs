//! Tests of webhooks, which trigger a poll; those about the end of a job are also evidence of it.

use http_client::{Client, Method, Request, Response};
use ring::hmac;
use serde_json::{Value, json};
use shared::{
    registration::Registration,
    settings::Settings,
    wire::{MonitorDashboard, RunnerStatus},
};

use super::support::*;

const SECRET: &str = "the-secret-of-the-webhooks";

/// Settings with which GitHub's list of runners is not polled again for an hour.
fn settings(host: &Host) -> Settings {
    let mut settings = host.settings(1, "api_cache_timeout = \"1h\"");
    enable(&mut settings);
    settings
}

/// Makes a monitor with these settings accept webhooks.
pub fn enable(settings: &mut Settings) {
    settings.secrets.github_webhook_secret = Some(shared::secret::Secret::new(SECRET));
}

/// Sends an event about the job on a runner.
pub async fn post_job_event(monitor: &Running, action: &str, registration: &Registration) {
    let payload = json!({
        "action": action,
        "workflow_job": {
            "run_id": 7, "runner_id": registration.id, "runner_name": registration.name,
        },
        "repository": {"full_name": "acme/app"},
    });
    let payload = payload.to_string();
    let signature = signature(&payload);
    let answer = post(monitor, "workflow_job", &payload, Some(&signature)).await;
    assert_eq!(answer.status, 204);
}

fn signature(payload: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let bytes = hmac::sign(&key, payload.as_bytes());
    let hex: String = bytes.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256={hex}")
}

async fn post(monitor: &Running, event: &str, payload: &str, signature: Option<&str>) -> Response {
    post_as(monitor, "application/json", event, payload, signature).await
}

async fn post_as(
    monitor: &Running,
    content_type: &'static str,
    event: &str,
    payload: &str,
    signature: Option<&str>,
) -> Response {
    let url = format!("{}webhook", monitor.url);
    let mut request = Request::new(Method::POST, &url).header("x-github-event", event);
    request = request.header("accept", "application/json");
    request = request.header("content-type", content_type);
    if let Some(signature) = signature {
        request = request.header("x-hub-signature-256", signature);
    }
    request.body = payload.to_owned().into();
    Client::new().send(request).await.unwrap()
}

fn workflow_job(action: &str, runner_name: &Value) -> String {
    json!({"action": action, "workflow_job": {"runner_name": runner_name}}).to_string()
}

#[actix_web::test]
async fn a_webhook_triggers_a_poll_at_once() {
    let host = Host::new();
    let monitor = host.start(settings(&host)).await;
    let dashboard = monitor
        .until(|dashboard| has(dashboard, RunnerStatus::Idle))
        .await;
    let registration = dashboard.runners[0].runner.registration.clone().unwrap();
    let job = host.queue_job(&registration.labels[0].name, &host.command_until("done"));
    host.until_phase(job, emulator::model::JobPhase::InProgress)
        .await;

    // None of these is about a runner of this monitor.
    let elsewhere = json!("ci-runner-linux.1@another-host");
    for (event, payload) in [
        (
            "ping",
            "{\"zen\": \"Keep it logically awesome.\"}".to_owned(),
        ),
        ("workflow_job", workflow_job("queued", &Value::Null)),
        ("workflow_job", workflow_job("in_progress", &elsewhere)),
        (
            "workflow_job",
            workflow_job("completed", &json!("GitHub Actions 3")),
        ),
        ("push", "not even JSON".to_owned()),
    ] {
        let answer = post(&monitor, event, &payload, Some(&signature(&payload))).await;
        assert_eq!(answer.status, 204, "{payload}");
    }
    assert!(has(&monitor.dashboard().await, RunnerStatus::Idle));

    // Repeated webhooks have the same effect as one.
    let payload = workflow_job("in_progress", &json!(registration.name));
    for _ in 0..3 {
        let answer = post(
            &monitor,
            "workflow_job",
            &payload,
            Some(&signature(&payload)),
        )
        .await;
        assert_eq!(answer.status, 204);
    }
    monitor
        .until(|dashboard| has(dashboard, RunnerStatus::Busy))
        .await;
    std::fs::write(host.path("done"), "").unwrap();
    host.until_phase(job, emulator::model::JobPhase::Completed)
        .await;
    monitor.stop().await;
}

#[actix_web::test]
async fn a_webhook_without_a_valid_signature_is_refused() {
    let host = Host::new();
    let monitor = host.start(settings(&host)).await;
    let payload = workflow_job("completed", &json!("ci-runner-linux.0@host"));
    let good = signature(&payload);
    let of_another = signature("another");
    let long = " ".repeat(512 * 1024 + 1);
    let of_long = signature(&long);
    for (payload, signature, status, code) in [
        (&payload, Some(&of_another), 403, "wrong_signature"),
        (&payload, None, 401, "unauthorised"),
        (&long, Some(&of_long), 413, "too_large"),
        (
            &"{}".to_owned(),
            Some(&self::signature("{}")),
            400,
            "bad_request",
        ),
    ] {
        let signature = signature.map(String::as_str);
        let answer = post(&monitor, "workflow_job", payload, signature).await;
        let body: Value = answer.json().unwrap();
        assert_eq!(
            (answer.status.as_u16(), &body["code"]),
            (status, &json!(code))
        );
    }
    monitor.stop().await;

    let host = Host::new();
    let monitor = host.start(host.settings(0, "")).await;
    let answer = post(&monitor, "workflow_job", &payload, Some(&good)).await;
    assert_eq!(
        answer.status, 404,
        "without a secret no webhook is accepted"
    );
    monitor.stop().await;
}

/// The form that GitHub sends with its default content type.
fn form(json: &str) -> String {
    let encoded: String = json
        .bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    format!("payload={encoded}")
}

#[actix_web::test]
async fn a_webhook_may_be_a_form_which_is_githubs_default() {
    let host = Host::new();
    let monitor = host.start(settings(&host)).await;
    let dashboard = monitor
        .until(|dashboard| has(dashboard, RunnerStatus::Idle))
        .await;
    let registration = dashboard.runners[0].runner.registration.clone().unwrap();
    let job = host.queue_job(&registration.labels[0].name, &host.command_until("done"));
    host.until_phase(job, emulator::model::JobPhase::InProgress)
        .await;
    let payload = form(&workflow_job("in_progress", &json!(registration.name)));
    let signature = signature(&payload);
    let content_type = "application/x-www-form-urlencoded; charset=utf-8";
    let answer = post_as(
        &monitor,
        content_type,
        "workflow_job",
        &payload,
        Some(&signature),
    )
    .await;
    assert_eq!(answer.status, 204);
    monitor
        .until(|dashboard| has(dashboard, RunnerStatus::Busy))
        .await;
    std::fs::write(host.path("done"), "").unwrap();
    monitor.stop().await;
}

#[actix_web::test]
async fn a_webhook_that_cannot_work_is_a_problem_until_one_is_accepted() {
    let host = Host::new();
    let monitor = host.start(settings(&host)).await;
    let json = workflow_job("queued", &Value::Null);
    for (content_type, payload, status, code, cause) in [
        (
            "text/plain",
            json.clone(),
            415,
            "unsupported_media_type",
            "a webhook has the content type \"text/plain\"",
        ),
        (
            "application/x-www-form-urlencoded",
            json.clone(),
            400,
            "bad_request",
            "a webhook is a form without the field `payload`",
        ),
        (
            "application/json",
            form(&json),
            400,
            "bad_request",
            "the payload of a webhook is not a `workflow_job` event",
        ),
    ] {
        let signature = signature(&payload);
        let event = "workflow_job";
        let answer = post_as(&monitor, content_type, event, &payload, Some(&signature)).await;
        let body: Value = answer.json().unwrap();
        let found = (answer.status.as_u16(), &body["code"]);
        assert_eq!(found, (status, &json!(code)), "{content_type}");
        let remedy = "select the content type application/json in the webhook's settings at GitHub";
        let shown = |dashboard: &MonitorDashboard| {
            let mut problems = dashboard.problems.iter();
            problems.any(|it| {
                (&*it.code, &*it.cause, &*it.remedy) == ("webhook_refused", cause, remedy)
            })
        };
        monitor.until(shown).await;

        let answer = post(&monitor, event, &json, Some(&self::signature(&json))).await;
        assert_eq!(answer.status, 204);
        monitor
            .until(|dashboard| dashboard.problems.is_empty())
            .await;
    }
    monitor.stop().await;
}

#[actix_web::test]
async fn a_webhook_without_the_event_that_is_used_is_a_problem() {
    let host = Host::new();
    let monitor = host.start(settings(&host)).await;
    let ping = |events: Value| json!({"zen": "", "hook": {"events": events}}).to_string();
    let code = "webhook_without_workflow_jobs";
    let is_shown =
        |dashboard: &MonitorDashboard| dashboard.problems.iter().any(|it| it.code == code);
    for (events, is_problem) in [
        (json!(["push"]), true),
        (json!(["*"]), false),
        (json!([]), false),
        (json!(["push", "check_run"]), true),
        (json!(["push", "workflow_job"]), false),
    ] {
        let payload = ping(events);
        let answer = post(&monitor, "ping", &payload, Some(&signature(&payload))).await;
        assert_eq!(answer.status, 204);
        monitor
            .until(|dashboard| is_shown(dashboard) == is_problem)
            .await;
    }
    monitor.stop().await;
}

fn has(dashboard: &shared::wire::MonitorDashboard, status: RunnerStatus) -> bool {
    dashboard
        .runners
        .iter()
        .any(|runner| runner.status == Some(status))
}
