//! Control requests, as scripts send them.

use base64::{Engine, engine::general_purpose::STANDARD};
use emulator::zip_of_lines;
use serde_json::{Value, json};

use super::support::*;

fn job() -> Value {
    json!({ "repo": "acme/widgets", "run_id": 7, "labels": ["x"], "command": "true" })
}

#[actix_web::test]
async fn a_job_is_queued_read_and_cancelled() {
    let fixture = Fixture::new();
    let (status, mut queued) = fixture.json("POST", "/_emulator/jobs", Some(job())).await;
    let id = queued["id"].as_u64().unwrap();
    assert!(queued["queued_at"].as_u64().is_some());
    queued["queued_at"] = json!(0);
    let expected = json!({
        "id": id, "repo": "acme/widgets", "run_id": 7, "labels": ["x"], "state": "queued",
        "runner_id": null, "runner_name": null, "conclusion": null, "exit_code": null, "output_tail": "",
        "queued_at": 0, "started_at": null, "completed_at": null,
    });
    assert_eq!((status, queued), (201, expected));
    let path = format!("/_emulator/jobs/{id}");
    assert_eq!(fixture.call("DELETE", &path, None).await.status, 202);
    let (status, shown) = fixture.get(&path).await;
    assert_eq!((status, &shown["state"]), (200, &json!("completed")));
    assert_eq!(shown["conclusion"], "cancelled");
    let (_, all) = fixture.get("/_emulator/jobs").await;
    assert_eq!(all, json!({ "jobs": [shown] }));
    for method in ["GET", "DELETE"] {
        assert_eq!(
            fixture
                .call(method, "/_emulator/jobs/999", None)
                .await
                .status,
            404
        );
    }
}

#[actix_web::test]
async fn invalid_jobs_are_rejected() {
    let fixture = Fixture::new();
    for (key, value, status) in [
        ("repo", json!("acme"), 422),
        ("run_id", json!("7"), 422),
        ("labels", json!([]), 422),
        ("command", json!(null), 422),
        ("comand", json!("true"), 422),
        ("command", json!("x".repeat(65 * 1024)), 422),
    ] {
        let mut body = job();
        body[key] = value;
        let answer = fixture.call("POST", "/_emulator/jobs", Some(body)).await;
        assert_eq!(answer.status.as_u16(), status, "{key}");
    }
    assert_eq!(
        fixture.get("/_emulator/jobs").await.1,
        json!({ "jobs": [] })
    );
}

#[actix_web::test]
async fn a_web_page_cannot_send_control_requests() {
    let fixture = Fixture::new();
    let body = job().to_string();
    for (host, kind, status) in [
        ("HOST", "text/plain", 400),
        ("HOST", "application/x-www-form-urlencoded", 400),
        ("evil.example", "application/json", 403),
        ("HOST", "application/json", 201),
    ] {
        let request = format!(
            "POST /_emulator/jobs HTTP/1.1\nHost: {host}\nConnection: close\n\
             Content-Type: {kind}\nContent-Length: {}\n\n{body}",
            body.len()
        );
        let raw = fixture.raw(&request).await;
        assert!(
            raw.head.starts_with(&format!("http/1.1 {status} ")),
            "{host} {kind} {}",
            raw.head
        );
    }
}

#[actix_web::test]
async fn artifacts_are_uploaded_as_lines_or_as_base64() {
    let fixture = Fixture::new();
    let upload = async |name: &str, key: &str, value: Value| {
        let mut body = json!({ "repo": "acme/widgets", "run_id": 7, "name": name });
        body[key] = value;
        fixture
            .json("POST", "/_emulator/artifacts", Some(body))
            .await
    };
    let lines = zip_of_lines(["unique_id=a"]);
    let (status, shown) = upload("lines", "text_lines", json!(["unique_id=a"])).await;
    assert_eq!(
        (status, &shown["size_in_bytes"]),
        (201, &json!(lines.len()))
    );
    let (status, same) = upload("bytes", "zip", json!(STANDARD.encode(&lines))).await;
    assert_eq!((status, &same["digest"]), (201, &shown["digest"]));
    for (name, key, value, status) in [
        ("none", "name", json!("none"), 422),
        ("bad", "zip", json!("no base64"), 422),
        ("lines", "text_lines", json!([]), 409),
    ] {
        assert_eq!(upload(name, key, value).await.0, status, "{name}");
    }
    let both = json!({
        "repo": "acme/widgets", "run_id": 7, "name": "both", "text_lines": [], "zip": "",
    });
    assert_eq!(
        fixture
            .json("POST", "/_emulator/artifacts", Some(both))
            .await
            .0,
        422
    );
}

#[actix_web::test]
async fn faults_are_added_listed_released_and_cleared() {
    let fixture = Fixture::new();
    let rule = json!({
        "method": "GET", "path": { "exact": RUNNERS }, "times": 1,
        "fault": { "kind": "answer", "status": 429, "headers": [["retry-after", "9"]], "body": "" },
    });
    let (status, added) = fixture
        .json("POST", "/_emulator/faults", Some(rule.clone()))
        .await;
    assert_eq!((status, &added), (201, &json!({ "id": 1 })));
    let struck = fixture.call("GET", RUNNERS, None).await;
    assert_eq!(
        (struck.status.as_u16(), struck.header("retry-after")),
        (429, Some("9"))
    );
    assert_eq!(fixture.call("GET", RUNNERS, None).await.status, 200);
    let (_, seen) = fixture.get("/_emulator/faults").await;
    assert_eq!(
        seen,
        json!({ "faults": [{ "id": 1, "rule": rule, "hit_count": 1 }] })
    );
    for (method, path, status) in [
        ("POST", "/_emulator/faults/1/release", 204),
        ("POST", "/_emulator/faults/2/release", 404),
        ("DELETE", "/_emulator/faults/1", 204),
        ("DELETE", "/_emulator/faults/1", 404),
        ("DELETE", "/_emulator/faults", 204),
    ] {
        assert_eq!(
            fixture.call(method, path, None).await.status.as_u16(),
            status,
            "{method} {path}"
        );
    }
    let bad = json!({ "path": { "prefix": "/" }, "fault": { "kind": "answer", "status": 99 } });
    assert_eq!(
        fixture.json("POST", "/_emulator/faults", Some(bad)).await.0,
        422
    );
}

#[actix_web::test]
async fn absent_conditions_do_not_change() {
    let fixture = Fixture::new();
    let set = async |conditions: Value| {
        fixture
            .call("PUT", "/_emulator/conditions", Some(conditions))
            .await
            .status
            .as_u16()
    };
    fixture.register("a", &["x"]).await;
    assert_eq!(
        set(json!({ "lists": "frozen", "clock_skew_seconds": -86_400 })).await,
        204
    );
    fixture.register("b", &["x"]).await;
    assert_eq!(fixture.listed().await, ["a"]);
    assert_eq!(set(json!({ "is_assignment_blocked": true })).await, 204);
    assert_eq!(fixture.listed().await, ["a"]);
    let date = fixture.call("GET", RUNNERS, None).await.date().unwrap();
    assert!(date < fixture.emulator().now());
    assert_eq!(set(json!({ "lists": { "lagging": 1 } })).await, 204);
    assert_eq!(fixture.listed().await, ["a", "b"]);
    assert_eq!(set(json!({ "lists": "live" })).await, 204);
    assert_eq!(set(json!({ "list": "live" })).await, 422);
}

#[actix_web::test]
async fn the_end_of_support_of_a_runner_version_can_be_set() {
    let fixture = Fixture::new();
    let schedule = async |version: &str| {
        let path = format!("{RUNNERS}/deprecations/{version}");
        fixture.get(&path).await
    };
    let (status, newest) = schedule("2.337.0").await;
    assert_eq!(
        (status, newest),
        (
            200,
            json!({ "runner_version": "2.337.0", "runtime_deprecates_at": null })
        )
    );
    assert_eq!(schedule("2.1.0").await.0, 404);
    for (software, expected) in [
        (json!({ "version": "2.1.0", "supported_seconds": 60 }), 204),
        (json!({ "version": "2.1.0", "supported": 60 }), 422),
    ] {
        let conditions = json!({ "runner_software": software });
        let set = fixture
            .call("PUT", "/_emulator/conditions", Some(conditions))
            .await;
        assert_eq!(set.status.as_u16(), expected);
    }
    let (status, old) = schedule("2.1.0").await;
    assert_eq!((status, &old["runner_version"]), (200, &json!("2.1.0")));
    let ends_at = old["runtime_deprecates_at"].as_str().unwrap();
    assert!(ends_at.ends_with('Z') && ends_at.len() == 20, "{ends_at}");
}

#[actix_web::test]
async fn a_registration_is_lost_by_name() {
    let fixture = Fixture::new();
    let name = "ci-runner-linux.1@host";
    fixture.register(name, &["x"]).await;
    let path = "/_emulator/runners/ci-runner-linux.1%40host";
    assert_eq!(fixture.call("DELETE", path, None).await.status, 204);
    assert!(fixture.listed().await.is_empty());
    assert_eq!(fixture.call("DELETE", path, None).await.status, 404);
}

#[actix_web::test]
async fn the_log_has_githubs_requests_without_secrets() {
    let fixture = Fixture::new();
    fixture.register("a", &["x"]).await;
    fixture.get(&format!("{RUNNERS}?per_page=5")).await;
    let (_, log) = fixture.get("/_emulator/requests").await;
    let expected = json!({ "requests": [
        { "method": "POST", "path": JIT_CONFIG, "status": 201 },
        { "method": "GET", "path": format!("{RUNNERS}?per_page=5"), "status": 200 },
    ]});
    assert_eq!(log, expected);
    assert_eq!(fixture.emulator().requests().count("GET", RUNNERS), 1);
    assert_eq!(
        fixture
            .call("DELETE", "/_emulator/requests", None)
            .await
            .status,
        204
    );
    assert_eq!(
        fixture.get("/_emulator/requests").await.1,
        json!({ "requests": [] })
    );
}
