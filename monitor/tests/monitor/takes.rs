//! Tests of takes, valid and invalid.

use std::{fs, io::Write, net::TcpStream};

use emulator::{model::NewArtifact, zip_of_lines};
use http_client::Method;
use shared::{
    sha256::Sha256,
    values::RunId,
    wire::{ReservationState, RunnerStatus},
};

use crate::support::{
    API_TOKEN, Host, JOB, bearer, code, expect_refusal, in_time, statuses, with_idle, with_idle_and,
};

#[actix_web::test]
async fn an_invalid_take_is_refused_and_changes_nothing() {
    let (_host, monitor) = with_idle(1).await;
    for (path, status, expected) in [
        // An encoded slash in a profile key must not lead to other files of the host.
        (
            format!("profile/..%2f..%2fetc/take?unique_id=a&{JOB}"),
            400,
            "bad_request",
        ),
        (
            format!("profile/macos/take?unique_id=a&{JOB}"),
            404,
            "unknown_profile",
        ),
        ("profile/linux/take".into(), 400, "bad_request"),
        // Repository and run become part of a path at GitHub.
        (
            "profile/linux/take?unique_id=a&qualified_repo=acme/..&run_id=7".into(),
            400,
            "bad_request",
        ),
        (
            "profile/linux/take?unique_id=a&qualified_repo=acme/app&run_id=7/..".into(),
            400,
            "bad_request",
        ),
        (
            format!("profile/linux/take?unique_id=..%2fa&{JOB}"),
            400,
            "bad_request",
        ),
        // Counts outside 1 to 64: none must succeed or reserve everything.
        (
            format!("profile/linux/take/0?unique_id=a&{JOB}"),
            400,
            "bad_request",
        ),
        (
            format!("profile/linux/take/65?unique_id=a&{JOB}"),
            400,
            "bad_request",
        ),
        (
            format!("profile/linux/take/18446744073709551615?unique_id=a&{JOB}"),
            400,
            "bad_request",
        ),
    ] {
        let answer = monitor.call(Method::POST, &path).await;
        expect_refusal(&answer, status, expected, &path);
    }
    let right = format!("profile/linux/take?unique_id=a&{JOB}");
    for (headers, status) in [(&[][..], 401), (&[("authorization", "Bearer wrong")], 403)] {
        let answer = monitor.call_with(Method::POST, &right, headers).await;
        assert_eq!(answer.status, status);
    }
    assert_eq!(statuses(&monitor.dashboard().await), [RunnerStatus::Idle]);
    monitor.stop().await;
}

/// `curl --retry` writes the body of every response to its output, where a client's script expects one
/// runner.
#[actix_web::test]
async fn a_take_without_an_idle_runner_has_a_body_only_for_clients_that_accept_json() {
    let (_host, monitor) = with_idle(1).await;
    let path = format!("profile/linux/take/2?unique_id=a&{JOB}");
    let without_body = monitor.call(Method::POST, &path).await;
    assert_eq!(
        (without_body.status.as_u16(), without_body.body.len()),
        (503, 0)
    );
    assert_eq!(without_body.header("retry-after"), Some("5"));
    let authorization = bearer(API_TOKEN);
    let headers = [
        ("authorization", authorization.as_str()),
        ("accept", "application/json"),
    ];
    let with_body = monitor.call_with(Method::POST, &path, &headers).await;
    assert_eq!(code(&with_body), "no_capacity");
    monitor.stop().await;
}

#[actix_web::test]
async fn a_reservation_is_on_the_dashboard_and_on_disk_before_the_take_is_answered() {
    let (host, monitor) = with_idle(3).await;
    for unique_id in ["a", "b", "c"] {
        let taken = monitor.expect_taken(unique_id).await;
        let dashboard = monitor.dashboard().await;
        let reservation = &dashboard.reservations.as_ref().unwrap()[unique_id];
        assert_eq!(
            (&reservation.runners, reservation.state),
            (&vec![taken.id], ReservationState::Held)
        );
        let shown = dashboard
            .runners
            .iter()
            .find(|it| it.id == taken.id)
            .unwrap();
        assert_eq!(shown.status, Some(RunnerStatus::Reserved));
        let state = fs::read_to_string(host.path("data/monitor.state")).unwrap();
        assert!(state.contains(&format!("\"{unique_id}\"")), "on disk");
    }
    monitor.stop().await;
}

/// A lost response must not lose the runner.
#[actix_web::test]
async fn a_repeated_take_after_a_closed_connection_returns_the_same_runner() {
    let (_host, monitor) = with_idle(2).await;
    let address = monitor
        .url
        .strip_prefix("http://")
        .unwrap()
        .trim_end_matches('/');
    let mut socket = TcpStream::connect(address).unwrap();
    write!(
        socket,
        "POST /profile/linux/take?unique_id=a&{JOB} HTTP/1.1\r\nhost: {address}\r\n\
         authorization: Bearer {API_TOKEN}\r\n\r\n"
    )
    .unwrap();
    let dashboard = monitor
        .until(|it| statuses(it).contains(&RunnerStatus::Reserved))
        .await;
    drop(socket);
    let reserved = dashboard.reservations.unwrap()["a"].runners[0];
    assert_eq!(monitor.expect_taken("a").await.id, reserved);
    monitor.stop().await;
}

#[actix_web::test]
async fn a_reservation_that_cannot_be_saved_is_not_granted() {
    let (host, monitor) = with_idle(1).await;
    // A folder in the place of the file to which the next snapshot is written.
    let obstacle = host.path("data/monitor.state.new");
    let block = async {
        // Fails while a snapshot is being written to that file.
        while fs::create_dir_all(obstacle.join("full")).is_err() {
            tokio::task::yield_now().await;
        }
    };
    in_time("the disk is idle", block).await;
    let refused = monitor.take("a").await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(statuses(&monitor.dashboard().await), [RunnerStatus::Idle]);
    fs::remove_dir_all(&obstacle).unwrap();
    assert_eq!(monitor.expect_taken("b").await.id, 0);
    monitor.stop().await;
}

pub fn artifact(unique_id: &str, more: &str) -> NewArtifact {
    let lines = format!(
        "unique_id={unique_id}\nqualified_repo=acme/app\nrun_id=7\nself_hosted_image_name=linux\n{more}"
    );
    NewArtifact {
        repo: "acme/app".parse().unwrap(),
        run_id: RunId(7),
        name: format!("servo-ci-runners_{unique_id}"),
        content: zip_of_lines(lines.lines()),
    }
}

#[actix_web::test]
async fn a_job_can_take_runners_by_an_artifact_instead_of_a_token() {
    let (host, monitor) = with_idle(3).await;
    for (unique_id, more, pointer) in [
        ("one", "", "/id"),
        ("two", "self_hosted_runner_count=2", "/1/id"),
    ] {
        let path = format!("select-runner?unique_id={unique_id}&{JOB}");
        let without_artifact = monitor.call_with(Method::POST, &path, &[]).await;
        // It may be listed within seconds.
        assert_eq!(without_artifact.status, 503, "{unique_id}");
        let upload = artifact(unique_id, more);
        host.emulator()
            .model(|model, now| model.add_artifact(now, upload))
            .unwrap();
        let answer = monitor.call_with(Method::POST, &path, &[]).await;
        assert_eq!(answer.status, 200, "{:?}", answer.text());
        let body: serde_json::Value = answer.json().unwrap();
        assert!(body.pointer(pointer).is_some(), "{body}");
        // A stranger could repeat the request, and would learn the labels.
        let repeated = monitor.call_with(Method::POST, &path, &[]).await;
        expect_refusal(&repeated, 409, "already_claimed", unique_id);
    }
    assert_eq!(
        statuses(&monitor.dashboard().await),
        [RunnerStatus::Reserved; 3]
    );
    monitor.stop().await;
}

#[actix_web::test]
async fn the_secret_of_a_job_is_required_and_returns_the_same_runners_each_time() {
    let (host, monitor) = with_idle(2).await;
    let digest = Sha256::of(b"hunter2-of-the-job");
    let upload = artifact("one", &format!("secret_sha256={digest}"));
    host.emulator()
        .model(|model, now| model.add_artifact(now, upload))
        .unwrap();
    let path = format!("select-runner?unique_id=one&{JOB}");
    for wrong in [
        None,
        Some("Bearer wrong"),
        Some("Bearer"),
        Some("Basic hunter2-of-the-job"),
    ] {
        let header = wrong.map(|wrong| ("authorization", wrong));
        let answer = monitor
            .call_with(Method::POST, &path, header.as_slice())
            .await;
        expect_refusal(&answer, 403, "not_authorised", &path);
    }
    let right = [("authorization", "Bearer hunter2-of-the-job")];
    let taken = monitor.call_with(Method::POST, &path, &right).await;
    assert_eq!(taken.status, 200, "{:?}", taken.text());
    let again = monitor.call_with(Method::POST, &path, &right).await;
    assert_eq!((again.status, again.body), (taken.status, taken.body));
    monitor.stop().await;
}

/// Requests without a token are open to all, and GitHub's rate limit is finite.
#[actix_web::test]
async fn a_tokenless_take_for_a_foreign_repository_causes_no_request_to_github() {
    let host = Host::new();
    let settings = host.settings(0, "");
    let monitor = host.start(settings).await;
    monitor.until_idle(0).await;
    for query in [
        "unique_id=a&qualified_repo=evil/app&run_id=7",
        "unique_id=a&qualified_repo=acme/..&run_id=7",
        "unique_id=a&qualified_repo=acme/app",
    ] {
        let answer = monitor
            .call_with(Method::POST, &format!("select-runner?{query}"), &[])
            .await;
        assert!(answer.status.is_client_error(), "{query}");
    }
    assert_eq!(host.emulator().requests().count("GET", "/repos/"), 0);
    monitor.stop().await;
}

#[actix_web::test]
async fn a_server_of_a_queue_refuses_tokenless_takes() {
    let (_host, monitor) = with_idle_and(1, "queue_member = true").await;
    let path = format!("select-runner?unique_id=a&{JOB}");
    let answer = monitor.call_with(Method::POST, &path, &[]).await;
    expect_refusal(&answer, 403, "queue_member", &path);
    assert_eq!(
        monitor.expect_taken("a").await.id,
        0,
        "the queue itself takes with the token"
    );
    monitor.stop().await;
}

/// Also while GitHub's list of runners lags behind.
#[actix_web::test]
async fn concurrent_takes_get_different_runners() {
    let (host, monitor) = with_idle(4).await;
    host.emulator()
        .model(|model, now| model.set_list_mode(now, emulator::model::ListMode::Frozen));
    let takes = (0..8).map(|number| {
        let (monitor, unique_id) = (&monitor, format!("job-{number}"));
        async move { monitor.take(&unique_id).await }
    });
    let answers = in_time(
        "all takes are answered",
        futures_util::future::join_all(takes),
    )
    .await;
    let granted = answers.iter().filter(|answer| answer.status == 200);
    let mut ids: Vec<u64> = granted
        .map(|answer| answer.json::<shared::wire::TakenRunner>().unwrap().id)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3]);
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 503).count(),
        4
    );
    monitor.stop().await;
}
