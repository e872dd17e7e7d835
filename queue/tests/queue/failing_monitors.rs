//! Monitors that refuse, lie, garble, cut off, hang: the job keeps its place, and others go on.

use super::support::{Daemon, Fault, Monitor, until};

/// Two monitors of which the first, that is asked first, has one idle runner, and the second none.
fn stage() -> ([Monitor; 2], Daemon) {
    let monitors = Monitor::two();
    let daemon = Daemon::before(&[&monitors[0], &monitors[1]]);
    daemon.wait_until_fresh(2);
    (monitors, daemon)
}

fn say(status: &str, body: &str) -> Fault {
    let length = body.len();
    Fault::Say(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

/// A take of the first monitor fails so; the job is served by the second.
fn serve_in_spite_of(fault: Fault) -> ([Monitor; 2], Daemon) {
    let (monitors, daemon) = stage();
    let ticket = daemon.enqueue("job");
    monitors[0].fail_take(fault);
    monitors[0].boot(1);
    monitors[0].wait_until_asked("POST", 1);
    monitors[1].boot(1);
    daemon.runners("job", &ticket);
    (monitors, daemon)
}

#[test]
fn a_job_that_is_refused_waits_on_and_is_served_elsewhere() {
    for fault in [
        say("503 No", r#"{"code": "no_capacity", "message": "none"}"#),
        say(
            "404 No",
            r#"{"code": "unknown_profile", "message": "none"}"#,
        ),
        say(
            "409 No",
            r#"{"code": "already_reserved", "message": "none"}"#,
        ),
        say("401 No", ""),
        say("200 Ok", "null"),
        say("200 Ok", "[]"),
    ] {
        let (monitors, _daemon) = serve_in_spite_of(fault.clone());
        // There is nothing to be given back.
        assert_eq!(monitors[0].asked_count("DELETE"), 0, "{fault:?}");
    }
}

#[test]
fn what_may_have_been_given_all_the_same_is_given_back() {
    let runner = r#"{"id": 1, "runner": {}}"#;
    for fault in [
        say("500 No", ""),
        say("502 No", "<html>proxy</html>"),
        say("503 No", r#"{"code": "not_ready"}"#),
        say("429 No", ""),
        say("200 Ok", ""),
        say("200 Ok", "garbage"),
        say("200 Ok", r#"{"id": "one"}"#),
        say("200 Ok", &format!("[{runner}, {runner}]")),
        say("302 Elsewhere", ""),
        Fault::Say("garbage\r\n\r\n".to_owned()),
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::CutWithin,
    ] {
        let (monitors, daemon) = serve_in_spite_of(fault);
        monitors[0].wait_until_asked("DELETE /reservation/job?attempt=", 1);
        // Wherever the job was served in the end: it is reserved there and nowhere else.
        let asked =
            |monitor: &Monitor| monitor.look(|state| state.reservations.contains_key("job"));
        until("that one reservation stands", || {
            (asked(&monitors[0]) != asked(&monitors[1])).then_some(())
        });
        drop(daemon);
    }
}

#[test]
fn a_job_that_a_monitor_would_not_have_does_not_keep_its_runners_from_others() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    monitor.fail_take(say(
        "409 No",
        r#"{"code": "already_reserved", "message": "no"}"#,
    ));
    let unwanted = daemon.enqueue("unwanted");
    monitor.boot(1);
    monitor.wait_until_asked("POST", 1);
    let other = daemon.enqueue("other");
    assert_eq!(daemon.runners("other", &other)["id"], 1);
    daemon
        .take("unwanted", &unwanted)
        .assert_refused(503, "waiting");
}

#[test]
fn a_gang_of_which_one_part_fails_gives_the_others_back() {
    for fault in [
        say("503 No", r#"{"code": "no_capacity", "message": "none"}"#),
        Fault::CutAfter,
    ] {
        let (monitors, daemon) = stage();
        monitors[1].change(|state| {
            state.target.insert("linux".to_owned(), 1);
            state.take_faults.push_back(fault.clone());
        });
        monitors[0].boot(2);
        monitors[1].boot(1);
        until("that all are seen", || {
            let view = daemon.view();
            (view["profiles"][0]["idle"] == 3).then_some(())
        });
        let ticket = daemon.enqueue_several("gang", 3);
        monitors[1].wait_until_asked("POST", 1);
        monitors[0].wait_until_asked("DELETE /reservation/gang", 1);
        // In the end it gets all of them after all.
        let runners = daemon.runners("gang", &ticket);
        assert_eq!(runners.as_array().unwrap().len(), 3, "{runners}");
    }
}

#[test]
fn a_runner_that_is_shown_and_never_given_costs_nobody_the_place() {
    let (monitors, daemon) = stage();
    let liar = &monitors[0];
    liar.change(|state| {
        state.boot(1);
        let none = say("503 No", r#"{"code": "no_capacity", "message": "none"}"#);
        state.take_faults.extend(vec![none; 1000]);
    });
    let jobs: Vec<String> = (0..5).map(|job| format!("job-{job}")).collect();
    let tickets: Vec<String> = jobs.iter().map(|job| daemon.enqueue(job)).collect();
    liar.wait_until_asked("POST", 1);
    for (runner, (job, ticket)) in (1..).zip(jobs.iter().zip(&tickets)) {
        for (job, ticket) in jobs.iter().zip(&tickets).skip(runner - 1) {
            let answer = daemon.take(job, ticket);
            assert!(answer.status == 503, "{answer:?}");
        }
        monitors[1].boot(1);
        assert_eq!(daemon.runners(job, ticket)["id"], runner);
    }
    // It was asked again only now and then.
    assert!(
        liar.asked_count("POST") < 10,
        "{}",
        liar.asked_count("POST")
    );
}

#[test]
fn a_monitor_that_hangs_delays_nobody_else() {
    let (monitors, daemon) = stage();
    monitors[0].freeze(true);
    for job in 0..20 {
        let job = format!("job-{job}");
        let ticket = daemon.enqueue(&job);
        monitors[1].boot(1);
        let runner = daemon.runners(&job, &ticket);
        assert_eq!(runner["server"], monitors[1].url.as_str());
    }
    assert_eq!(monitors[0].asked_count("POST"), 0);
}

#[test]
fn a_monitor_that_hangs_in_a_take_is_given_up_in_time() {
    let monitors = Monitor::two();
    let settings = "settle = 0\nforward_timeout = 1";
    let daemon = Daemon::with(&[&monitors[0], &monitors[1]], settings);
    daemon.wait_until_fresh(2);
    monitors[0].fail_take(Fault::Hang);
    let ticket = daemon.enqueue("job");
    monitors[0].boot(1);
    monitors[0].wait_until_asked("POST", 1);
    // Meanwhile the job has its place, and others are served.
    assert_eq!(daemon.job("job")["position"], 1);
    monitors[1].boot(1);
    let other = daemon.enqueue("other");
    assert_eq!(
        daemon.runners("other", &other)["server"],
        monitors[1].url.as_str()
    );
    monitors[0].wait_until_asked("DELETE /reservation/job?attempt=", 1);
    monitors[1].boot(1);
    daemon.runners("job", &ticket);
}

#[test]
fn a_monitor_that_talks_nonsense_is_down_until_it_makes_sense_again() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    for nonsense in [
        say("200 Ok", "garbage"),
        Fault::Say("garbage\r\n\r\n".to_owned()),
        Fault::CutWithin,
    ] {
        monitor.change(|state| state.dashboard_faults.push_back(nonsense.clone()));
        until("that it is down", || {
            (daemon.health(0) == "down").then_some(())
        });
        daemon.take("job", &ticket).assert_refused(503, "waiting");
        daemon.wait_until_fresh(1);
    }
    monitor.boot(1);
    assert_eq!(daemon.runners("job", &ticket)["id"], 1);
}

#[test]
fn a_monitor_that_is_not_there_yet_is_heard_of_when_it_is() {
    let monitor = Monitor::start();
    let unavailable = "HTTP/1.1 503 Not Yet\r\ncontent-length: 0\r\n\r\n".to_owned();
    monitor.change(|state| state.dashboard_faults.push_back(Fault::Say(unavailable)));
    let daemon = Daemon::before(&[&monitor]);
    assert_eq!(daemon.health(0), "down");
    assert_eq!(daemon.try_enqueue("job").status, 503);
    daemon.wait_until_fresh(1);
    daemon.enqueue("job");
}
