//! Redirects of renamed repositories, and what is shown as a problem.

use actix_web::HttpResponse;
use http_client::testing::Server;
use shared::{
    registration::Deletion,
    values::{QualifiedRepo, RunId},
};

use super::*;

fn codes(github: &Github) -> Vec<String> {
    let problems = github.api_status().problems(github.now());
    problems
        .into_iter()
        .map(|it| it.code.into_owned())
        .collect()
}

/// A server that has moved the organisation `o`, with that status, to `/organizations/7`.
fn moved(status: u16) -> Server {
    Server::start(move |request| {
        let (method, path) = request.line.split_once(' ').unwrap();
        if let Some(rest) = path.strip_prefix("/orgs/o") {
            return HttpResponse::build(status.try_into().unwrap())
                .insert_header(("location", format!("/repositories/7{rest}")))
                .json(json!({"message": "Moved Permanently"}));
        }
        match (method, path) {
            ("GET", _) => page("runners", &[runner(7)], request),
            ("DELETE", _) => HttpResponse::NoContent().finish(),
            _ => HttpResponse::Created()
                .json(json!({"runner": runner(7), "encoded_jit_config": "hunter2"})),
        }
    })
}

#[actix_web::test]
async fn requests_of_every_method_follow_redirects_and_keep_their_body_and_token() {
    for status in [301, 302, 307, 308] {
        let server = moved(status);
        let github = github(&server.url);
        assert_eq!(github.list_runners().await.unwrap().len(), 1);
        assert_eq!(github.delete_runner(7).await.unwrap(), Deletion::Deleted);
        let labels = ["x".to_owned()];
        github
            .generate_jitconfig("a", 1, &labels, "_work")
            .await
            .unwrap();
        let lines = server.lines();
        assert_eq!(
            lines[2..],
            [
                "DELETE /orgs/o/actions/runners/7",
                "DELETE /repositories/7/actions/runners/7",
                "POST /orgs/o/actions/runners/generate-jitconfig",
                "POST /repositories/7/actions/runners/generate-jitconfig",
            ],
            "{status}"
        );
        assert_eq!(
            lines[1],
            "GET /repositories/7/actions/runners?per_page=100&page=1"
        );
        let received = server.received();
        assert_eq!(received[5].body, received[4].body);
        assert!(received[5].body.contains("_work"));
        for request in received {
            assert_eq!(request.header("authorization"), Some("Bearer hunter2"));
        }
        let problems = github.api_status().problems(github.now());
        assert_eq!(
            problems[0].to_string(),
            "/orgs/o: GitHub has moved it, and redirects every request to /repositories/7; set \
             github_api_scope to its new name, and restart"
        );
        assert_eq!(codes(&github), ["github_moved"]);
    }
}

#[actix_web::test]
async fn the_token_is_not_sent_to_another_server() {
    let other = Server::start(|request| page("runners", &[runner(7)], request));
    let url = other.url.clone();
    let server = Server::start(move |request| {
        let path = request.line.split(' ').nth(1).unwrap();
        HttpResponse::TemporaryRedirect()
            .insert_header(("location", format!("{url}{path}")))
            .finish()
    });
    let error = github(&server.url).list_runners().await.unwrap_err();
    assert!(
        error.to_string().contains("check github_api_url"),
        "{error}"
    );
    assert!(other.received().is_empty());
}

#[actix_web::test]
async fn a_loop_of_redirects_ends() {
    let server = Server::start(|request| {
        let path = request.line.split(' ').nth(1).unwrap().to_owned();
        HttpResponse::PermanentRedirect()
            .insert_header(("location", path))
            .finish()
    });
    let error = github(&server.url).list_runners().await.unwrap_err();
    assert!(
        error.to_string().contains("it redirects too often"),
        "{error}"
    );
    assert_eq!(server.received().len(), 6);
}

#[actix_web::test]
async fn problems_begin_with_refusals_and_end_with_success() {
    use std::sync::{Arc, atomic::AtomicU16};
    let status = Arc::new(AtomicU16::new(200));
    let current = Arc::clone(&status);
    let server =
        Server::start(
            move |request| match current.load(std::sync::atomic::Ordering::SeqCst) {
                200 => page("runners", &[], request),
                status => HttpResponse::build(status.try_into().unwrap())
                    .json(json!({"message": "because"})),
            },
        );
    let github = github(&server.url);
    for (answer, expected) in [
        (200, &[][..]),
        (401, &["github_credentials_rejected"]),
        (200, &[]),
        (404, &["github_not_found"]),
        (200, &[]),
        // Has to last for five seconds.
        (502, &[]),
        (200, &[]),
        (403, &["github_permission_missing"]),
        (200, &[]),
        (403, &["github_permission_missing"]),
    ] {
        status.store(answer, std::sync::atomic::Ordering::SeqCst);
        let _ = github.list_runners().await;
        assert_eq!(codes(&github), expected, "{answer}");
    }
    let later = github.now() + std::time::Duration::from_secs(900);
    assert!(github.api_status().problems(later).is_empty());
    status.store(500, std::sync::atomic::Ordering::SeqCst);
    let _ = github.list_runners().await;
    let later = github.now() + std::time::Duration::from_secs(5);
    let problems = github.api_status().problems(later);
    let unreachable = problems.iter().find(|it| it.code == "github_unreachable");
    assert!(unreachable.unwrap().last_healthy.is_some());
    for problem in problems {
        assert!(!problem.to_string().contains("hunter2"));
    }
}

#[actix_web::test]
async fn the_jobs_of_a_run_name_their_runners() {
    let server = Server::start(|request| {
        let job = |id: u64, status: &str| json!({"id": id, "status": status, "runner_id": id + 1, "runner_name": "r"});
        let mut jobs: Vec<Value> = (0..150).map(|id| job(id, "completed")).collect();
        jobs[1] = json!({"id": 1, "status": "in_progress", "runner_id": null, "runner_name": null});
        jobs[2] = json!(null);
        page("jobs", &jobs, request)
    });
    let repo: QualifiedRepo = "acme/a".parse().unwrap();
    let jobs = github(&server.url)
        .jobs_of_run(&repo, RunId(7))
        .await
        .unwrap();
    assert_eq!(jobs.len(), 149);
    assert!(jobs[0].has_completed() && jobs[0].is_on(Some(1), "other"));
    assert!(!jobs[1].has_completed() && !jobs[1].is_on(Some(2), "r"));
    assert_eq!(server.received().len(), 2);
}
