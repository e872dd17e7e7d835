//! Names that have moved, registrations that lists and actions disagree about, late artifacts, and
//! responses with odd values.

use std::time::Duration;

use emulator::{
    faults::{Edit, Fault, FaultRule, PathMatch},
    model::NewArtifact,
};
use serde_json::json;
use shared::values::RunId;

use super::support::*;

const OF_REPO: &str = "/repos/acme/widgets/actions/runners";

/// Sets conditions, as a script would.
async fn set(fixture: &Fixture, conditions: serde_json::Value) {
    let answer = fixture
        .call("PUT", "/_emulator/conditions", Some(conditions))
        .await;
    assert_eq!(answer.status, 204);
}

#[actix_web::test]
async fn a_renamed_repository_redirects_to_a_path_with_its_id() {
    let fixture = Fixture::new();
    set(
        &fixture,
        json!({"renamed_repos": {"acme/widgets": "acme/gadgets"}}),
    )
    .await;
    for (method, path, status) in [
        ("GET", "/actions/runners?per_page=1&page=2", 301),
        ("POST", "/actions/runners/generate-jitconfig", 307),
        ("DELETE", "/actions/runners/7", 307),
    ] {
        let path_before = format!("/repos/Acme/Widgets{path}");
        let answer = fixture.call(method, &path_before, None).await;
        assert_eq!(answer.status, status, "{method} {path}");
        let location = answer.header("location").unwrap();
        let (base, rest) = location.split_once("/repositories/").unwrap();
        assert_eq!(base, fixture.url(""));
        assert_eq!(rest.split_once('/').unwrap().1, &path[1..]);
    }
    let jit_config = "/repos/acme/widgets/actions/runners/generate-jitconfig";
    let answer = fixture.call("POST", jit_config, None).await;
    let location = answer.header("location").unwrap();
    let body = registration("r", &["x"]);
    assert_eq!(fixture.json("POST", location, Some(body)).await.0, 201);
    let (_, list) = fixture.get("/repos/acme/gadgets/actions/runners").await;
    assert_eq!(list["total_count"], 1);

    set(&fixture, json!({"reused_names": ["acme/widgets"]})).await;
    let (status, list) = fixture.get(OF_REPO).await;
    assert_eq!((status, &list["total_count"]), (200, &json!(0)));
}

#[actix_web::test]
async fn a_renamed_or_hidden_organisation_is_not_found() {
    let fixture = Fixture::new();
    fixture.register("r", &["x"]).await;
    set(&fixture, json!({"hidden": {"/orgs/acme": true}})).await;
    assert_eq!(fixture.get(RUNNERS).await.0, 404);
    set(&fixture, json!({"hidden": {"/orgs/acme": false}})).await;
    assert_eq!(fixture.get(RUNNERS).await.0, 200);
    set(&fixture, json!({"renamed_owners": {"acme": "apex"}})).await;
    assert_eq!(fixture.get(RUNNERS).await.0, 404);
    let (_, list) = fixture.get("/orgs/apex/actions/runners").await;
    assert_eq!(list["total_count"], 1);
    let answer = fixture.call("GET", OF_REPO, None).await;
    assert_eq!(answer.status, 301);
}

#[actix_web::test]
async fn a_list_misreports_runners_until_it_is_told_to_stop() {
    let fixture = Fixture::new();
    let (id, _) = fixture.register("r", &["x"]).await;
    set(
        &fixture,
        json!({"misreports": {"r": {"is_unlisted": true, "is_ghost": true}}}),
    )
    .await;
    assert!(fixture.listed().await.is_empty());
    let runner = format!("{RUNNERS}/{id}");
    assert_eq!(fixture.get(&runner).await.1["busy"], false);
    let (status, refusal) = fixture.json("DELETE", &runner, None).await;
    assert_eq!(status, 422);
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("currently running a job"), "{message}");
    set(&fixture, json!({"misreports": {"r": {}}})).await;
    assert_eq!(fixture.listed().await, ["r"]);
    assert_eq!(fixture.call("DELETE", &runner, None).await.status, 204);
}

#[actix_web::test]
async fn an_artifact_is_listed_after_the_lag() {
    let fixture = Fixture::new();
    set(&fixture, json!({"artifact_lag_seconds": 3})).await;
    let new = NewArtifact {
        repo: "acme/widgets".parse().unwrap(),
        run_id: RunId(7),
        name: "a".into(),
        content: b"abc".to_vec(),
    };
    let added = fixture
        .emulator()
        .model(|model, now| model.add_artifact(now, new))
        .unwrap();
    let list = "/repos/acme/widgets/actions/runs/7/artifacts";
    assert_eq!(fixture.get(list).await.1["total_count"], 0);
    let by_id = format!("/repos/acme/widgets/actions/artifacts/{}", added.id);
    assert_eq!(fixture.get(&by_id).await.0, 200);
    fixture.emulator().advance_clock(Duration::from_secs(3));
    assert_eq!(fixture.get(list).await.1["total_count"], 1);
}

#[actix_web::test]
async fn values_and_headers_of_a_response_can_be_replaced() {
    let fixture = Fixture::new();
    fixture.register("r", &["x"]).await;
    let before = fixture.call("GET", RUNNERS, None).await;
    let etag = before.header("etag").unwrap().to_owned();
    let edits = vec![
        Edit::new("/runners/0/status", json!(null)),
        Edit::new("/runners/-", json!(null)),
    ];
    let list = || PathMatch::Exact(RUNNERS.into());
    let faults = fixture.emulator().faults();
    let edit = FaultRule::on("GET", list(), Fault::EditJson { edits }).next(1);
    faults.add(edit).unwrap();
    let answer = fixture
        .try_call("GET", RUNNERS, None, &[("if-none-match", &etag)])
        .await
        .unwrap();
    let body: serde_json::Value = answer.json().unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, None));
    assert_eq!(body["runners"][0]["status"], json!(null));
    assert_eq!(body["runners"][1], json!(null));
    assert_eq!(body["runners"].as_array().unwrap().len(), 2);

    let headers = vec![
        ("date".into(), "Thu, 01 Jan 1970 00:01:40 GMT".into()),
        ("x-ratelimit-reset".into(), "-5".into()),
    ];
    let headers = FaultRule::on("GET", list(), Fault::SetHeaders { headers }).next(1);
    faults.add(headers).unwrap();
    let answer = fixture.call("GET", RUNNERS, None).await;
    assert_eq!(
        (answer.header("date"), answer.header("x-ratelimit-reset")),
        (Some("Thu, 01 Jan 1970 00:01:40 GMT"), Some("-5"))
    );
    let after = fixture.call("GET", RUNNERS, None).await;
    assert_eq!(after.header("etag"), Some(etag.as_str()));
}

#[actix_web::test]
async fn a_name_beyond_64_characters_is_refused_with_the_reason() {
    let fixture = Fixture::new();
    for (length, expected) in [(64, 201), (65, 422)] {
        let body = registration(&"é".repeat(length), &["x"]);
        let (status, answer) = fixture.json("POST", JIT_CONFIG, Some(body)).await;
        assert_eq!(status, expected);
        if status == 422 {
            assert_eq!(answer["message"], "Validation Failed");
            let reason = "Name is too long (maximum is 64 characters)";
            assert_eq!(answer["errors"], json!([reason]));
        }
    }
}
