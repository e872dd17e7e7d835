//! Monitors that refuse, send invalid or incomplete responses, or hang: the job keeps its position,
//! and other jobs and servers are not affected.

use serde_json::{Value, json};

use super::support::{Daemon, FakeMonitor, Fault, Fixture, log, wait_until};

/// A take at the first monitor, which is chosen first, fails like this; the second monitor then
/// serves the job.
fn assert_other_server_is_used_after(fault: Fault) -> Fixture<2> {
    let fixture = Fixture::two_servers();
    let [first, second] = &fixture.monitors;
    let ticket = fixture.daemon.enqueue("job");
    first.fail_take(fault);
    first.boot(1);
    first.wait_for_requests("POST", 1);
    second.boot(1);
    fixture.daemon.expect_runners("job", &ticket);
    fixture
}

fn no_capacity() -> Fault {
    Fault::respond(
        "503 Service Unavailable",
        r#"{"code": "no_capacity", "message": "none"}"#,
    )
}

#[test]
fn after_a_refusal_another_server_is_used_and_nothing_is_released() {
    let unknown = r#"{"code": "unknown_profile", "message": "no such profile"}"#;
    let reserved = r#"{"code": "already_reserved", "message": "none"}"#;
    for (fault, answer) in [
        (no_capacity(), json!("none")),
        (
            Fault::respond("404 Not Found", unknown),
            json!("no such profile"),
        ),
        (Fault::respond("409 Conflict", reserved), Value::Null),
        (Fault::respond("401 Unauthorized", ""), Value::Null),
        (Fault::respond("200 OK", "null"), json!("it assigned none")),
        (Fault::respond("200 OK", "[]"), json!("it assigned none")),
    ] {
        let fixture = assert_other_server_is_used_after(fault.clone());
        assert_eq!(fixture.monitors[0].request_count("DELETE"), 0, "{fault:?}");
        let report = fixture.daemon.job("job");
        let mut events = report["events"].as_array().unwrap().iter();
        let refused = events.find(|event| event["event"] == "job_refused");
        assert_eq!(refused.unwrap()["answer"], answer, "{fault:?}");
    }
}

#[test]
fn what_an_ambiguous_response_may_have_reserved_is_released() {
    let runner = r#"{"id": 1, "runner": {}}"#;
    for fault in [
        Fault::respond("500 Internal Server Error", ""),
        Fault::respond("502 Bad Gateway", "<html>proxy</html>"),
        Fault::respond("503 Service Unavailable", r#"{"code": "not_ready"}"#),
        Fault::respond("429 Too Many Requests", ""),
        // Of something in front of the monitor.
        Fault::respond("404 Not Found", "<html>proxy</html>"),
        Fault::respond("405 Method Not Allowed", ""),
        Fault::respond("409 Conflict", "{}"),
        Fault::respond("200 OK", ""),
        Fault::respond("200 OK", "garbage"),
        Fault::respond("200 OK", r#"{"id": "one"}"#),
        Fault::respond("200 OK", &format!("[{runner}, {runner}]")),
        Fault::respond("302 Found", ""),
        Fault::respond_garbage(),
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::CutWithin,
    ] {
        let fixture = assert_other_server_is_used_after(fault);
        let [first, second] = &fixture.monitors;
        first.wait_for_requests("DELETE /reservation/job?attempt=", 1);
        // In the end exactly one server holds a reservation for the job.
        let has_reservation =
            |monitor: &FakeMonitor| monitor.read(|state| state.reservations.contains_key("job"));
        wait_until("one reservation", || {
            (has_reservation(first) != has_reservation(second)).then_some(())
        });
    }
}

#[test]
fn runners_that_a_monitor_refuses_to_one_job_are_available_to_others() {
    let fixture = Fixture::one_server();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    monitor.fail_take(Fault::respond(
        "409 Conflict",
        r#"{"code": "already_reserved", "message": "no"}"#,
    ));
    let refused = daemon.enqueue("refused");
    monitor.boot(1);
    monitor.wait_for_requests("POST", 1);
    let other = daemon.enqueue("other");
    assert_eq!(daemon.expect_runners("other", &other)["id"], 1);
    daemon.assert_waiting("refused", &refused);
}

#[test]
fn when_one_part_of_a_gang_fails_the_other_parts_are_released() {
    for fault in [no_capacity(), Fault::CutAfter] {
        let fixture = Fixture::two_servers();
        let (daemon, [first, second]) = (&fixture.daemon, &fixture.monitors);
        second.change(|state| {
            state.target.insert("linux".to_owned(), 1);
            state.take_faults.push_back(fault.clone());
        });
        first.boot(2);
        second.boot(1);
        wait_until("three idle runners", || {
            (daemon.dashboard()["profiles"][0]["idle"] == 3).then_some(())
        });
        let ticket = daemon.enqueue_several("gang", 3);
        second.wait_for_requests("POST", 1);
        first.wait_for_requests("DELETE /reservation/gang", 1);
        // In the end the job gets all its runners.
        let runners = daemon.expect_runners("gang", &ticket);
        assert_eq!(runners.as_array().unwrap().len(), 3, "{runners}");
    }
}

#[test]
fn a_runner_that_is_reported_and_never_granted_costs_no_job_its_position() {
    let fixture = Fixture::two_servers();
    let (daemon, [refusing, granting]) = (&fixture.daemon, &fixture.monitors);
    refusing.change(|state| {
        state.boot(1);
        state.take_faults.extend(vec![no_capacity(); 1000]);
    });
    let jobs: Vec<String> = (0..5).map(|job| format!("job-{job}")).collect();
    let tickets: Vec<String> = jobs.iter().map(|job| daemon.enqueue(job)).collect();
    refusing.wait_for_requests("POST", 1);
    for (runner, (job, ticket)) in (1..).zip(jobs.iter().zip(&tickets)) {
        for (job, ticket) in jobs.iter().zip(&tickets).skip(runner - 1) {
            let response = daemon.take(job, ticket);
            assert!(response.status == 503, "{response:?}");
        }
        granting.boot(1);
        assert_eq!(daemon.expect_runners(job, ticket)["id"], runner);
    }
    // The pauses between two takes at the refusing server grow.
    let takes = refusing.request_count("POST");
    assert!(takes < 10, "{takes}");
}

#[test]
fn a_monitor_that_hangs_delays_no_other() {
    let fixture = Fixture::two_servers();
    let (daemon, [hanging, working]) = (&fixture.daemon, &fixture.monitors);
    hanging.freeze(true);
    for job in 0..20 {
        let job = format!("job-{job}");
        let ticket = daemon.enqueue(&job);
        working.boot(1);
        let runner = daemon.expect_runners(&job, &ticket);
        assert_eq!(runner["server"], working.url.as_str());
    }
    assert_eq!(hanging.request_count("POST"), 0);
}

#[test]
fn a_take_that_hangs_ends_after_the_forward_timeout() {
    let fixture = Fixture::<2>::start("settle = 0\nforward_timeout = 1");
    let (daemon, [hanging, working]) = (&fixture.daemon, &fixture.monitors);
    hanging.fail_take(Fault::Hang);
    let ticket = daemon.enqueue("job");
    hanging.boot(1);
    hanging.wait_for_requests("POST", 1);
    // Meanwhile the job keeps its position, and other jobs get runners.
    assert_eq!(daemon.job("job")["position"], 1);
    working.boot(1);
    let other = daemon.enqueue("other");
    assert_eq!(
        daemon.expect_runners("other", &other)["server"],
        working.url.as_str()
    );
    hanging.wait_for_requests("DELETE /reservation/job?attempt=", 1);
    working.boot(1);
    daemon.expect_runners("job", &ticket);
}

#[test]
fn a_monitor_with_invalid_responses_is_down_until_they_are_valid_again() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    for invalid in [
        Fault::respond("200 OK", "garbage"),
        Fault::respond_garbage(),
        Fault::CutWithin,
    ] {
        monitor.fail_dashboard(invalid);
        daemon.wait_until_down(0);
        daemon.assert_waiting("job", &ticket);
        daemon.wait_until_fresh(1);
    }
    monitor.boot(1);
    assert_eq!(daemon.expect_runners("job", &ticket)["id"], 1);
}

#[test]
fn a_monitor_that_starts_later_is_used_once_it_answers() {
    let monitor = FakeMonitor::start();
    monitor.fail_dashboard(Fault::respond("503 Service Unavailable", ""));
    let daemon = Daemon::start(&[&monitor]);
    assert_eq!(daemon.health(0), "down");
    assert_eq!(daemon.try_enqueue("job").status, 503);
    daemon.wait_until_fresh(1);
    daemon.enqueue("job");
}

/// The log lines about this monitor, with its address and job replaced.
fn log_lines(monitor: &FakeMonitor) -> String {
    let lines = log::lines_with(&monitor.url);
    let lines = lines.iter().map(|line| {
        let line = line.replace(&monitor.url, "http://monitor/");
        // The random instance of the queue.
        match line.split_once("attempt=") {
            Some((before, _)) => format!("{before}attempt=…"),
            None => line,
        }
    });
    lines
        .filter(|line| line.contains(" queue"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_log_explains_failures_of_monitors_and_what_is_done_about_them() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    monitor.fail_dashboard(Fault::respond("503 Service Unavailable", ""));
    daemon.wait_until_down(0);
    daemon.wait_until_fresh(1);
    for fault in [
        Fault::respond("500 Internal Server Error", ""),
        Fault::respond(
            "409 Conflict",
            r#"{"code": "already_reserved", "message": "no"}"#,
        ),
    ] {
        monitor.fail_take(fault);
    }
    monitor.boot(1);
    monitor.wait_for_requests("POST", 2);
    daemon.withdraw("job", &ticket);
    wait_until("the last line", || {
        log_lines(monitor).contains("409").then_some(())
    });
    insta::assert_snapshot!(log_lines(monitor));
}

#[test]
fn a_label_that_another_server_has_given_to_another_job_is_given_to_no_client() {
    let fixture = Fixture::two_servers();
    let (daemon, [honest, hostile]) = (&fixture.daemon, &fixture.monitors);
    honest.boot(1);
    let first = daemon.enqueue("first");
    assert_eq!(daemon.expect_runners("first", &first)["label"], "runner:1");
    let second = daemon.enqueue("second");
    hostile.boot(1);
    hostile.wait_for_requests("DELETE /reservation/second?attempt=", 1);
    daemon.assert_waiting("second", &second);
    let subject = daemon.wait_for_problem("server_grants_invalid_labels");
    assert_eq!(subject, hostile.url);
    honest.boot(1);
    assert_eq!(
        daemon.expect_runners("second", &second)["label"],
        "runner:2"
    );
}
