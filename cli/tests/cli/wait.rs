//! `ci-runners wait`.

use serde_json::Value;
use tokio::process::Command;

use super::support::*;

fn wait_at(queue: &TestQueue, more: &str) -> Command {
    let url = &queue.url;
    ci_runners(&format!(
        "wait --queue {url} --profile linux --repo servo/servo --run-id 7 --unique-id a {more}"
    ))
}

/// A `wait` that has printed its position, with the queue and its server.
async fn waiting_job() -> (FakeMonitor, TestQueue, Running) {
    let (monitor, queue) = one_server().await;
    let mut waiting = start(wait_at(&queue, ""));
    waiting.expect_stderr("position 1").await;
    (monitor, queue, waiting)
}

#[actix_web::test]
async fn a_waiting_job_gets_the_next_runner() {
    let (monitor, queue) = one_server().await;
    let mut waiting = start(wait_at(&queue, ""));
    waiting.expect_stderr("enqueued as a").await;
    let why = ": it is next; no runner of this profile is idle";
    waiting.expect_stderr(why).await;
    monitor.boot(1);
    let finished = waiting.finish().await;
    finished.assert_exit(0, "runner:1\n");
    assert!(
        finished.stderr.ends_with("the job has its runners\n"),
        "{finished:?}"
    );
    let reserved = monitor.read(|state| state.reservations.contains_key("a"));
    assert!(reserved, "the monitor holds the runner");
}

#[actix_web::test]
async fn the_labels_of_several_runners_are_printed_one_per_line() {
    let (monitor, queue) = one_server().await;
    monitor.boot(2);
    let finished = finish(wait_at(&queue, "--count 2")).await;
    finished.assert_exit(0, "runner:1\nrunner:2\n");
}

#[actix_web::test]
async fn json_is_an_array_also_for_one_runner() {
    let (monitor, queue) = one_server().await;
    monitor.boot(1);
    let finished = finish(wait_at(&queue, "--json")).await;
    let runners: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(runners.as_array().unwrap().len(), 1);
    assert_eq!(runners[0]["label"], "runner:1");
    assert_eq!(runners[0]["server"], monitor.url.as_str());
}

#[actix_web::test]
async fn a_waiting_job_survives_a_restart_of_the_queue() {
    let (monitor, mut queue, mut waiting) = waiting_job().await;
    queue.stop().await;
    waiting.expect_stderr("Connection refused").await;
    queue.start_again().await;
    monitor.boot(1);
    let finished = waiting.finish().await;
    finished.assert_exit(0, "runner:1\n");
    assert!(
        !finished.stderr.contains("enqueued"),
        "its ticket is enough: {finished:?}"
    );
}

#[actix_web::test]
async fn a_job_is_enqueued_as_soon_as_the_queue_is_reachable() {
    let (monitor, mut queue) = one_server().await;
    queue.stop().await;
    let mut waiting = start(wait_at(&queue, ""));
    waiting.expect_stderr("Connection refused").await;
    monitor.boot(1);
    queue.start_again().await;
    waiting.finish().await.assert_exit(0, "runner:1\n");
}

#[actix_web::test]
async fn a_job_is_enqueued_again_if_the_queue_has_lost_its_key() {
    let (monitor, mut queue, mut waiting) = waiting_job().await;
    queue.stop().await;
    waiting.expect_stderr("Connection refused").await;
    queue.lose_key();
    queue.start_again().await;
    waiting.expect_stderr("enqueued as a").await;
    monitor.boot(1);
    waiting.finish().await.assert_exit(0, "runner:1\n");
}

#[actix_web::test]
async fn a_signal_withdraws_the_job() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let (_monitor, queue, waiting) = waiting_job().await;
        assert_eq!(queue.waiting_jobs().await, [public_id("a")]);
        waiting.signal(signal).await;
        let finished = waiting.finish().await;
        finished.assert_exit(status, "");
        let printed = format!("received SIG{signal}: withdrawing the job\n");
        assert_eq!(finished.stderr, printed);
        assert_eq!(queue.waiting_jobs().await, Vec::<String>::new());
    }
}

#[actix_web::test]
async fn a_job_that_waits_longer_than_max_wait_is_withdrawn() {
    let (_monitor, queue) = one_server().await;
    let finished = finish(wait_at(&queue, "--max-wait 1s")).await;
    finished.assert_exit(7, "");
    let printed = "no runners within 1 s: withdrawing the job\n";
    assert!(finished.stderr.ends_with(printed), "{finished:?}");
    assert_eq!(queue.waiting_jobs().await, Vec::<String>::new());
}

#[actix_web::test]
async fn a_job_that_another_client_withdraws_is_not_enqueued_again() {
    let (_monitor, queue, waiting) = waiting_job().await;
    let url = format!("{}/job/a", queue.url);
    stdout_of(
        "curl",
        &["-sSf", "-X", "DELETE", "--oauth2-bearer", API_TOKEN, &url],
    )
    .await;
    let finished = waiting.finish().await;
    finished.assert_exit(4, "");
    finished.assert_stderr_has("(unknown_job)");
}

#[actix_web::test]
async fn a_permanent_error_ends_the_wait_at_once() {
    let (_monitor, queue) = one_server().await;
    let finished = finish(wait_at(&queue, "--count 4")).await;
    finished.assert_exit(4, "");
    finished.assert_stderr_has("(unsatisfiable)");

    let mut command = wait_at(&queue, "");
    command.env("SERVO_CI_MONITOR_API_TOKEN", "swordfish");
    let finished = finish(command).await;
    finished.assert_exit(3, "");
    finished.assert_stderr_has("(wrong_token)");
}

#[actix_web::test]
async fn a_closed_standard_output_is_not_an_error() {
    let (monitor, queue) = one_server().await;
    monitor.boot(1);
    let (status, stderr) = finish_with_closed_stdout(wait_at(&queue, "")).await;
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stderr.ends_with("the job has its runners\n"), "{stderr}");
}
