//! Joining the queue with the API token.

use super::support::{Daemon, Fault, Monitor, until};

const ENQUEUE: &str = "/profile/linux/enqueue?unique_id=job&qualified_repo=servo/servo&run_id=7";

#[test]
fn an_enqueue_is_answered_with_a_ticket_as_plain_text() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let answer = daemon.ask_as_operator("POST", ENQUEUE);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let ticket = answer.text_of(200);
    assert!(
        ticket.len() < 1000 && ticket.split('.').count() == 3,
        "{ticket}"
    );
    daemon.take("job", &ticket).assert_refused(503, "waiting");
}

#[test]
fn the_same_enqueue_again_gives_a_ticket_that_is_as_good_and_changes_nothing() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let tickets = [daemon.enqueue("job"), daemon.enqueue("job")];
    daemon.enqueue("other");
    assert_eq!(daemon.view()["waiting_count"], 2);
    monitor.boot(1);
    for ticket in &tickets {
        assert_eq!(daemon.runners("job", ticket)["id"], 1);
    }
    let late = daemon.enqueue("job");
    assert_eq!(daemon.runners("job", &late)["id"], 1);
}

#[test]
fn a_name_that_another_job_has_is_refused() {
    let monitor = Monitor::start();
    monitor.change(|state| state.target.insert("windows".to_owned(), 3));
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    for target in [
        "/profile/windows/enqueue?unique_id=job&qualified_repo=servo/servo&run_id=7",
        "/profile/linux/enqueue/1?unique_id=job&qualified_repo=servo/servo&run_id=7",
        "/profile/linux/enqueue/2?unique_id=job&qualified_repo=servo/servo&run_id=7",
        "/profile/linux/enqueue?unique_id=job&qualified_repo=servo/other&run_id=7",
        "/profile/linux/enqueue?unique_id=job&qualified_repo=servo/servo&run_id=8",
    ] {
        daemon
            .ask_as_operator("POST", target)
            .assert_refused(409, "already_enqueued");
    }
    assert_eq!(daemon.view()["waiting_count"], 1);
    daemon.take("job", &ticket).assert_refused(503, "waiting");
}

#[test]
fn what_no_server_is_set_up_for_is_refused_at_once_and_for_good() {
    let monitors = Monitor::two();
    let daemon = Daemon::before(&[&monitors[0], &monitors[1]]);
    daemon.wait_until_fresh(2);
    for (target, in_message) in [
        ("/profile/windows/enqueue", "0 runners of profile windows"),
        ("/profile/linux/enqueue/7", "6 runners of profile linux"),
    ] {
        let target = format!("{target}?unique_id=job&qualified_repo=servo/servo&run_id=7");
        let answer = daemon.ask_as_operator("POST", &target);
        let message = answer.assert_refused(422, "unsatisfiable");
        assert!(message.contains(in_message), "{message}");
    }
    daemon.enqueue_several("job", 6);
}

#[test]
fn what_a_server_that_is_silent_might_have_is_not_refused_for_good() {
    let monitors = Monitor::two();
    monitors[1].freeze(true);
    let daemon = Daemon::before(&[&monitors[0], &monitors[1]]);
    daemon.wait_until_fresh(1);
    let target = "/profile/linux/enqueue/4?unique_id=job&qualified_repo=servo/servo&run_id=7";
    let answer = daemon.ask_as_operator("POST", target);
    let retry_after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&retry_after));
    assert_eq!(
        answer.text_of(503),
        "",
        "curl repeats this, and keeps what every answer says"
    );
    monitors[1].freeze(false);
    daemon.wait_until_fresh(2);
    daemon.enqueue_several("job", 4);
}

#[test]
fn a_dashboard_that_fails_for_a_moment_makes_nothing_unsatisfiable() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let unavailable = "HTTP/1.1 503 Not Now\r\ncontent-length: 0\r\n\r\n";
    monitor.change(|state| {
        state
            .dashboard_faults
            .push_back(Fault::Say(unavailable.to_owned()));
    });
    until("that the server counts as down", || {
        (daemon.health(0) == "down").then_some(())
    });
    let answer = daemon.try_enqueue("job");
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("2"))
    );
    daemon.wait_until_fresh(1);
    daemon.enqueue("job");
}

#[test]
fn a_configured_limit_is_told_with_when_to_come_back() {
    let monitor = Monitor::start();
    let daemon = Daemon::with(&[&monitor], "settle = 0\njobs_max = 1");
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    let answer = daemon.try_enqueue("other");
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(answer.text_of(429), "");
    let headers = [
        (
            "authorization",
            &*format!("Bearer {}", super::support::API_TOKEN),
        ),
        ("accept", "application/json"),
    ];
    let target = ENQUEUE.replace("=job", "=other");
    daemon
        .ask("POST", &target, &headers)
        .assert_refused(429, "too_many_jobs");
    daemon.enqueue("job");
    assert_eq!(
        daemon
            .ask("DELETE", &format!("/job/job?token={ticket}"), &[])
            .status,
        204
    );
    daemon.enqueue("other");
}
