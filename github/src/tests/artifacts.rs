//! Finding artifacts, and downloading them from the artifact store.

use actix_web::HttpResponse;
use ring::digest::{SHA256, digest};

use super::*;
use http_client::testing::{Raw, RawServer, Server, dead_url};
use shared::{
    clock::Timestamp,
    values::{QualifiedRepo, RunId},
};

const ZIP: &[u8] = b"not a zip, but who looks";

fn repo() -> QualifiedRepo {
    "o/r".parse().unwrap()
}

fn artifact(id: u64, name: &str) -> Value {
    json!({
        "id": id, "name": name, "size_in_bytes": ZIP.len(), "expired": false,
        "created_at": "2026-01-01T00:00:00Z", "workflow_run": {"id": 5},
    })
}

/// GitHub's description of the artifact `ZIP`.
fn described() -> Artifact {
    let hex = digest(&SHA256, ZIP);
    let hex: String = hex
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Artifact {
        id: 7,
        name: "wanted".into(),
        size_in_bytes: Some(ZIP.len() as u64),
        digest: Some(format!("sha256:{hex}")),
        created_at: None,
        expired: false,
    }
}

/// A GitHub that redirects downloads to `location`.
fn redirecting(location: String) -> Server {
    Server::start(move |_| {
        let mut found = HttpResponse::Found();
        found.insert_header(("location", location.clone())).finish()
    })
}

async fn list(server: &Server) -> Result<NamedArtifacts, GithubError> {
    let github = github(&server.url);
    github.list_run_artifacts(&repo(), RunId(5), "wanted").await
}

async fn download(github_url: &str, artifact: &Artifact) -> Result<Vec<u8>, GithubError> {
    let github = github(github_url);
    let zip = github
        .download_artifact(&repo(), artifact, ZIP.len())
        .await?;
    Ok(zip.to_vec())
}

#[actix_web::test]
async fn an_artifact_beyond_the_first_hundred_is_found() {
    let server = Server::start(|request| {
        let named = |id| match id {
            205 | 240 => "wanted",
            3 => "wanted2",
            4 => "Wanted",
            _ => "other",
        };
        let all: Vec<Value> = (1..=250).map(|id| artifact(id, named(id))).collect();
        page("artifacts", &all, request)
    });
    let listed = list(&server).await.unwrap();
    let ids: Vec<u64> = listed
        .artifacts
        .iter()
        .map(|artifact| artifact.id)
        .collect();
    assert_eq!(ids, [205, 240]);
    assert_eq!(
        server.lines(),
        [1, 2, 3].map(|page| format!(
            "GET /repos/o/r/actions/runs/5/artifacts?name=wanted&per_page=100&page={page}"
        ))
    );
}

#[actix_web::test]
async fn a_name_cannot_add_a_parameter() {
    let server = Server::start(|request| page("artifacts", &[], request));
    let github = github(&server.url);
    let name = "a b&per_page=1";
    let listed = github.list_run_artifacts(&repo(), RunId(5), name).await;
    assert_eq!(listed.unwrap().artifacts, []);
    let expected = "GET /repos/o/r/actions/runs/5/artifacts\
                    ?name=a%20b%26per_page%3D1&per_page=100&page=1";
    assert_eq!(server.lines(), [expected]);
}

#[actix_web::test]
async fn a_list_has_the_date_of_its_response() {
    let server = Server::start(|_| {
        HttpResponse::Ok()
            .insert_header(("date", "Thu, 01 Jan 1970 00:01:40 GMT"))
            .json(json!({"total_count": 0, "artifacts": []}))
    });
    let listed = list(&server).await.unwrap();
    assert_eq!(listed.artifacts, []);
    assert_eq!(listed.listed_at, Timestamp::from_seconds(100));

    let undated = RawServer::start([Raw::Close(
        "HTTP/1.1 200 OK\r\ncontent-length: 33\r\n\r\n{\"total_count\":0,\"artifacts\":[]}  ",
    )]);
    let github = github(&undated.url);
    let listed = github.list_run_artifacts(&repo(), RunId(5), "wanted").await;
    assert_eq!(
        listed.unwrap_err().to_string(),
        "list artifacts of run 5: the response has no date"
    );
}

#[actix_web::test]
async fn an_invalid_time_does_not_hide_the_artifact() {
    let server = Server::start(|request| {
        let moments = [
            json!("1970-01-01T00:01:40Z"),
            json!(null),
            json!("yesterday"),
            json!("1969-12-31T23:59:59Z"),
        ];
        let all = moments.map(|moment| {
            let mut artifact = artifact(1, "wanted");
            artifact["created_at"] = moment;
            artifact
        });
        page("artifacts", &all, request)
    });
    let listed = list(&server).await.unwrap();
    let moments: Vec<_> = listed
        .artifacts
        .iter()
        .map(|artifact| artifact.created_at)
        .collect();
    assert_eq!(
        moments,
        [Some(Timestamp::from_seconds(100)), None, None, None]
    );
}

#[actix_web::test]
async fn a_list_with_too_many_pages_is_an_error() {
    let server = Server::start(|_| {
        HttpResponse::Ok().json(json!({"total_count": 9999, "artifacts": [artifact(1, "other")]}))
    });
    let error = list(&server).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "list artifacts of run 5: the list has too many pages"
    );
    assert_eq!(server.received().len(), 10);
}

#[actix_web::test]
async fn the_store_gets_no_token() {
    let store = Server::start(|_| HttpResponse::Ok().body(ZIP));
    let server = redirecting(format!("{}/blob?sig=abc", store.url));
    assert_eq!(download(&server.url, &described()).await.unwrap(), ZIP);

    assert_eq!(server.lines(), ["GET /repos/o/r/actions/artifacts/7/zip"]);
    assert_eq!(
        server.received()[0].header("authorization"),
        Some("Bearer hunter2")
    );
    let fetched = &store.received()[0];
    assert_eq!(fetched.line, "GET /blob?sig=abc");
    for name in ["authorization", "x-github-api-version"] {
        assert_eq!(fetched.header(name), None, "{name}");
    }
    assert!(!format!("{fetched:?}").contains("hunter2"));
}

#[actix_web::test]
async fn a_download_that_differs_from_its_description_is_an_error() {
    let store = Server::start(|_| HttpResponse::Ok().body(ZIP));
    let server = redirecting(store.url.clone());
    let other_digest = Some(format!("sha256:{}", "0".repeat(64)));
    for (size_in_bytes, digest, expected) in [
        (
            Some(3),
            None,
            Err("its length differs from the one that GitHub reported"),
        ),
        (
            None,
            other_digest,
            Err("its digest differs from the one that GitHub reported"),
        ),
        (
            None,
            Some("sha256:".into()),
            Err("its digest differs from the one that GitHub reported"),
        ),
        (None, Some("blake3:abc".into()), Ok(ZIP.to_vec())),
        (None, None, Ok(ZIP.to_vec())),
    ] {
        let artifact = Artifact {
            size_in_bytes,
            digest,
            ..described()
        };
        let expected = expected.map_err(|what| GithubError::Unexpected {
            operation: "download artifact 7".into(),
            what,
        });
        assert_eq!(
            download(&server.url, &artifact).await,
            expected,
            "{artifact:?}"
        );
    }
}

#[actix_web::test]
async fn a_large_artifact_is_refused_whatever_its_description() {
    let store = Server::start(|_| HttpResponse::Ok().body([ZIP, b"!"].concat()));
    let server = redirecting(store.url.clone());
    let expected = GithubError::TooLarge {
        operation: "download artifact 7".into(),
        bytes_max: ZIP.len(),
    };
    let announced = Artifact {
        size_in_bytes: Some(ZIP.len() as u64 + 1),
        ..described()
    };
    let result = download(&server.url, &announced).await;
    assert_eq!(result, Err(expected.clone()));
    assert!(server.received().is_empty());

    let result = download(&server.url, &described()).await;
    assert_eq!(result, Err(expected));
}

#[actix_web::test]
async fn an_error_of_the_store_does_not_contain_the_signature() {
    let refusing = Server::start(|request| {
        let message = format!("the signature hunter3 of {} has expired", request.line);
        HttpResponse::Forbidden().json(json!({ "message": message }))
    });
    let cut = RawServer::start([Raw::Close(
        "HTTP/1.1 200 OK\r\ncontent-length: 24\r\n\r\nnot a zip",
    )]);
    for store in [
        refusing.url,
        cut.url.clone(),
        dead_url(),
        "ftp://store".into(),
    ] {
        let server = redirecting(format!("{store}/blob?sig=hunter3"));
        let error = download(&server.url, &described()).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter3"), "{error}");
    }
    assert_eq!(cut.connection_count(), 1);
}

#[actix_web::test]
async fn a_redirect_without_location_is_an_error() {
    let server = Server::start(|_| HttpResponse::Found().finish());
    let error = download(&server.url, &described()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "download artifact 7: the response contains no location"
    );
}

#[actix_web::test]
async fn a_deleted_artifact_is_reported_as_gone() {
    let server = Server::start(|_| HttpResponse::Gone().finish());
    let error = download(&server.url, &described()).await.unwrap_err();
    assert_eq!(error.status().unwrap(), 410);
}
