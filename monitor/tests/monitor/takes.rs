//! Takes as clients send them, right and wrong.

use std::{fs, io::Write, net::TcpStream};

use emulator::{model::NewArtifact, zip_of_lines};
use http_client::Method;
use shared::{
    values::RunId,
    wire::{ReservationState, RunnerStatus},
};

use crate::support::{API_TOKEN, Host, WHO, bearer, code, in_time, statuses};

#[actix_web::test]
async fn what_is_wrong_with_a_take_is_said_and_nothing_is_changed() {
    let host = Host::new();
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
    for (path, status, expected) in [
        // Lesson 24: `%2f` in a profile key read files elsewhere on the host.
        (
            format!("profile/..%2f..%2fetc/take?unique_id=a&{WHO}"),
            400,
            "bad_request",
        ),
        (
            format!("profile/macos/take?unique_id=a&{WHO}"),
            404,
            "unknown_profile",
        ),
        ("profile/linux/take".into(), 400, "bad_request"),
        // Lesson 25: repository and run went unchecked into an API path.
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
            format!("profile/linux/take?unique_id=..%2fa&{WHO}"),
            400,
            "bad_request",
        ),
        // Lesson 30: a count of 0 was a success, and one of 2^64-1 reserved everything.
        (
            format!("profile/linux/take/0?unique_id=a&{WHO}"),
            400,
            "bad_request",
        ),
        (
            format!("profile/linux/take/65?unique_id=a&{WHO}"),
            400,
            "bad_request",
        ),
        (
            format!("profile/linux/take/18446744073709551615?unique_id=a&{WHO}"),
            400,
            "bad_request",
        ),
    ] {
        let answer = monitor.call(Method::POST, &path).await;
        assert_eq!(
            (answer.status.as_u16(), code(&answer)),
            (status, expected.into()),
            "{path}"
        );
    }
    let right = format!("profile/linux/take?unique_id=a&{WHO}");
    for (headers, status) in [(&[][..], 401), (&[("authorization", "Bearer wrong")], 403)] {
        let answer = monitor.call_with(Method::POST, &right, headers).await;
        assert_eq!(answer.status, status);
    }
    assert_eq!(statuses(&monitor.dashboard().await), [RunnerStatus::Idle]);
    monitor.stop().await;
}

/// Lesson 37: a 503 with a body made the client's script throw its runner away.
#[actix_web::test]
async fn a_take_without_an_idle_runner_has_a_body_only_for_those_who_read_json() {
    let host = Host::new();
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
    let path = format!("profile/linux/take/2?unique_id=a&{WHO}");
    let silent = monitor.call(Method::POST, &path).await;
    assert_eq!((silent.status.as_u16(), silent.body.len()), (503, 0));
    assert_eq!(silent.header("retry-after"), Some("5"));
    let authorization = bearer(API_TOKEN);
    let headers = [
        ("authorization", authorization.as_str()),
        ("accept", "application/json"),
    ];
    let told = monitor.call_with(Method::POST, &path, &headers).await;
    assert_eq!(code(&told), "no_capacity");
    monitor.stop().await;
}

#[actix_web::test]
async fn the_dashboard_shows_a_reservation_before_the_answer_leaves() {
    let host = Host::new();
    let monitor = host.start(host.settings(3, "")).await;
    monitor.until_idle(3).await;
    for unique_id in ["a", "b", "c"] {
        let taken = monitor.taken(unique_id).await;
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
        assert!(
            state.contains(&format!("\"{unique_id}\"")),
            "and so does the disk"
        );
    }
    monitor.stop().await;
}

/// Lesson 3: a lost answer was a lost runner.
#[actix_web::test]
async fn a_client_that_hangs_up_finds_its_runner_again() {
    let host = Host::new();
    let monitor = host.start(host.settings(2, "")).await;
    monitor.until_idle(2).await;
    let address = monitor
        .url
        .strip_prefix("http://")
        .unwrap()
        .trim_end_matches('/');
    let mut socket = TcpStream::connect(address).unwrap();
    write!(
        socket,
        "POST /profile/linux/take?unique_id=a&{WHO} HTTP/1.1\r\nhost: {address}\r\n\
         authorization: Bearer {API_TOKEN}\r\n\r\n"
    )
    .unwrap();
    let dashboard = monitor
        .until(|it| statuses(it).contains(&RunnerStatus::Reserved))
        .await;
    drop(socket);
    let reserved = dashboard.reservations.unwrap()["a"].runners[0];
    assert_eq!(monitor.taken("a").await.id, reserved);
    monitor.stop().await;
}

#[actix_web::test]
async fn a_reservation_that_cannot_be_saved_is_not_told() {
    let host = Host::new();
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
    // Where the next snapshot is to be written there is a folder in the way.
    let in_the_way = host.path("data/monitor.state.new");
    let block = async {
        // A snapshot that is just being written is in the way of what is to be in the way.
        while fs::create_dir_all(in_the_way.join("full")).is_err() {
            tokio::task::yield_now().await;
        }
    };
    in_time("the disk to be idle", block).await;
    let refused = monitor.take("a").await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(statuses(&monitor.dashboard().await), [RunnerStatus::Idle]);
    fs::remove_dir_all(&in_the_way).unwrap();
    assert_eq!(monitor.taken("b").await.id, 0);
    monitor.stop().await;
}

fn artifact(unique_id: &str, more: &str) -> NewArtifact {
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
async fn a_job_can_prove_itself_by_an_artifact() {
    let host = Host::new();
    let monitor = host.start(host.settings(3, "")).await;
    monitor.until_idle(3).await;
    for (unique_id, more, pointer) in [
        ("one", "", "/id"),
        ("two", "self_hosted_runner_count=2", "/1/id"),
    ] {
        let path = format!("select-runner?unique_id={unique_id}&{WHO}");
        let unproven = monitor.call_with(Method::POST, &path, &[]).await;
        assert_eq!(
            (unproven.status.as_u16(), code(&unproven)),
            (403, "not_authorised".into())
        );
        let upload = artifact(unique_id, more);
        host.emulator()
            .model(|model, now| model.add_artifact(now, upload))
            .unwrap();
        let answer = monitor.call_with(Method::POST, &path, &[]).await;
        assert_eq!(answer.status, 200, "{:?}", answer.text());
        let body: serde_json::Value = answer.json().unwrap();
        assert!(body.pointer(pointer).is_some(), "{body}");
    }
    assert_eq!(
        statuses(&monitor.dashboard().await),
        [RunnerStatus::Reserved; 3]
    );
    monitor.stop().await;
}

/// Lesson 25: a call that is open to all cost two requests each.
#[actix_web::test]
async fn a_stranger_costs_nothing_at_github() {
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
async fn a_server_that_belongs_to_a_queue_sends_jobs_there() {
    let host = Host::new();
    let monitor = host.start(host.settings(1, "queue_member = true")).await;
    monitor.until_idle(1).await;
    let path = format!("select-runner?unique_id=a&{WHO}");
    let answer = monitor.call_with(Method::POST, &path, &[]).await;
    assert_eq!(
        (answer.status.as_u16(), code(&answer)),
        (403, "queue_member".into())
    );
    assert_eq!(
        monitor.taken("a").await.id,
        0,
        "the queue itself has the token"
    );
    monitor.stop().await;
}

/// Lesson 7: while GitHub's list lagged, the same runner was given twice.
#[actix_web::test]
async fn many_takes_at_once_get_different_runners() {
    let host = Host::new();
    let monitor = host.start(host.settings(4, "")).await;
    monitor.until_idle(4).await;
    host.emulator()
        .model(|model, now| model.set_list_mode(now, emulator::model::ListMode::Frozen));
    let takes = (0..8).map(|number| {
        let (monitor, unique_id) = (&monitor, format!("job-{number}"));
        async move { monitor.take(&unique_id).await }
    });
    let answers = in_time("all takes", futures_util::future::join_all(takes)).await;
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
