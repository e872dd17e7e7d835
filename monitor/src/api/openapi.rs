//! The description of the monitor's API, which it serves as `/openapi.json`.

use std::sync::LazyLock;

use actix_web::{HttpResponse, http::header::ContentType, web::Bytes};
use daemon::{
    error::Code,
    openapi::{Access, Operation, document, of_both},
};
use serde_json::{Value, json};
use shared::{
    operator::Intervention,
    wire::{MonitorDashboard, TakenRunner},
};

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
        "Whether the control loop runs",
        "Whether the monitor gives out runners",
    );
    let operations = [
        of_takes(),
        of_operators(),
        of_targets(),
        of_runners(),
        of_state(),
        of_both(alive, ready),
        for_guests(),
    ];
    document("monitor", operations.concat())
}

/// The parameters of a take.
fn take(path: &str, summary: &str, access: Access) -> Operation {
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    Operation::new("POST", path, summary, access)
        .job()
        .flag(
            "labels_from_response",
            "Whether the client reads the labels of its runners from the response.",
        )
        .parameter(
            "query",
            "attempt",
            false,
            "The fencing token of a queue.",
            text("^[0-9a-f]{16}-[0-9]{1,18}$"),
            json!("00000000000000ff-7"),
        )
        .parameter(
            "query",
            "enqueued_at",
            false,
            "When the queue enqueued the job, in microseconds.",
            json!({"type": "integer", "minimum": 0, "maximum": u64::MAX}),
            json!(1_798_106_405_000_000_u64),
        )
        .parameter(
            "query",
            "proof",
            false,
            "What the queue recognises its reservation by.",
            text("^[0-9a-fA-F]{1,128}$"),
            json!("ff"),
        )
        .errors(&[
            Code::UnknownProfile,
            Code::AlreadyReserved,
            Code::StaleAttempt,
            Code::NoCapacity,
            Code::NotReady,
        ])
}

fn of_takes() -> Vec<Operation> {
    let runner = json!({"id": 7, "label": "runner:9c1f", "runner": {"id": 7}});
    let several = |mut operation: Operation| {
        let one = operation.schema_of::<TakenRunner>();
        let schema = json!({"type": "array", "items": one});
        operation.json_with(
            "The runners.",
            schema,
            json!([{"id": 7, "runner": {"id": 7}}]),
        )
    };
    let mut select = take(
        "/select-runner",
        "Take runners that an artifact proves",
        Access::Artifact,
    );
    let one = select.schema_of::<TakenRunner>();
    let either = json!({"oneOf": [one, {"type": "array", "items": one}]});
    vec![
        take(
            "/profile/{profile_key}/take",
            "Take a runner",
            Access::Queue,
        )
        .json::<TakenRunner>("The runner.", &runner),
        several(take(
            "/profile/{profile_key}/take/{count}",
            "Take several runners",
            Access::Queue,
        )),
        select
            .json_with("The runner, or an array.", either, runner)
            .errors(&[Code::QueueMember, Code::AlreadyClaimed]),
        Operation::new(
            "DELETE",
            "/reservation/{unique_id}",
            "Release the runners of a job",
            Access::Queue,
        )
        .parameter(
            "query",
            "attempt",
            false,
            "The fencing token of a queue.",
            json!({"type": "string", "pattern": "^[0-9a-f]{16}-[0-9]{1,18}$"}),
            json!("00000000000000ff-7"),
        )
        .flag("destroy", "Whether the runners are destroyed.")
        .empty(204, "They are released, or there were none.")
        .errors(&[Code::NotReady]),
    ]
}

fn of_operators() -> Vec<Operation> {
    let order = json!({"since": 1_798_106_405_000_000_u64, "note": "new disk", "author": "alice@laptop", "client_address": "192.0.2.1"});
    let new = Operation::new;
    let (drain, rebuild) = ("/policy/drain", "/image/{profile_key}/rebuild");
    vec![
        new("GET", drain, "Show the drain", Access::Optional).json_or_null::<Intervention>(
            "The drain in force; the address with a token only.",
            &order,
        ),
        new("POST", drain, "Drain the server", Access::ApiToken)
            .note()
            .json::<Intervention>("The drain in force.", &order)
            .errors(&[Code::NotReady]),
        new("DELETE", drain, "End the drain", Access::ApiToken)
            .author()
            .json_or_null::<Intervention>("The drain that it ended.", &order)
            .errors(&[Code::NotReady]),
        new(
            "POST",
            rebuild,
            "Order the rebuild of an image",
            Access::ApiToken,
        )
        .note()
        .json::<Intervention>("The order in force.", &order)
        .errors(&[Code::UnknownProfile, Code::NotFound, Code::NotReady]),
        new("DELETE", rebuild, "Cancel the rebuild", Access::ApiToken)
            .author()
            .json_or_null::<Intervention>("The order that it cancelled.", &order)
            .errors(&[Code::NotReady]),
    ]
}

fn of_targets() -> Vec<Operation> {
    let targets =
        json!({"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}});
    let targets_or_null = json!({"oneOf": [{"type": "null"}, targets]});
    let example = json!({"linux": 3});
    let (new, target) = (Operation::new, "/policy/override");
    vec![
        new("GET", target, "Show the temporary targets", Access::Open).json_with(
            "The targets by profile.",
            targets_or_null.clone(),
            example.clone(),
        ),
        new("POST", target, "Set temporary targets", Access::ApiToken)
            .description(
                "One parameter for each profile, such as `linux=3`. The dashboard shows `target_override` with the \
                 note, the author and the time. On a server with a profile `note`, that parameter is its count.",
            )
            .parameter(
                "query",
                "linux",
                false,
                "How many runners of this profile to keep; likewise of others.",
                json!({"type": "integer", "minimum": 0, "maximum": 9999}),
                json!(3),
            )
            .note()
            .json_with("The targets by profile.", targets, example.clone())
            .errors(&[
                Code::BadRequest,
                Code::UnknownProfile,
                Code::Unsatisfiable,
                Code::NotReady,
            ]),
        new(
            "DELETE",
            target,
            "Cancel the temporary targets",
            Access::ApiToken,
        )
        .author()
        .json_with("Those that it cancelled.", targets_or_null, example)
        .errors(&[Code::NotReady]),
    ]
}

fn of_runners() -> Vec<Operation> {
    let story = json!({"type": "object", "required": ["id", "events", "is_truncated"], "properties": {
        "id": {"type": "integer"}, "profile_key": {"type": ["string", "null"]}, "status": {"type": ["string", "null"]},
        "runner": {"type": ["object", "null"]}, "events": {"type": "array", "items": {"type": "object"}},
        "is_truncated": {"type": "boolean"}}});
    let example = json!({"id": 7, "profile_key": "linux", "status": "idle", "runner": {}, "events": [],
        "is_truncated": false});
    let picture = |path: &str, summary: &str| {
        Operation::new("GET", path, summary, Access::Open)
            .text("image/png", "The picture.", "")
            .errors(&[Code::NotFound])
    };
    vec![
        Operation::new(
            "GET",
            "/runner/{id}",
            "Show a runner and its story",
            Access::ApiToken,
        )
        .json_with("The runner, also if it is gone.", story, example)
        .errors(&[Code::NotFound, Code::NotReady]),
        Operation::new(
            "DELETE",
            "/runner/{id}",
            "Destroy a runner",
            Access::ApiToken,
        )
        .author()
        .flag(
            "force",
            "Whether it is destroyed even while GitHub shows that it runs a job.",
        )
        .empty(204, "It is decided; the runner is gone soon.")
        .errors(&[Code::NotFound, Code::NotReady]),
        Operation::new(
            "GET",
            "/runner/{id}/console.log",
            "The last lines that the guest of a runner has printed",
            Access::ApiToken,
        )
        .text(
            "text/plain",
            "The lines, without words that may be secrets.",
            "ready\n",
        )
        .errors(&[Code::NotFound]),
        picture(
            "/runner/{id}/screenshot.png",
            "The screen of a runner, some seconds old",
        ),
        picture("/runner/{id}/screenshot/now", "The screen of a runner now"),
        picture(
            "/profile/{profile_key}/screenshot.png",
            "The screen of the build of an image",
        ),
        Operation::new(
            "GET",
            "/profile/{profile_key}/console.log",
            "The end of the console of the build that is under way, or else of the last failed one",
            Access::Open,
        )
        .text("text/plain", "The output.", "")
        .errors(&[Code::NotFound]),
    ]
}

fn json_page() -> Operation {
    let dashboard =
        json!({"profile_runner_counts": {}, "runners": [], "reservations": {}, "problems": []});
    let header = |operation: Operation, name: &str, text: &str, example: &str| {
        operation.parameter(
            "header",
            name,
            false,
            text,
            json!({"type": "string"}),
            json!(example),
        )
    };
    let json_page = Operation::new(
        "GET",
        "/dashboard.json",
        "The state of the server",
        Access::Optional,
    )
    .description("With a token complete; without one `labels` and `reservations` are empty.");
    let json_page = header(
        json_page,
        "If-None-Match",
        "The ETag that the client has.",
        "W/\"0\"",
    );
    let json_page = header(
        json_page,
        "Prefer",
        "Hold the answer until something changes.",
        "wait=1",
    );
    let json_page = header(
        json_page,
        "CI-Runners-Demand",
        "The instance of a queue, and for how many runners of each profile it has jobs; only with a token.",
        "5f0c; linux=1",
    );
    json_page
        .json::<MonitorDashboard>("The state.", &dashboard)
        .empty(304, "Nothing has changed.")
        .errors(&[Code::NotReady])
}

fn of_state() -> Vec<Operation> {
    let page = |path: &str, text: &str| {
        Operation::new("GET", path, text, Access::Open)
            .text("text/html", "The page.", "<!DOCTYPE html>")
            .errors(&[Code::NotReady])
    };
    vec![
        page("/", "The page of the monitor"),
        page("/dashboard.html", "The part of the page that changes"),
        json_page(),
        Operation::new(
            "POST",
            "/webhook",
            "Receive an event of GitHub",
            Access::Open,
        )
        .parameter(
            "header",
            "X-Hub-Signature-256",
            true,
            "The signature of the body.",
            json!({"type": "string"}),
            json!("sha256=00"),
        )
        .empty(204, "It is received.")
        .errors(&[
            Code::BadRequest,
            Code::Unauthorised,
            Code::WrongSignature,
            Code::NotFound,
            Code::TooLarge,
            Code::UnsupportedMediaType,
            Code::NotReady,
        ]),
    ]
}

fn for_guests() -> Vec<Operation> {
    let guest = |path: &str, summary: &str| {
        Operation::new("GET", path, summary, Access::Guest).errors(&[
            Code::NotYours,
            Code::NotFound,
            Code::NotReady,
            Code::Unauthorised,
            Code::CrossSite,
        ])
    };
    vec![
        guest(
            "/github-jitconfig",
            "The JIT configuration of the guest, once",
        )
        .json_with(
            "The configuration.",
            json!({"type": "string"}),
            json!("eyJ0"),
        ),
        guest("/boot", "The boot script of the guest").text(
            "text/plain",
            "The script.",
            "#!/bin/sh",
        ),
        guest("/image-deps/{path:.*}", "A file for guests").text(
            "application/octet-stream",
            "The file.",
            "",
        ),
        guest(
            "/cache/{name}/{path:.*}",
            "A file of a git repository for guests",
        )
        .text("application/octet-stream", "The file.", ""),
    ]
}
