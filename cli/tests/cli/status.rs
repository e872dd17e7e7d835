//! `ci-runners status`.

use serde_json::Value;

use super::support::*;

#[actix_web::test]
async fn the_status_of_a_queue_has_its_servers_and_waiting_jobs() {
    let (monitor, queue) = one_server().await;
    let url = &queue.url;
    run(&format!(
        "enqueue --queue {url} --profile linux --repo servo/servo --run-id 7 --unique-id job-a"
    ))
    .await;
    // Also waits until the dashboard has the job.
    let job = public_id("job-a");
    assert_eq!(queue.waiting_jobs().await, [&*job]);
    let status = run(&format!("status --queue {url}")).await;
    assert_eq!((status.status, status.stderr.as_str()), (Some(0), ""));
    for part in [
        "1 job waits, 0 assigned.",
        "SERVER  ",
        &format!("{}  ", monitor.url),
        "linux 0 of 3",
        "Waiting for linux:",
        &format!("1  {job}  1        servo/servo 7"),
        "no runner of this profile is idle",
    ] {
        status.assert_stdout_has(part);
    }
}

#[actix_web::test]
async fn the_status_of_a_monitor_has_its_runners() {
    let monitor = FakeMonitor::start();
    monitor.boot(1);
    let status = run(&format!("status --monitor {}", monitor.url)).await;
    assert_eq!((status.status, status.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(status.stdout, @"
    PROFILE  TARGET  IDLE  RESERVED  BUSY  STARTING  TO CREATE  IMAGE AGE
    linux    3       1     0         0     0         0          -

    ID  RUNNER                  STATUS  GUEST              LABELS
    1   ci-runner-linux.1@test  idle    ci-runner-linux.1  self-hosted
    ");
}

#[actix_web::test]
async fn json_is_what_the_daemon_sends() {
    let (monitor, queue) = one_server().await;
    let status = run(&format!("status --queue {} --json", queue.url)).await;
    status.assert_status(0);
    let json: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(json["servers"][0]["name"], monitor.url.as_str());
    assert_eq!(status.stdout.lines().count(), 1);
}

#[actix_web::test]
async fn an_unreachable_or_foreign_server_is_an_error() {
    let status = run("status --queue http://127.0.0.1:1").await;
    status.assert_exit(5, "");
    status.assert_stderr_has("Connection refused");

    let (_monitor, queue) = one_server().await;
    let status = run(&format!("status --queue {}/elsewhere", queue.url)).await;
    status.assert_exit(4, "");
    status.assert_stderr_has("failed to get the dashboard: there is no such path");
}

#[actix_web::test]
async fn a_full_screen_needs_a_terminal() {
    let (_monitor, queue) = one_server().await;
    let top = run(&format!("top --queue {}", queue.url)).await;
    top.assert_exit(2, "");
    top.assert_stderr_has("standard output is no terminal; use `ci-runners status`");
}

#[actix_web::test]
async fn a_closed_standard_output_is_not_an_error() {
    let (_monitor, queue) = one_server().await;
    for option in ["", "--json"] {
        let command = ci_runners(&format!("status --queue {} {option}", queue.url));
        assert_eq!(
            finish_with_closed_stdout(command).await,
            (Some(0), String::new())
        );
    }
}

#[actix_web::test]
async fn a_watched_status_is_printed_whenever_it_changes() {
    let monitor = FakeMonitor::start();
    let command = ci_runners(&format!("status --monitor {} --watch", monitor.url));
    let mut watched = start(command);
    watched.expect_stdout("There are no runners.").await;
    monitor.boot(1);
    watched.expect_stdout("ci-runner-linux.1").await;
    watched.signal("INT").await;
    watched.finish().await.assert_status(130);
}
