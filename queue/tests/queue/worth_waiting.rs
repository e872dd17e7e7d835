//! What clients are answered that state up to when they wait.

use super::support::{Fixture, wait_until};

const ENQUEUE: &str = "/profile/linux/enqueue?unique_id=job&qualified_repo=servo/servo&run_id=7";

#[test]
fn a_limit_that_is_none_is_refused() {
    let fixture = Fixture::one_server();
    for (parameters, part) in [
        ("&max_wait=0", "must be numbers of seconds from 1 to 604800"),
        (
            "&max_wait=15m",
            "must be numbers of seconds from 1 to 604800",
        ),
        ("&slowdown=1", "slowdown must be a number above 1"),
        (
            "&hosted_duration=600",
            "hosted_duration needs the parameter slowdown",
        ),
    ] {
        let target = format!("{ENQUEUE}{parameters}");
        let response = fixture.daemon.request_as_operator("POST", &target);
        let message = response.assert_refused(400, "bad_request");
        assert!(message.contains(part), "{message}");
    }
    fixture.daemon.assert_waiting_count(0);
}

#[test]
fn a_job_that_has_waited_for_as_long_as_it_may_is_withdrawn() {
    let fixture = Fixture::one_server();
    let daemon = &fixture.daemon;
    let target = format!("{ENQUEUE}&max_wait=1");
    let ticket = daemon.request_as_operator("POST", &target).expect_text(200);
    let take = format!("/take/job?token={ticket}");
    let held = [("prefer", "wait=2"), ("accept", "application/json")];
    let message = daemon
        .request("POST", &take, &held)
        .assert_refused(410, "no_longer_worth_it");
    assert_eq!(
        message,
        "hosted runners are the better choice now, so the job is withdrawn: this job has waited for its max_wait \
         of 1 s"
    );
    daemon.assert_waiting_count(0);
    // The first response may have been lost.
    let again = daemon.request("POST", &take, &[]);
    assert_eq!(again.assert_refused(410, "no_longer_worth_it"), message);
    assert_eq!(daemon.job("job")["state"], "withdrawn");
}

#[test]
fn a_job_that_would_wait_for_too_long_is_not_enqueued() {
    let fixture = Fixture::one_server();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    // All are there from the start, so that no replacement is seen.
    monitor.boot(8);
    for past in 1..=8 {
        let job = format!("past-{past}");
        let ticket = daemon.enqueue(&job);
        daemon.expect_runners(&job, &ticket);
        monitor.set_reservation_state(&job, "used");
        wait_until("the start of the job", || {
            let report = daemon.job(&job);
            let mut events = report["events"].as_array().unwrap().iter();
            events
                .any(|event| event["event"] == "job_started")
                .then_some(())
        });
        monitor.set_reservation_state(&job, "served");
        daemon.wait_until_job_is_gone(&job);
    }
    // Now it is known how long jobs take, from the journal. No runner is there, and none was seen to be replaced:
    // a wait of about 45 s is assumed.
    let fixture = fixture.restart();
    let daemon = &fixture.daemon;
    daemon.wait_until_fresh(1);
    let target = format!("{ENQUEUE}&hosted_duration=20&slowdown=5");
    let message = daemon
        .request_as_operator("POST", &target)
        .assert_refused(422, "wait_too_long");
    let end = "saves 16 s: 20 s × (1 − 1/5), where 20 s is its duration on a hosted runner";
    assert!(
        message.starts_with("hosted runners are the better choice, so the job is not enqueued")
            && message.ends_with(end),
        "{message}"
    );
    daemon.assert_waiting_count(0);
    // It may still be enqueued without limits, or with others.
    let target = format!("{ENQUEUE}&max_wait=3000");
    daemon.request_as_operator("POST", &target).expect_text(200);
    daemon.assert_waiting_count(1);
}
