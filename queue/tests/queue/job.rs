//! Looking at one job, and giving it up.

use serde_json::json;

use super::support::{Daemon, Fault, Monitor, until};

#[test]
fn a_job_can_be_looked_at_with_its_ticket_or_the_api_token() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    daemon.enqueue("first");
    let ticket = daemon.enqueue_several("job", 2);
    let in_query = daemon
        .ask("GET", &format!("/job/job?token={ticket}"), &[])
        .json_of(200);
    let bearer = format!("Bearer {ticket}");
    let in_header = daemon
        .ask("GET", "/job/job", &[("authorization", &bearer)])
        .json_of(200);
    for mut status in [in_query, in_header, daemon.job("job")] {
        assert!(status["waited_seconds"].take().as_u64().unwrap() < 30);
        let expected = json!({
            "unique_id": "job", "profile_key": "linux", "count": 2, "state": "waiting",
            "waited_seconds": null, "position": 2, "ahead": 1, "estimate": null,
            "why": "one job is before it",
        });
        assert_eq!(status, expected);
    }
}

#[test]
fn a_job_that_is_withdrawn_is_gone_and_withdrawing_it_again_is_harmless() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    let held = daemon.take_held("job", &ticket);
    let job = format!("/job/job?token={ticket}");
    for _ in 0..3 {
        let answer = daemon.ask("DELETE", &job, &[]);
        assert_eq!(answer.text_of(204), "");
    }
    // Held or not, arrived or not: there is no such job any more.
    held.answer().assert_refused(404, "unknown_job");
    daemon
        .take("job", &ticket)
        .assert_refused(404, "unknown_job");
    daemon
        .ask("GET", &job, &[])
        .assert_refused(404, "unknown_job");
    daemon
        .ask_as_operator("DELETE", "/job/job")
        .assert_refused(404, "unknown_job");
    assert_eq!(daemon.view()["waiting_count"], 0);
}

#[test]
fn a_runner_that_nobody_was_told_of_is_idle_again_when_its_job_is_withdrawn() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    monitor.boot(1);
    daemon.wait_until_job_is("job", "reserved");
    assert_eq!(
        daemon
            .ask("DELETE", &format!("/job/job?token={ticket}"), &[])
            .status,
        204
    );
    monitor.wait_until("an idle runner", |state| state.idle["linux"] == [1]);
    assert_eq!(monitor.asked_count("DELETE /reservation/job?attempt="), 1);
    let other = daemon.enqueue("other");
    assert_eq!(daemon.runners("other", &other)["id"], 1);
}

#[test]
fn a_runner_that_its_client_was_told_of_is_destroyed_when_its_job_is_withdrawn() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    monitor.boot(1);
    assert_eq!(daemon.runners("job", &ticket)["id"], 1);
    assert_eq!(daemon.ask_as_operator("DELETE", "/job/job").status, 204);
    monitor.wait_until("the end of the runner", |state| state.destroyed == [1]);
    daemon
        .take("job", &ticket)
        .assert_refused(404, "unknown_job");
}

#[test]
fn a_release_is_repeated_until_the_monitor_confirms_it() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    monitor.boot(1);
    daemon.wait_until_job_is("job", "reserved");
    let fault = Fault::Say("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_owned());
    monitor.change(|state| state.release_faults.push_back(fault));
    assert_eq!(
        daemon
            .ask("DELETE", &format!("/job/job?token={ticket}"), &[])
            .status,
        204
    );
    monitor.wait_until("an idle runner", |state| state.idle["linux"] == [1]);
    assert_eq!(monitor.asked_count("DELETE /reservation/job?attempt="), 2);
}

#[test]
fn a_job_whose_runner_is_gone_after_its_work_is_unknown() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    monitor.boot(1);
    assert_eq!(daemon.runners("job", &ticket)["id"], 1);
    monitor.change(|state| state.reservations.get_mut("job").unwrap().state = "used");
    assert_eq!(daemon.take("job", &ticket).json_of(200)["id"], 1);
    monitor.change(|state| state.reservations.get_mut("job").unwrap().state = "served");
    until("the end of the job", || {
        daemon.job("job").is_null().then_some(())
    });
    daemon
        .take("job", &ticket)
        .assert_refused(404, "unknown_job");
}

#[test]
fn a_job_whose_runner_went_away_unused_gets_another() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    monitor.boot(1);
    assert_eq!(daemon.runners("job", &ticket)["id"], 1);
    monitor.change(|state| drop(state.reservations.remove("job")));
    until("the end of the job", || {
        daemon.job("job").is_null().then_some(())
    });
    monitor.boot(1);
    assert_eq!(daemon.runners("job", &ticket)["id"], 2);
}
