//! Older monitors: no `ETag`, no reservations, no labels, no releases.

use serde_json::json;

use super::support::{Daemon, Dialect, FakeMonitor, Fault};

const OLDER: [Dialect; 2] = [Dialect::Older, Dialect::OlderWithArrays];

/// A queue in front of one older monitor.
fn older(dialect: Dialect) -> (Daemon, FakeMonitor) {
    let monitor = FakeMonitor::with_dialect(dialect);
    let daemon = Daemon::start(&[&monitor]);
    daemon.wait_until_fresh(1);
    (daemon, monitor)
}

#[test]
fn an_older_monitor_can_be_used_by_jobs_of_one_runner_and_of_several() {
    for dialect in OLDER {
        let (daemon, monitor) = older(dialect);
        monitor.boot(3);
        let one = daemon.enqueue("one");
        let several = daemon.enqueue_several("several", 2);
        let runner = daemon.expect_runners("one", &one);
        assert_eq!(runner["server"], monitor.url.as_str());
        assert_eq!(
            runner["label"], "reserved-for:one",
            "the label that such a monitor adds to a reserved runner"
        );
        let runners = daemon.expect_runners("several", &several);
        let [first, second] = &runners.as_array().unwrap()[..] else {
            panic!("expected two runners, not {runners}");
        };
        assert_eq!(second["label"], "reserved-for:several");
        let mut ids = [&runner, first, second].map(|runner| runner["id"].as_u64());
        ids.sort();
        assert_eq!(ids, [Some(1), Some(2), Some(3)]);
        assert_eq!(daemon.take("one", &one).expect_json(200), runner);
        assert_eq!(monitor.request_count("POST"), 2);
    }
}

#[test]
fn the_answer_null_of_an_older_monitor_grants_nothing() {
    let (daemon, monitor) = older(Dialect::Older);
    let ticket = daemon.enqueue("job");
    monitor.fail_take(Fault::respond("200 OK", "null"));
    monitor.boot(1);
    assert_eq!(daemon.expect_runners("job", &ticket)["id"], 1);
    assert_eq!(
        (
            monitor.request_count("POST"),
            monitor.request_count("DELETE")
        ),
        (2, 0)
    );
}

#[test]
fn fewer_runners_than_requested_are_not_used() {
    let (daemon, monitor) = older(Dialect::Older);
    let ticket = daemon.enqueue_several("job", 2);
    let fewer = r#"[{"id": 9, "runner": {"id": 9}}]"#;
    monitor.fail_take(Fault::respond("200 OK", fewer));
    monitor.boot(2);
    let runners = daemon.expect_runners("job", &ticket);
    assert_eq!(
        (&runners[0]["id"], &runners[1]["id"]),
        (&json!(1), &json!(2))
    );
    // An older monitor has no releases, so that one is not repeated.
    assert_eq!(monitor.request_count("DELETE /reservation/job?attempt="), 1);
}

#[test]
fn a_runner_that_an_older_monitor_grants_twice_is_used_once() {
    let (daemon, monitor) = older(Dialect::Older);
    monitor.boot(1);
    let first = daemon.enqueue("first");
    assert_eq!(daemon.expect_runners("first", &first)["id"], 1);
    let again = r#"{"id": 1, "runner": {"id": 1}}"#;
    monitor.fail_take(Fault::respond("200 OK", again));
    let second = daemon.enqueue("second");
    monitor.boot(1);
    assert_eq!(daemon.expect_runners("second", &second)["id"], 2);
}

#[test]
fn while_an_older_monitor_answers_no_poll_after_a_take_jobs_are_accepted() {
    let (daemon, monitor) = older(Dialect::Older);
    monitor.change(|state| {
        state.boot(3);
        // For some seconds, as it does in production.
        state.polls_failing_after_take = 3;
    });
    let first = daemon.enqueue("first");
    daemon.expect_runners("first", &first);
    daemon.wait_until_down(0);
    let second = daemon.enqueue("second");
    daemon.assert_waiting("second", &second);
    daemon.expect_runners("second", &second);
}
