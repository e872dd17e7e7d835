//! Claiming runners: at once, or held until there are some.

use serde_json::json;

use super::support::{Daemon, Monitor};

#[test]
fn a_job_without_a_count_gets_one_object() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    monitor.boot(1);
    let ticket = daemon.enqueue("job");
    let runner = daemon.runners("job", &ticket);
    assert_eq!(runner["id"], 1);
    assert_eq!(runner["label"], "runner:1");
    assert_eq!(runner["server"], json!(monitor.url));
    assert_eq!(
        runner["runner"]["registration"]["name"],
        "ci-runner-linux.1@test"
    );
}

#[test]
fn a_job_with_a_count_gets_an_array() {
    let monitors = Monitor::two();
    let daemon = Daemon::before(&[&monitors[0], &monitors[1]]);
    monitors[0].boot(2);
    monitors[1].boot(1);
    daemon.wait_until_fresh(2);
    let several = daemon.enqueue_several("several", 2);
    let one = daemon.enqueue_several("one", 1);
    let runners = daemon.runners("several", &several);
    let ids: Vec<_> = runners
        .as_array()
        .unwrap()
        .iter()
        .map(|runner| &runner["id"])
        .collect();
    assert_eq!(ids, [1, 2]);
    let runners = daemon.runners("one", &one);
    assert_eq!(
        (runners.as_array().unwrap().len(), &runners[0]["server"]),
        (1, &json!(monitors[1].url))
    );
}

#[test]
fn a_gang_that_no_server_can_serve_alone_gets_runners_of_several() {
    let monitors = Monitor::two();
    let daemon = Daemon::before(&[&monitors[0], &monitors[1]]);
    daemon.wait_until_fresh(2);
    let ticket = daemon.enqueue_several("gang", 3);
    let held = daemon.take_held("gang", &ticket);
    monitors[0].boot(1);
    monitors[1].boot(2);
    let runners = held.answer().json_of(200);
    let labels = |index: usize| (&runners[index]["label"], &runners[index]["server"]);
    assert_eq!(labels(0), (&json!("runner:1"), &json!(monitors[1].url)));
    assert_eq!(labels(1), (&json!("runner:2"), &json!(monitors[1].url)));
    assert_eq!(labels(2), (&json!("runner:1"), &json!(monitors[0].url)));
}

#[test]
fn asking_again_gives_the_same_runner() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    monitor.boot(2);
    let ticket = daemon.enqueue("job");
    let first = daemon.runners("job", &ticket);
    for _ in 0..3 {
        assert_eq!(daemon.take("job", &ticket).json_of(200), first);
    }
    let bearer = format!("Bearer {ticket}");
    let answer = daemon.ask("POST", "/take/job", &[("authorization", &bearer)]);
    assert_eq!(answer.json_of(200), first);
    assert_eq!(monitor.asked_count("POST /profile/linux/take?"), 1);
}

#[test]
fn who_must_wait_is_told_for_how_long_and_how_many_are_before() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    daemon.enqueue("first");
    let ticket = daemon.enqueue("second");
    let answer = daemon.take("second", &ticket);
    assert_eq!(answer.header("retry-after"), Some("1"));
    let expected = json!({
        "code": "waiting", "message": "one job is before this one; ask again",
        "position": 2, "ahead": 1, "estimate": null,
    });
    assert_eq!(answer.json_of(503), expected);
}

#[test]
fn a_script_that_lets_curl_repeat_gets_one_body_in_all() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    let target = format!("/take/job?token={ticket}");
    for headers in [
        &[][..],
        &[("accept", "*/*")],
        &[("accept", "application/*")],
    ] {
        let answer = daemon.ask("POST", &target, headers);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.text_of(503), "");
    }
    monitor.boot(1);
    daemon.wait_until_job_is("job", "reserved");
    assert_eq!(daemon.ask("POST", &target, &[]).json_of(200)["id"], 1);
}

#[test]
fn a_held_take_is_answered_as_soon_as_a_runner_becomes_idle() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    let held = daemon.take_held("job", &ticket);
    monitor.wait_until("a held question", |state| {
        state
            .preferred
            .iter()
            .flatten()
            .any(|prefer| prefer == "wait=5")
    });
    monitor.boot(1);
    assert_eq!(held.answer().json_of(200)["id"], 1);
    // Nobody had to ask twice for that: one question saw the runner, one took it.
    assert_eq!(monitor.asked_count("POST"), 1);
}

#[test]
fn a_held_take_is_answered_when_its_time_is_over() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    let target = format!("/take/job?token={ticket}");
    let headers = [
        ("prefer", "respond-async, wait=1"),
        ("accept", "application/json"),
    ];
    daemon
        .ask("POST", &target, &headers)
        .assert_refused(503, "waiting");
    for no_wait in ["wait=0", "wait=-1", "wait=soon", "wait"] {
        let headers = [("prefer", no_wait), ("accept", "application/json")];
        daemon
            .ask("POST", &target, &headers)
            .assert_refused(503, "waiting");
    }
}

#[test]
fn two_held_takes_of_one_job_get_the_same_runner() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    let held = [
        daemon.take_held("job", &ticket),
        daemon.take_held("job", &ticket),
    ];
    monitor.boot(2);
    for held in held {
        assert_eq!(held.answer().json_of(200)["id"], 1);
    }
    assert_eq!(monitor.look(|state| state.idle["linux"].clone()), [2]);
}

#[test]
fn with_as_many_held_as_allowed_a_take_is_answered_at_once() {
    let monitor = Monitor::start();
    let daemon = Daemon::with(&[&monitor], "settle = 0\nheld_requests_max = 0");
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    daemon
        .take_held("job", &ticket)
        .answer()
        .assert_refused(503, "waiting");
}

#[test]
fn runners_go_to_those_who_came_first_whoever_asks_most() {
    let monitor = Monitor::start();
    monitor.change(|state| state.target.insert("linux".to_owned(), 10));
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let jobs: Vec<String> = (0..10).map(|job| format!("job-{}", job * 7 % 10)).collect();
    let tickets: Vec<String> = jobs.iter().map(|job| daemon.enqueue(job)).collect();
    for (job, ticket) in jobs.iter().zip(&tickets).rev() {
        daemon.take(job, ticket).assert_refused(503, "waiting");
    }
    for (runner, (job, ticket)) in (1..).zip(jobs.iter().zip(&tickets)) {
        let last = jobs.len() - 1;
        daemon.take(&jobs[last], &tickets[last]);
        monitor.boot(1);
        daemon.wait_until_job_is(job, "reserved");
        assert_eq!(daemon.take(job, ticket).json_of(200)["id"], runner);
    }
}

#[test]
fn a_client_that_hangs_up_on_a_held_take_loses_nothing() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    daemon.take_held("job", &ticket).hang_up();
    monitor.boot(2);
    daemon.wait_until_job_is("job", "reserved");
    assert_eq!(daemon.runners("job", &ticket)["id"], 1);
    assert_eq!(daemon.job("job")["state"], "delivered");
    assert_eq!(monitor.asked_count("POST"), 1);
}

#[test]
fn a_client_that_is_cut_off_without_a_word_loses_nothing() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    for _ in 0..20 {
        drop(daemon.take_held("job", &ticket));
    }
    monitor.boot(1);
    let runner = daemon.runners("job", &ticket);
    assert_eq!(runner["id"], 1);
    assert_eq!(monitor.asked_count("POST"), 1);
}
