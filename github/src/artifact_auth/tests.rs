//! The verification against a test server with GitHub's paths, over real HTTP.

use std::time::Duration;

use actix_web::{HttpResponse, http::StatusCode};
use serde_json::{Value, json};

use super::{archive::tests::zip_of, *};
use crate::{Github, GithubConfig, GithubError};
use http_client::{
    Client,
    testing::{Received, Server, dead_url},
};
use shared::{clock::Timestamp, policy::RunFacts, secret::Secret};

const MAX_AGE: Duration = Duration::from_secs(300);
const TEXT: &str = "unique_id=job-1\nqualified_repo=servo/servo\nrun_id=5\n\
                    self_hosted_image_name=linux\nself_hosted_runner_count=3\n";

fn identity() -> UnverifiedIdentity {
    UnverifiedIdentity {
        unique_id: "job-1".parse().unwrap(),
        qualified_repo: "servo/servo".parse().unwrap(),
        run_id: RunId(5),
    }
}

fn zip(text: &str) -> Vec<u8> {
    zip_of(&[("artifact.txt", text.as_bytes())])
}

/// The artifact of the identity; one minute old when it is listed.
fn artifact(id: u64) -> Value {
    json!({
        "id": id, "name": "servo-ci-runners_job-1", "size_in_bytes": null, "expired": false,
        "created_at": "2025-12-31T23:59:00Z",
    })
}

/// The response of GitHub, or of its artifact store, at midnight, with these artifacts and contents.
fn answer(
    request: &Received,
    artifacts: &[Value],
    content: impl Fn(u64) -> Vec<u8>,
) -> HttpResponse {
    let path = request.line.split('?').next().unwrap();
    let id = |prefix| path.strip_prefix(prefix)?.split('/').next()?.parse().ok();
    let stored = format!("http://{}/store/", request.header("host").unwrap());
    if path == "GET /repos/servo/servo/actions/runs/5/artifacts" {
        HttpResponse::Ok()
            .insert_header(("date", "Thu, 01 Jan 2026 00:00:00 GMT"))
            .json(json!({"total_count": artifacts.len(), "artifacts": artifacts}))
    } else if let Some(id) = id("GET /repos/servo/servo/actions/artifacts/") {
        let id: u64 = id;
        let location = format!("{stored}{id}?sig=hunter3");
        HttpResponse::Found()
            .insert_header(("location", location))
            .finish()
    } else if let Some(id) = id("GET /store/") {
        HttpResponse::Ok().body(content(id))
    } else {
        HttpResponse::NotFound().finish()
    }
}

fn server(artifacts: Vec<Value>, content: fn(u64) -> Vec<u8>) -> Server {
    Server::start(move |request| answer(request, &artifacts, content))
}

async fn check(url: &str, identity: &UnverifiedIdentity) -> Result<RunIdentity, VerifyError> {
    check_with_facts(url, identity, false).await
}

async fn check_with_facts(
    url: &str,
    identity: &UnverifiedIdentity,
    needs_facts: bool,
) -> Result<RunIdentity, VerifyError> {
    let settings = GithubConfig {
        api_url: url.into(),
        scope_path: "/orgs/servo".into(),
        credentials: Secret::new("hunter2").into(),
        retry_timeout: Duration::ZERO,
    };
    let verifier_settings = VerifierSettings {
        allowed_qualified_repo_prefix: "servo/".into(),
        artifact_max_age: MAX_AGE,
    };
    let github = Github::new(Client::new(), settings);
    verify(&github, &verifier_settings, identity, needs_facts).await
}

async fn expect_rejection(server: &Server) -> Rejection {
    match check(&server.url, &identity()).await {
        Err(VerifyError::Rejected(rejection)) => rejection,
        other => panic!("expected a rejection, not {other:?}"),
    }
}

#[actix_web::test]
async fn github_tells_of_the_run_what_a_policy_needs() {
    for (knows_run, expected) in [(true, Some("main")), (false, None)] {
        let server = Server::start(move |request| {
            if request.line == "GET /repos/servo/servo/actions/runs/5" && knows_run {
                let repository = json!({"id": 1});
                return HttpResponse::Ok().json(json!({"event": "push", "head_branch": "main",
                    "repository": repository, "head_repository": repository}));
            }
            answer(request, &[artifact(7)], |_| zip(TEXT))
        });
        let verified = check_with_facts(&server.url, &identity(), true).await;
        let branch = verified.unwrap().facts.branch;
        // Without an answer the job is enqueued all the same.
        assert_eq!(branch.as_ref().map(|branch| branch.as_str()), expected);
    }
}

#[actix_web::test]
async fn a_matching_artifact_yields_the_identity() {
    let server = server(vec![artifact(7)], |_| zip(TEXT));
    let verified = check(&server.url, &identity()).await.unwrap();
    let expected = RunIdentity {
        job: JobSpec {
            unique_id: "job-1".parse().unwrap(),
            profile_key: "linux".parse().unwrap(),
            count: "3".parse().unwrap(),
            qualified_repo: "servo/servo".parse().unwrap(),
            run_id: RunId(5),
        },
        is_array: true,
        artifact: VerifiedArtifact {
            id: 7,
            created_at: Timestamp::from_seconds(1_767_225_540),
            listed_at: Timestamp::from_seconds(1_767_225_600),
            secret_sha256: None,
        },
        facts: RunFacts::default(),
    };
    assert_eq!(verified, expected);
    assert_eq!(
        server.lines(),
        [
            "GET /repos/servo/servo/actions/runs/5/artifacts\
             ?name=servo-ci-runners_job-1&per_page=100&page=1",
            "GET /repos/servo/servo/actions/artifacts/7/zip",
            "GET /store/7?sig=hunter3",
        ]
    );
}

#[actix_web::test]
async fn a_repository_that_is_not_allowed_causes_no_request() {
    let server = server(vec![artifact(7)], |_| zip(TEXT));
    for repo in ["other/servo", "servo2/servo", "xservo/servo"] {
        let identity = UnverifiedIdentity {
            qualified_repo: repo.parse().unwrap(),
            ..identity()
        };
        let result = check(&server.url, &identity).await;
        let expected = VerifyError::Rejected(Rejection::ForeignRepo);
        assert_eq!(result, Err(expected), "{repo}");
    }
    assert!(server.received().is_empty());
}

#[actix_web::test]
async fn a_run_that_github_does_not_know_is_rejected() {
    let server = Server::start(|_| HttpResponse::NotFound().finish());
    assert_eq!(expect_rejection(&server).await, Rejection::UnknownRun);
    assert_eq!(server.received().len(), 1);
}

#[actix_web::test]
async fn the_run_must_have_the_artifact_and_its_content() {
    let mut expired = artifact(7);
    expired["expired"] = true.into();
    let mut other = artifact(7);
    other["name"] = "servo-ci-runners_job-12".into();
    for artifacts in [vec![], vec![expired], vec![other]] {
        let server = server(artifacts, |_| zip(TEXT));
        assert_eq!(expect_rejection(&server).await, Rejection::NoArtifact);
        assert_eq!(server.received().len(), 1);
    }
    for (status, expected) in [
        (StatusCode::NOT_FOUND, Rejection::NoArtifact),
        (StatusCode::GONE, Rejection::Deleted),
    ] {
        let server = Server::start(move |request| {
            if request.line.contains("/zip") {
                return HttpResponse::build(status).finish();
            }
            answer(request, &[artifact(7)], |_| zip(TEXT))
        });
        assert_eq!(expect_rejection(&server).await, expected);
    }
}

#[actix_web::test]
async fn letter_case_does_not_matter() {
    let server = Server::start(|request| {
        let mut request = request.clone();
        request.line = request.line.replace("/Servo/SERVO/", "/servo/servo/");
        answer(&request, &[artifact(7)], |_| zip(TEXT))
    });
    let identity = UnverifiedIdentity {
        qualified_repo: "Servo/SERVO".parse().unwrap(),
        ..identity()
    };
    let verified = check(&server.url, &identity).await.unwrap();
    assert_eq!(verified.job.qualified_repo, identity.qualified_repo);
    assert_eq!(verified.job.qualified_repo.as_str(), "Servo/SERVO");
}

#[actix_web::test]
async fn an_odd_entry_does_not_hide_the_artifact() {
    let mut odd = artifact(6);
    odd["id"] = Value::Null;
    let mut nameless = artifact(5);
    nameless["name"] = Value::Null;
    let mut sparse = artifact(7);
    for key in ["expired", "digest", "size_in_bytes"] {
        sparse[key] = Value::Null;
    }
    let server = server(vec![Value::Null, odd, nameless, sparse], |_| zip(TEXT));
    check(&server.url, &identity()).await.unwrap();
}

#[actix_web::test]
async fn the_age_of_an_artifact_is_measured_by_githubs_clock_alone() {
    let too_old = || Err(Rejection::TooOld { max_age: MAX_AGE });
    for (created_at, expected) in [
        (json!("2026-01-01T00:00:00Z"), Ok(())),
        (json!("2025-12-31T23:55:00Z"), Ok(())),
        (json!("2025-12-31T23:54:59Z"), too_old()),
        (json!("2000-01-01T00:00:00Z"), too_old()),
        (json!("2026-01-01T00:01:00Z"), Ok(())),
        (json!("2026-01-01T00:01:01Z"), Err(Rejection::FromTheFuture)),
        (json!("9999-01-01T00:00:00Z"), Err(Rejection::FromTheFuture)),
        (json!(null), too_old()),
        (json!("today"), too_old()),
    ] {
        let mut artifact = artifact(7);
        artifact["created_at"] = created_at.clone();
        let server = server(vec![artifact], |_| zip(TEXT));
        let result = check(&server.url, &identity()).await.map(|_| ());
        assert_eq!(result, expected.map_err(VerifyError::from), "{created_at}");
    }
}

#[actix_web::test]
async fn of_several_artifacts_the_newest_is_checked() {
    let uploaded_at = |id: u64, created_at: &str| {
        let mut artifact = artifact(id);
        artifact["created_at"] = created_at.into();
        artifact
    };
    let artifacts = vec![
        uploaded_at(9, "2025-12-31T23:58:00Z"),
        uploaded_at(8, "2025-12-31T23:59:30Z"),
        uploaded_at(7, "2025-12-31T23:59:30Z"),
        uploaded_at(6, "2000-01-01T00:00:00Z"),
    ];
    let server = server(artifacts, |id| {
        zip(&TEXT.replace("linux", &format!("linux-{id}")))
    });
    let verified = check(&server.url, &identity()).await.unwrap();
    assert_eq!(verified.job.profile_key.as_str(), "linux-8");
}

#[actix_web::test]
async fn a_large_artifact_is_rejected_before_or_during_the_download() {
    let mut announced = artifact(7);
    announced["size_in_bytes"] = (ZIP_LENGTH_MAX + 1).into();
    for (artifact, request_count) in [(announced, 1), (artifact(7), 3)] {
        let server = server(vec![artifact], |_| vec![0; ZIP_LENGTH_MAX + 1]);
        assert_eq!(expect_rejection(&server).await, Rejection::ZipTooLarge);
        assert_eq!(server.received().len(), request_count);
    }
}

#[actix_web::test]
async fn the_content_of_the_artifact_must_match_the_request() {
    let server = server(vec![artifact(7)], |_| zip(&TEXT.replace("job-1", "job-2")));
    let expected = Rejection::Mismatch { key: "unique_id" };
    assert_eq!(expect_rejection(&server).await, expected);
}

#[actix_web::test]
async fn a_zip_bomb_is_rejected() {
    let server = server(vec![artifact(7)], |_| zip_of(&[("a", &[0; 1 << 20])]));
    assert_eq!(expect_rejection(&server).await, Rejection::FileTooLarge);
}

#[actix_web::test]
async fn an_error_of_github_is_no_rejection() {
    for (status, retry_after) in [(401, None), (403, None), (422, None), (429, Some(60))] {
        let status = StatusCode::from_u16(status).unwrap();
        for failing in ["/artifacts?", "/zip"] {
            let server = Server::start(move |request| {
                if request.line.contains(failing) {
                    return HttpResponse::build(status).finish();
                }
                answer(request, &[artifact(7)], |_| zip(TEXT))
            });
            let error = check(&server.url, &identity()).await.unwrap_err();
            assert!(matches!(error, VerifyError::Unavailable(_)), "{error}");
            let expected = retry_after.map(Duration::from_secs);
            assert_eq!(error.retry_after(), expected, "{status} {failing}");
        }
    }
    let endless = Server::start(|_| HttpResponse::Ok().body(vec![b' '; 5 << 20]));
    let error = check(&endless.url, &identity()).await.unwrap_err();
    assert!(matches!(error, VerifyError::Unavailable(_)), "{error}");

    let error = check(&dead_url(), &identity()).await.unwrap_err();
    assert!(matches!(error, VerifyError::Unavailable(_)), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("check the artifact: failed to list artifacts")
    );
}

#[actix_web::test]
async fn a_damaged_download_is_no_rejection() {
    let mut described = artifact(7);
    described["digest"] = format!("sha256:{}", "0".repeat(64)).into();
    let server = server(vec![described], |_| zip(TEXT));
    let error = check(&server.url, &identity()).await.unwrap_err();
    assert_eq!(
        error,
        VerifyError::Unavailable(GithubError::Unexpected {
            operation: "download artifact 7".into(),
            what: "its digest differs from the one that GitHub reported"
        })
    );
    assert_eq!(error.retry_after(), None);
}

#[test]
fn a_rejection_names_the_check_that_failed() {
    for (rejection, expected) in [
        (
            Rejection::TooOld { max_age: MAX_AGE },
            "the artifact is older than 300 s",
        ),
        (
            Rejection::ZipTooLarge,
            "the artifact is longer than 65536 bytes",
        ),
        (
            Rejection::FileTooLarge,
            "the file in the artifact is longer than 16384 bytes",
        ),
    ] {
        assert_eq!(VerifyError::from(rejection).to_string(), expected);
    }
}
