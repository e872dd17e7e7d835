//! `ci-runners self-test` where scenarios fail. `dev/tests` runs it against a working deployment.

use std::{rc::Rc, time::Duration};

use super::support::*;

/// Makes the runners that `monitor` destroys idle again under their old labels, as no real monitor
/// does, for the rest of the test.
fn reuse_destroyed_runners(monitor: Rc<FakeMonitor>) {
    actix_web::rt::spawn(async move {
        loop {
            if monitor.read(|state| !state.destroyed.is_empty()) {
                monitor.change(|state| {
                    let destroyed = std::mem::take(&mut state.destroyed);
                    state
                        .idle
                        .entry("linux".to_owned())
                        .or_default()
                        .extend(destroyed);
                });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[actix_web::test]
async fn failed_scenarios_are_reported_and_counted() {
    let (monitor, queue) = one_server().await;
    let monitor = Rc::new(monitor);
    monitor.boot(1);
    reuse_destroyed_runners(Rc::clone(&monitor));
    let finished = run(&format!(
        "self-test --queue {} --max-wait 1s --scenario one --scenario several --scenario again",
        queue.url
    ))
    .await;
    finished.assert_status(1);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    for (line, start) in lines.iter().zip([
        "ok      one            runner:1 (",
        "FAILED  several        no result within 1 s (",
        "FAILED  again          two jobs got the same runner, runner:1 (",
        "1 of 3 scenarios passed",
    ]) {
        assert!(line.starts_with(start), "expected {start:?}: {finished:?}");
    }
    assert_eq!(lines.len(), 4);
    assert_eq!(queue.waiting_jobs().await, Vec::<String>::new());
    wait_until("the runners are released", async || {
        monitor.read(|state| state.reservations.is_empty())
    })
    .await;
}

#[actix_web::test]
async fn a_wrong_token_fails_the_scenarios_that_need_the_right_one() {
    let (_monitor, queue) = one_server().await;
    let scenarios = "--scenario one --scenario unsatisfiable --scenario unauthorised";
    let mut command = ci_runners(&format!("self-test --queue {} {scenarios}", queue.url));
    command.env("SERVO_CI_MONITOR_API_TOKEN", "swordfish");
    let finished = finish(command).await;
    finished.assert_status(1);
    for part in [
        "FAILED  one            failed to enqueue the job: ",
        "FAILED  unsatisfiable  expected to be refused as unsatisfiable, but failed to ",
        "ok      unauthorised   refused as wrong_token",
        "1 of 3 scenarios passed",
    ] {
        finished.assert_stdout_has(part);
    }
    assert!(!format!("{finished:?}").contains("swordfish"));
}

#[actix_web::test]
async fn a_signal_withdraws_the_job_and_ends_the_test() {
    let (_monitor, queue) = one_server().await;
    let arguments = format!("self-test --queue {} --profile linux", queue.url);
    let mut testing = start(ci_runners(&arguments));
    testing.expect_stderr("position 1").await;
    testing.signal("INT").await;
    testing.finish().await.assert_exit(130, "");
    assert_eq!(queue.waiting_jobs().await, Vec::<String>::new());
}
