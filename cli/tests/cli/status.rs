//! `status`, of a queue and of a monitor.

use std::process::Stdio;

use serde_json::Value;

use super::support::*;

#[actix_web::test]
async fn a_queue_shows_its_servers_and_who_waits() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    let url = &queue.url;
    run(&format!(
        "enqueue --queue {url} --profile linux --repo servo/servo --run-id 7 --unique-id job-a"
    ))
    .await;
    let ended = run(&format!("status --queue {url}")).await;
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    for part in [
        "1 job waits, 0 have their runners.",
        "SERVER  ",
        &format!("{}/  fresh", monitor.url),
        "linux 0 of 3",
        "Waiting for linux:",
        "1  job-a  1        servo/servo 7",
        "it is next; every runner of this profile is in use",
    ] {
        assert!(ended.stdout.contains(part), "{part} is not in {ended:?}");
    }
}

#[actix_web::test]
async fn a_monitor_shows_its_runners() {
    let monitor = FakeMonitor::start();
    monitor.free(5);
    let ended = run(&format!("status --monitor {}", monitor.url)).await;
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        ended.stdout,
        "\
PROFILE  TARGET  IDLE  RESERVED  BUSY  STARTING  WANTED  IMAGE AGE
linux    3       1     0         0     0         0       -

ID  RUNNER  STATUS  GUEST  LABELS
5   -       idle    -
"
    );
}

#[actix_web::test]
async fn json_is_what_the_daemon_sends() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    let ended = run(&format!("status --queue {} --json", queue.url)).await;
    assert_eq!(ended.status, Some(0));
    let shown: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        shown["servers"][0]["name"],
        format!("{}/", monitor.url).as_str()
    );
    assert_eq!(ended.stdout.lines().count(), 1);
}

#[actix_web::test]
async fn a_daemon_that_is_not_there_or_is_none_is_a_failure() {
    let ended = run("status --queue http://127.0.0.1:1").await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(5), ""));
    assert!(ended.stderr.contains("Connection refused"), "{ended:?}");

    let monitor = FakeMonitor::start();
    let ended = run(&format!("status --queue {}", monitor.url)).await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""));
    let part = "failed to understand the answer of";
    assert!(ended.stderr.contains(part), "{ended:?}");

    let ended = run(&format!("status --queue {}/elsewhere", monitor.url)).await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(4), ""));
    let part = "failed to get the dashboard: the answer was 404 Not Found";
    assert!(ended.stderr.contains(part), "{ended:?}");
}

#[actix_web::test]
async fn a_closed_pipe_is_the_end_and_no_fault() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    for words in ["", "--json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = ci_runners(&format!("status --queue {} {words}", queue.url));
        command.stdout(Stdio::from(writer));
        let output = command.spawn().unwrap().wait_with_output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
    }
}
