//! `self-test` where scenarios fail; `dev/tests` has it against a deployment that works.

use super::support::*;

#[actix_web::test]
async fn what_goes_wrong_is_said_and_counted() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    monitor.free(1);
    let words = format!(
        "self-test --queue {} --max-wait 1s --scenario one --scenario several --scenario again",
        queue.url
    );
    let ended = run(&words).await;
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(
        lines[0].starts_with("ok      one            runner:1 ("),
        "{ended:?}"
    );
    let said = "FAILED  several        nothing came of it within 1 s (";
    assert!(lines[1].starts_with(said), "{ended:?}");
    // Its runner comes back under its old label, which no real monitor's does.
    let said = "FAILED  again          two jobs got the same runner, runner:1 (";
    assert!(lines[2].starts_with(said), "{ended:?}");
    assert_eq!(lines[3], "1 of 3 scenarios went as they should");
    assert_eq!(queue.jobs_in_line().await, Vec::<String>::new());
    assert_eq!(monitor.reserved_for(), Vec::<String>::new());
}

#[actix_web::test]
async fn a_token_that_is_not_the_queues_fails_the_scenarios_that_need_it() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    let scenarios = "--scenario one --scenario unsatisfiable --scenario unauthorised";
    let mut command = ci_runners(&format!("self-test --queue {} {scenarios}", queue.url));
    command.env("SERVO_CI_MONITOR_API_TOKEN", "swordfish");
    let ended = end_of(command).await;
    assert_eq!(ended.status, Some(1), "{ended:?}");
    for said in [
        "FAILED  one            failed to enqueue the job: ",
        "FAILED  unsatisfiable  it should have been refused as unsatisfiable, but: failed to ",
        "ok      unauthorised   refused as wrong_token",
        "1 of 3 scenarios went as they should",
    ] {
        assert!(ended.stdout.contains(said), "{said:?} is not in {ended:?}");
    }
    assert!(!format!("{ended:?}").contains("swordfish"));
}

#[actix_web::test]
async fn a_signal_ends_it_and_the_job_is_withdrawn() {
    let monitor = FakeMonitor::start();
    let queue = TestQueue::start(&monitor).await;
    let words = format!("self-test --queue {} --profile linux", queue.url);
    let mut testing = start(ci_runners(&words));
    testing.says("position 1").await;
    testing.signal("INT").await;
    let ended = testing.end().await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(130), ""));
    assert_eq!(queue.jobs_in_line().await, Vec::<String>::new());
}
