//! The status of a job, and its withdrawal.

use super::support::{Fault, Fixture, log};

#[test]
fn a_ticket_and_the_api_token_show_the_status_of_a_job() {
    let Fixture {
        daemon,
        monitors: _monitors,
    } = &Fixture::one_server();
    daemon.enqueue("first");
    let ticket = daemon.enqueue_several("job", 2);
    let in_query = daemon
        .request("GET", &format!("/job/job?token={ticket}"), &[])
        .expect_json(200);
    let bearer = format!("Bearer {ticket}");
    let in_header = daemon
        .request("GET", "/job/job", &[("authorization", &bearer)])
        .expect_json(200);
    for mut status in [in_query, in_header, daemon.job("job")] {
        assert!(status["waited_seconds"].take().as_u64().unwrap() < 30);
        assert!(status["why"].take().is_string());
        assert_eq!(status["events"].take()[0]["event"], "job_enqueued");
        assert_eq!(status["is_truncated"].take(), false);
        insta::assert_snapshot!(
            "status_of_a_waiting_job",
            serde_json::to_string_pretty(&status).unwrap()
        );
    }
}

#[test]
fn withdrawing_a_job_again_is_harmless() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let daemon = &fixture.daemon;
    let held = daemon.take_held("job", &ticket);
    for _ in 0..3 {
        daemon.withdraw("job", &ticket);
    }
    // The take was held before the withdrawal or arrived after it.
    held.response().assert_refused(404, "unknown_job");
    daemon.assert_unknown("job", &ticket);
    assert_eq!(daemon.job("job")["state"], "withdrawn");
    daemon
        .request_as_operator("DELETE", "/job/job")
        .assert_refused(404, "unknown_job");
    daemon.assert_waiting_count(0);
}

#[test]
fn a_withdrawal_is_logged_once_with_how_it_was_authorised() {
    let Fixture {
        daemon,
        monitors: _monitors,
    } = &Fixture::one_server();
    let ticket = daemon.enqueue("withdrawn-by-its-client");
    daemon.enqueue("withdrawn-by-an-operator");
    for path in [
        "/job/withdrawn-by-an-operator",
        "/job/withdrawn-by-its-client",
    ] {
        let other = daemon.enqueue("other");
        let bearer = format!("Bearer {other}");
        for headers in [&[("authorization", &*bearer)][..], &[]] {
            let refused = daemon.request("DELETE", path, headers);
            assert!(matches!(refused.status, 401 | 403), "{refused:?}");
        }
    }
    for _ in 0..3 {
        daemon.withdraw("withdrawn-by-its-client", &ticket);
        daemon.request_as_operator("DELETE", "/job/withdrawn-by-an-operator");
    }
    for line in [
        "audit unique_id=withdrawn-by-its-client action=withdraw authorised_by=ticket",
        "audit unique_id=withdrawn-by-an-operator action=withdraw authorised_by=api_token",
        "job_withdrawn unique_id=withdrawn-by-its-client",
        "job_withdrawn unique_id=withdrawn-by-an-operator",
    ] {
        assert_eq!(log::lines_with(line).len(), 1, "{line}");
    }
}

#[test]
fn an_undelivered_runner_is_idle_again_after_its_job_is_withdrawn() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    monitor.boot(1);
    daemon.wait_until_job_is("job", "reserved");
    daemon.withdraw("job", &ticket);
    monitor.wait_until("an idle runner", |state| state.idle["linux"] == [1]);
    assert_eq!(monitor.request_count("DELETE /reservation/job?attempt="), 1);
    let other = daemon.enqueue("other");
    assert_eq!(daemon.expect_runners("other", &other)["id"], 1);
}

#[test]
fn a_delivered_runner_is_destroyed_after_its_job_is_withdrawn() {
    let (fixture, ticket) = Fixture::one_delivered_job();
    let response = fixture.daemon.request_as_operator("DELETE", "/job/job");
    assert_eq!(response.status, 204);
    fixture
        .monitor()
        .wait_until("the end of the runner", |state| state.destroyed == [1]);
    fixture.daemon.assert_unknown("job", &ticket);
}

#[test]
fn a_release_is_repeated_until_the_monitor_confirms_it() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    monitor.boot(1);
    daemon.wait_until_job_is("job", "reserved");
    let faults = [
        Fault::respond("500 Internal Server Error", ""),
        // Of something in front of the monitor.
        Fault::respond("405 Method Not Allowed", ""),
        Fault::respond("200 OK", "<html>sign in</html>"),
    ];
    monitor.change(|state| state.release_faults.extend(faults));
    daemon.withdraw("job", &ticket);
    monitor.wait_until("an idle runner", |state| state.idle["linux"] == [1]);
    assert_eq!(monitor.request_count("DELETE /reservation/job?attempt="), 4);
}

#[test]
fn a_job_is_unknown_once_its_runner_has_finished() {
    let (fixture, ticket) = Fixture::one_delivered_job();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    monitor.set_reservation_state("job", "used");
    assert_eq!(daemon.take("job", &ticket).expect_json(200)["id"], 1);
    monitor.set_reservation_state("job", "served");
    daemon.wait_until_job_is_gone("job");
    daemon.assert_unknown("job", &ticket);
}

#[test]
fn a_job_whose_runner_disappeared_unused_gets_another() {
    let (fixture, ticket) = Fixture::one_delivered_job();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    monitor.change(|state| drop(state.reservations.remove("job")));
    daemon.wait_until_job_is_gone("job");
    monitor.boot(1);
    assert_eq!(daemon.expect_runners("job", &ticket)["id"], 2);
}
