//! `wait`: in line until the runners are there, whatever happens meanwhile.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use super::support::*;

fn wait_at(queue: &TestQueue, more: &str) -> Command {
    let url = &queue.url;
    ci_runners(&format!(
        "wait --queue {url} --profile linux --repo servo/servo --run-id 7 --unique-id a {more}"
    ))
}

#[actix_web::test]
async fn a_job_waits_and_gets_the_next_runner() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    let mut waiting = start(wait_at(&queue, ""));
    waiting.says("in line as a").await;
    waiting.says("position 1").await;
    monitor.free(5);
    let ended = waiting.end().await;
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (Some(0), "runner:5\n")
    );
    assert!(
        ended.stderr.ends_with("the runners are there\n"),
        "{ended:?}"
    );
    assert_eq!(monitor.reserved_for(), ["a"]);
}

#[actix_web::test]
async fn several_runners_have_a_label_on_each_line() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    monitor.free(1);
    monitor.free(2);
    let ended = end_of(wait_at(&queue, "--count 2")).await;
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (Some(0), "runner:1\nrunner:2\n")
    );
}

#[actix_web::test]
async fn json_is_an_array_even_of_one_runner() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    monitor.free(5);
    let ended = end_of(wait_at(&queue, "--json")).await;
    let runners: Value = serde_json::from_str(&ended.stdout).unwrap();
    let expected = json!([{"id": 5, "runner": {"id": 5}, "label": "runner:5",
        "server": format!("{}/", monitor.url)}]);
    assert_eq!(runners, expected);
}

#[actix_web::test]
async fn a_job_outlives_a_restart_of_the_queue() {
    let monitor = FakeMonitor::start();
    let mut queue = TestQueue::start(&monitor).await;
    let mut waiting = start(wait_at(&queue, ""));
    waiting.says("position 1").await;
    queue.stop().await;
    waiting.says("Connection refused").await;
    queue.start_again().await;
    monitor.free(5);
    let ended = waiting.end().await;
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (Some(0), "runner:5\n")
    );
    assert!(
        !ended.stderr.contains("in line"),
        "it was in line all the time: {ended:?}"
    );
}

#[actix_web::test]
async fn a_job_joins_as_soon_as_there_is_a_queue() {
    let monitor = FakeMonitor::start();
    let mut queue = TestQueue::start(&monitor).await;
    queue.stop().await;
    let mut waiting = start(wait_at(&queue, ""));
    waiting.says("Connection refused").await;
    monitor.free(5);
    queue.start_again().await;
    let ended = waiting.end().await;
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (Some(0), "runner:5\n")
    );
}

#[actix_web::test]
async fn a_job_joins_again_if_its_ticket_is_worth_nothing_after_a_restart() {
    let monitor = FakeMonitor::start();
    let mut queue = TestQueue::start(&monitor).await;
    let mut waiting = start(wait_at(&queue, ""));
    waiting.says("position 1").await;
    queue.stop().await;
    waiting.says("Connection refused").await;
    queue.lose_key();
    queue.start_again().await;
    waiting.says("in line as a").await;
    monitor.free(5);
    let ended = waiting.end().await;
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (Some(0), "runner:5\n")
    );
}

#[actix_web::test]
async fn a_signal_withdraws_the_job() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let monitor = FakeMonitor::start();
        let queue = TestQueue::start(&monitor).await;
        let mut waiting = start(wait_at(&queue, ""));
        waiting.says("position 1").await;
        assert_eq!(queue.jobs_in_line().await, ["a"]);
        waiting.signal(signal).await;
        let ended = waiting.end().await;
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(status), ""));
        assert_eq!(ended.stderr, format!("SIG{signal}: withdrawing the job\n"));
        assert_eq!(queue.jobs_in_line().await, Vec::<String>::new());
    }
}

#[actix_web::test]
async fn a_job_that_waited_too_long_is_withdrawn() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    let ended = end_of(wait_at(&queue, "--max-wait 1s")).await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(7), ""));
    let said = "no runners within 1 s: withdrawing the job\n";
    assert!(ended.stderr.ends_with(said), "{ended:?}");
    assert_eq!(queue.jobs_in_line().await, Vec::<String>::new());
}

#[actix_web::test]
async fn a_job_that_was_withdrawn_by_somebody_else_ends() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    let mut waiting = start(wait_at(&queue, ""));
    waiting.says("position 1").await;
    let url = format!("{}/job/a", queue.url);
    text_of(
        "curl",
        &["-sSf", "-X", "DELETE", "--oauth2-bearer", API_TOKEN, &url],
    )
    .await;
    let ended = waiting.end().await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(4), ""));
    assert!(ended.stderr.contains("(unknown_job)"), "{ended:?}");
}

#[actix_web::test]
async fn what_waiting_cannot_help_ends_at_once() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    let ended = end_of(wait_at(&queue, "--count 4")).await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(4), ""));
    assert!(ended.stderr.contains("(unsatisfiable)"), "{ended:?}");

    let mut command = wait_at(&queue, "");
    command.env("SERVO_CI_MONITOR_API_TOKEN", "swordfish");
    let ended = end_of(command).await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(3), ""));
    assert!(ended.stderr.contains("(wrong_token)"), "{ended:?}");
}

#[actix_web::test]
async fn labels_that_nobody_reads_are_no_fault() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    monitor.free(5);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = wait_at(&queue, "");
    command.stdout(Stdio::from(writer));
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.ends_with("the runners are there\n"), "{said}");
}
