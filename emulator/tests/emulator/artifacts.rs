//! Artifacts: listing, download in two steps, expiry and deletion.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use emulator::model::NewArtifact;
use http_client::{Method, Request, Response};
use serde_json::{Value, json};
use shared::{secret::Secret, values::RunId};

use super::support::*;

const ARTIFACTS: &str = "/repos/acme/widgets/actions/runs/7/artifacts";

fn upload(fixture: &Fixture, name: &str, content: &[u8]) -> u64 {
    let new = NewArtifact {
        repo: "acme/widgets".parse().unwrap(),
        run_id: RunId(7),
        name: name.into(),
        content: content.to_vec(),
    };
    fixture
        .emulator()
        .model(|model, now| model.add_artifact(now, new))
        .unwrap()
        .id
        .0
}

/// Sends a request to the blob storage.
async fn fetch(fixture: &Fixture, url: &str, bearer: Option<&Secret>) -> Response {
    let call = Request {
        bearer,
        ..Request::new(Method::GET, url)
    };
    within(fixture.client.send(call)).await.unwrap()
}

#[actix_web::test]
async fn an_artifact_has_githubs_format() {
    let fixture = Fixture::new();
    fixture.emulator().faults().set_clock_skew(0);
    let id = upload(&fixture, "proof", b"abc");
    let (status, list) = fixture.get(ARTIFACTS).await;
    assert_eq!((status, &list["total_count"]), (200, &json!(1)));
    let artifact = &list["artifacts"][0];
    let url = fixture.url(&format!("/repos/acme/widgets/actions/artifacts/{id}"));
    for (key, value) in [
        ("id", json!(id)),
        ("node_id", json!(STANDARD.encode(format!("Artifact{id}")))),
        ("name", json!("proof")),
        ("size_in_bytes", json!(3)),
        ("archive_download_url", json!(format!("{url}/zip"))),
        ("url", json!(url)),
        ("expired", json!(false)),
        (
            "digest",
            json!("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ),
    ] {
        assert_eq!(artifact[key], value, "{key}");
    }
    let (status, shown) = fixture.get(&url).await;
    assert_eq!((status, &shown), (200, artifact));
    for key in ["created_at", "updated_at", "expires_at"] {
        let text = artifact[key].as_str().unwrap();
        assert!(text.len() == 20 && text.ends_with('Z'), "{text}");
    }
}

#[actix_web::test]
async fn many_artifacts_are_listed_on_several_pages_and_by_name() {
    let fixture = Fixture::new();
    for n in 0..150 {
        upload(&fixture, &format!("artifact-{n}"), b"");
    }
    let names = |body: &Value| {
        let artifacts = body["artifacts"].as_array().unwrap();
        artifacts
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = fixture
        .call("GET", &format!("{ARTIFACTS}?per_page=100"), None)
        .await;
    let link = first.header("link").unwrap();
    assert!(link.contains("page=2>; rel=\"next\"") && link.contains("page=2>; rel=\"last\""));
    let mut all = names(&first.json().unwrap());
    assert_eq!(all.len(), 100);
    let (_, second) = fixture
        .get(&format!("{ARTIFACTS}?per_page=100&page=2"))
        .await;
    all.extend(names(&second));
    assert_eq!(
        all,
        (0..150)
            .rev()
            .map(|n| format!("artifact-{n}"))
            .collect::<Vec<_>>()
    );
    let (_, oldest) = fixture
        .get(&format!("{ARTIFACTS}?direction=asc&per_page=1"))
        .await;
    assert_eq!(names(&oldest), ["artifact-0"]);
    let (_, named) = fixture.get(&format!("{ARTIFACTS}?name=artifact-99")).await;
    assert_eq!(
        (names(&named), &named["total_count"]),
        (vec!["artifact-99".into()], &json!(1))
    );
    let (_, other) = fixture
        .get("/repos/acme/widgets/actions/runs/8/artifacts")
        .await;
    assert_eq!(other, json!({ "total_count": 0, "artifacts": [] }));
}

#[actix_web::test]
async fn a_download_is_redirected_to_a_url_that_rejects_credentials() {
    let fixture = Fixture::new();
    let id = upload(&fixture, "proof", b"abc");
    let zip = format!("/repos/acme/widgets/actions/artifacts/{id}/zip");
    let redirect = fixture.call("GET", &zip, None).await;
    assert_eq!((redirect.status.as_u16(), redirect.body.len()), (302, 0));
    let location = redirect.header("location").unwrap();
    let blob = fetch(&fixture, location, None).await;
    assert_eq!((blob.status.as_u16(), &*blob.body), (200, &b"abc"[..]));
    assert_eq!(blob.header("content-type"), Some("application/zip"));
    assert_eq!(
        fetch(&fixture, location, Some(&fixture.token)).await.status,
        400
    );
    let (unkeyed, _) = location.split_once('?').unwrap();
    assert_eq!(fetch(&fixture, unkeyed, None).await.status, 404);
    assert_eq!(
        fetch(&fixture, &format!("{unkeyed}?key=wrong"), None)
            .await
            .status,
        404
    );
    // The key in the URL is not logged.
    let key = location.split_once("key=").unwrap().1;
    let logged = format!("{:?}", fixture.emulator().requests().all());
    assert!(
        logged.contains("/_blobs/") && !logged.contains(key),
        "{logged}"
    );
}

#[actix_web::test]
async fn an_expired_artifact_is_listed_and_its_content_is_410() {
    let fixture = Fixture::new();
    let id = upload(&fixture, "proof", b"abc");
    let zip = format!("/repos/acme/widgets/actions/artifacts/{id}/zip");
    let redirect = fixture.call("GET", &zip, None).await;
    fixture
        .emulator()
        .advance_clock(Duration::from_hours(90 * 24));
    let (_, list) = fixture.get(ARTIFACTS).await;
    assert_eq!(list["artifacts"][0]["expired"], true);
    assert_eq!(fixture.call("GET", &zip, None).await.status, 410);
    assert_eq!(
        fetch(&fixture, redirect.header("location").unwrap(), None)
            .await
            .status,
        410
    );
}

#[actix_web::test]
async fn a_deleted_artifact_is_404() {
    let fixture = Fixture::new();
    let path = format!(
        "/repos/acme/widgets/actions/artifacts/{}",
        upload(&fixture, "a", b"")
    );
    assert_eq!(fixture.call("DELETE", &path, None).await.status, 204);
    for (method, below) in [("DELETE", ""), ("GET", ""), ("GET", "/zip")] {
        assert_eq!(
            fixture
                .call(method, &format!("{path}{below}"), None)
                .await
                .status,
            404
        );
    }
}
