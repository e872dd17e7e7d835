//! `ci-runners self-test` where scenarios fail. `dev/tests` runs it against a working deployment.

use super::support::*;

#[actix_web::test]
async fn failed_scenarios_are_reported_and_counted() {
    let (monitor, queue) = one_server().await;
    monitor.add_idle(1);
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
        // This monitor makes a released runner idle again; a real one destroys it.
        "FAILED  again          two jobs got the same runner, runner:1 (",
        "1 of 3 scenarios passed",
    ]) {
        assert!(line.starts_with(start), "expected {start:?}: {finished:?}");
    }
    assert_eq!(lines.len(), 4);
    assert_eq!(queue.waiting_jobs().await, Vec::<String>::new());
    assert_eq!(monitor.reservations(), Vec::<String>::new());
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
