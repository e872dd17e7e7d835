//! The description of the queue's API, which it serves as `/openapi.json`.

#![expect(
    clippy::too_many_lines,
    reason = "the functions are lists of operations"
)]

use std::sync::LazyLock;

use actix_web::{HttpResponse, http::header::ContentType, web::Bytes};
use daemon::{
    error::Code,
    openapi::{Access, Operation, document, of_both},
};
use queue_core::View;
use serde_json::{Value, json};
use shared::{
    operator::Intervention,
    values::{ProfileKey, QualifiedRepo, RunId},
    wire::{History, JobReport, TakenRunner, WaitingBody},
};

/// A time: a date, or a date and a time in UTC. The alternative is a number of microseconds since the Unix epoch.
const MOMENT: &str = "^(20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?)$";

static TEXT: LazyLock<Bytes> = LazyLock::new(|| description().to_string().into());

/// `GET /openapi.json`
pub async fn show() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ContentType::json())
        .body(TEXT.clone())
}

/// The description in OpenAPI 3.1.
pub fn description() -> Value {
    let (alive, ready) = (
        "Whether the process is alive",
        "Whether the queue gives out runners",
    );
    let operations = [
        of_jobs(),
        of_profiles(),
        of_readers(),
        of_both(alive, ready),
    ];
    document("queue", operations.concat())
}

fn runner() -> Value {
    json!({"id": 7, "label": "runner:9c1f", "server": "http://ci1:8000/", "runner": {"id": 7}})
}

/// The parameters of an enqueue.
fn enqueue(path: &str, summary: &str, access: Access) -> Operation {
    Operation::new("POST", path, summary, access)
        .job()
        .flag(
            "labels_from_response",
            "Whether the client reads the labels of its runners from the take.",
        )
        .parameter(
            "query",
            "max_wait",
            false,
            "How many seconds the job may wait.",
            seconds(),
            json!(900),
        )
        .parameter(
            "query",
            "slowdown",
            false,
            "How many times as long the job takes on a hosted runner: above 1, up to 100.",
            json!({"type": "string", "pattern": r"^([2-9]|[1-9][0-9])(\.[0-9]{1,2})?$"}),
            json!("4.5"),
        )
        .parameter(
            "query",
            "hosted_duration",
            false,
            "How many seconds the job takes on a hosted runner; needs slowdown.",
            seconds(),
            json!(600),
        )
        .parameter(
            "query",
            "branch",
            false,
            &of_run("The branch"),
            fact(),
            json!("main"),
        )
        .parameter(
            "query",
            "event",
            false,
            &of_run("The event"),
            fact(),
            json!("push"),
        )
        .parameter(
            "query",
            "workflow",
            false,
            &of_run("The file of the workflow"),
            fact(),
            json!("ci.yml"),
        )
        .text(
            "text/plain",
            "The ticket. Repeating the request gives an equally valid one.",
            "eyJ0…",
        )
        .errors(&[
            Code::AlreadyEnqueued,
            Code::Unsatisfiable,
            Code::WaitTooLong,
            Code::TooManyJobs,
            Code::NotReady,
        ])
}

/// A fact of a run, for the rules of a policy.
fn of_run(what: &str) -> String {
    format!("{what} of the run, for the rules of a policy; ignored without the API token.")
}

/// The form of a fact; an empty one is not known.
fn fact() -> Value {
    json!({"type": "string", "maxLength": 255, "pattern": "^[ -~]*$"})
}

/// A limit in seconds, in a query.
fn seconds() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 604_800})
}

fn of_jobs() -> Vec<Operation> {
    let job = json!({"unique_id": "5f0c7a52-job", "profile_key": "linux", "count": 1, "state": "waiting",
        "waited_seconds": 150, "position": 2, "ahead": 1, "estimate": {"p50_seconds": 90, "p90_seconds": 360},
        "why": "1 job is before it", "events": [], "is_truncated": false});
    let waiting = json!({"code": "waiting", "message": "1 job is ahead of this one; estimated wait: about 4 min; 9 of 10 within 9 min; ask again", "position": 2,
        "ahead": 1, "estimate": {"p50_seconds": 250, "p90_seconds": 540}});
    let mut take = Operation::new(
        "POST",
        "/take/{unique_id}",
        "Take the runners of a job",
        Access::Ticket,
    )
    .description("While the job waits the answer is 503 `waiting` with its position.")
    .ticket()
    .parameter(
        "header",
        "Prefer",
        false,
        "Hold the answer for this time, at most 50 s.",
        json!({"type": "string"}),
        json!("wait=5"),
    );
    let one = take.schema_of::<TakenRunner>();
    take.schema_of::<WaitingBody>();
    let schema = json!({"oneOf": [one, {"type": "array", "items": one}]});
    let text = "The runner, or an array if the job was enqueued with a count.";
    vec![
        enqueue("/profile/{profile_key}/enqueue", "Enqueue a job for one runner", Access::ApiToken),
        enqueue(
            "/profile/{profile_key}/enqueue/{count}",
            "Enqueue a job for several runners",
            Access::ApiToken,
        ),
        enqueue("/enqueue", "Enqueue a job that an artifact proves", Access::Artifact)
            .errors(&[Code::AlreadyClaimed]),
        take.json_with(text, schema, runner())
            .waiting("#/components/schemas/WaitingBody", waiting)
            .errors(&[Code::UnknownJob, Code::NoLongerWorthIt, Code::NotReady]),
        Operation::new("GET", "/job/{unique_id}", "Show a job and its story", Access::Ticket)
            .ticket()
            .description("Without credentials and with `Accept: text/html`, the page of the job with this public id.")
            .json::<JobReport>("The job, also if it is over.", &job)
            .also("text/html")
            .errors(&[Code::UnknownJob, Code::NotReady]),
        Operation::new("DELETE", "/job/{unique_id}", "Withdraw a job", Access::Ticket)
            .ticket()
            .author()
            .empty(204, "It is withdrawn.")
            .errors(&[Code::UnknownJob]),
    ]
}

fn of_profiles() -> Vec<Operation> {
    let path = "/profile/{profile_key}/pause";
    let pause = json!({"since": 1_798_106_405_000_000_u64, "note": "new disk", "author": "alice@laptop", "client_address": "192.0.2.1"});
    vec![
        Operation::new("GET", path, "Show the pause of a profile", Access::Optional)
            .json_or_null::<Intervention>(
                "The pause in force; the address with the API token only.",
                &pause,
            ),
        Operation::new("POST", path, "Pause a profile", Access::ApiToken)
            .note()
            .json::<Intervention>("The pause in force.", &pause)
            .errors(&[Code::UnknownProfile, Code::NotReady]),
        Operation::new("DELETE", path, "Resume a profile", Access::ApiToken)
            .author()
            .json_or_null::<Intervention>("The pause that it ended.", &pause)
            .errors(&[Code::NotReady]),
    ]
}

/// How long jobs waited lately, by profile.
fn waits_schema() -> Value {
    let count = json!({"type": "integer", "minimum": 0});
    let summary = json!({"jobs": count, "p50_seconds": count, "p90_seconds": count});
    let required = ["jobs", "p50_seconds", "p90_seconds"];
    let hour = json!({"allOf": [{"type": "object", "required": required, "properties": summary},
        {"type": "object", "required": ["from"], "properties": {"from": count}}]});
    let of_profile = json!({"allOf": [{"type": "object", "required": required, "properties": summary},
        {"type": "object", "required": ["hours"], "properties": {"hours": {"type": "array", "items": hour}}}]});
    json!({"type": "object", "description": "How long jobs waited that got their runners in the last 24 hours, by profile.",
        "additionalProperties": of_profile})
}

fn of_readers() -> Vec<Operation> {
    let moment = json!({"anyOf": [{"type": "integer", "minimum": 0, "maximum": u64::MAX},
        {"type": "string", "pattern": MOMENT}]});
    let history = json!({"jobs": [], "next": null});
    let mut dashboard = Operation::new(
        "GET",
        "/dashboard.json",
        "The state of all jobs and servers",
        Access::Open,
    );
    let view = dashboard.schema_of::<View>();
    let schema = json!({"allOf": [view, {"type": "object", "required": ["captured_at_micros", "waits"],
        "properties": {"captured_at_micros": {"type": "integer"}, "waits": waits_schema()}}]});
    let example = json!({"captured_at_micros": 1_798_106_405_000_000_u64, "is_dispatching": true, "waiting_count": 0,
        "assigned_count": 0, "assigned": [], "profiles": [], "servers": [], "problems": [],
        "waits": {"linux": {"jobs": 1, "p50_seconds": 45, "p90_seconds": 45, "hours": [
            {"from": 1_798_102_800_000_000_u64, "jobs": 1, "p50_seconds": 45, "p90_seconds": 45}]}}});
    vec![
        Operation::new("GET", "/", "The page of the queue", Access::Open)
            .parameter(
                "query",
                "q",
                false,
                "A filter.",
                json!({"type": "string"}),
                json!("servo"),
            )
            .text("text/html", "The page.", "<!DOCTYPE html>")
            .errors(&[Code::NotReady]),
        Operation::new("GET", "/dashboard.txt", "The state as text", Access::Open).text(
            "text/plain",
            "The state.",
            "0 jobs wait, 0 assigned",
        ),
        dashboard.json_with("The state.", schema, example),
        Operation::new(
            "GET",
            "/history.json",
            "The jobs that are over, the last ended first",
            Access::Ticket,
        )
        .ticket()
        .query::<QualifiedRepo>(
            "repo",
            false,
            "Only jobs of this repository.",
            json!("servo/servo"),
        )
        .query::<RunId>(
            "run_id",
            false,
            "Only jobs of this workflow run.",
            json!(42),
        )
        .query::<ProfileKey>(
            "profile",
            false,
            "Only jobs of this profile.",
            json!("linux"),
        )
        .parameter(
            "query",
            "outcome",
            false,
            "Only jobs that ended like this.",
            json!({"type": "string", "enum": ["finished", "expired", "withdrawn", "abandoned"]}),
            json!("finished"),
        )
        .parameter(
            "query",
            "since",
            false,
            "Only jobs that ended then or later.",
            moment.clone(),
            json!("2026-12-24"),
        )
        .parameter(
            "query",
            "until",
            false,
            "Only jobs that ended then or before.",
            moment,
            json!("2026-12-24T10:00:05Z"),
        )
        .parameter(
            "query",
            "before",
            false,
            "`next` of the last response.",
            json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
            json!(1_798_106_405_000_000_u64),
        )
        .parameter(
            "query",
            "limit",
            false,
            "How many.",
            json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
            json!(10),
        )
        .json::<History>("The jobs.", &history)
        .errors(&[Code::UnknownJob, Code::NotReady]),
    ]
}
