//! Monitors of before: no `ETag`, no reservations, no labels, no releases.

use serde_json::json;

use super::support::{Daemon, Dialect, Fault, Monitor};

const OLDER: [Dialect; 2] = [Dialect::Older, Dialect::OlderWithArrays];

#[test]
fn an_older_monitor_serves_jobs_of_one_runner_and_of_several() {
    for dialect in OLDER {
        let monitor = Monitor::speaking(dialect);
        let daemon = Daemon::before(&[&monitor]);
        daemon.wait_until_fresh(1);
        monitor.boot(3);
        let one = daemon.enqueue("one");
        let several = daemon.enqueue_several("several", 2);
        let runner = daemon.runners("one", &one);
        assert_eq!(runner["server"], monitor.url.as_str());
        assert_eq!(
            runner["label"], "reserved-for:one",
            "that is what such a monitor adds"
        );
        let runners = daemon.runners("several", &several);
        let [first, second] = &runners.as_array().unwrap()[..] else {
            panic!("expected two runners, not {runners}");
        };
        assert_eq!(second["label"], "reserved-for:several");
        let mut ids = [&runner, first, second].map(|runner| runner["id"].as_u64());
        ids.sort();
        assert_eq!(ids, [Some(1), Some(2), Some(3)]);
        assert_eq!(daemon.take("one", &one).json_of(200), runner);
        assert_eq!(monitor.asked_count("POST"), 2);
    }
}

#[test]
fn an_older_monitor_that_answers_null_gave_nothing() {
    let monitor = Monitor::speaking(Dialect::Older);
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue("job");
    let null = "HTTP/1.1 200 Ok\r\ncontent-length: 4\r\n\r\nnull".to_owned();
    monitor.fail_take(Fault::Say(null));
    monitor.boot(1);
    assert_eq!(daemon.runners("job", &ticket)["id"], 1);
    assert_eq!(
        (monitor.asked_count("POST"), monitor.asked_count("DELETE")),
        (2, 0)
    );
}

#[test]
fn an_older_monitor_that_gives_fewer_than_asked_gave_nothing_of_use() {
    let monitor = Monitor::speaking(Dialect::Older);
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    let ticket = daemon.enqueue_several("job", 2);
    let body = r#"[{"id": 9, "runner": {"id": 9}}]"#;
    let fewer = format!(
        "HTTP/1.1 200 Ok\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    monitor.fail_take(Fault::Say(fewer));
    monitor.boot(2);
    let runners = daemon.runners("job", &ticket);
    assert_eq!(
        (&runners[0]["id"], &runners[1]["id"]),
        (&json!(1), &json!(2))
    );
    // It knows no releases, and is not asked for one for ever.
    assert_eq!(monitor.asked_count("DELETE /reservation/job?attempt="), 1);
}

#[test]
fn an_older_monitor_that_gives_a_runner_twice_is_not_believed() {
    let monitor = Monitor::speaking(Dialect::Older);
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    monitor.boot(1);
    let first = daemon.enqueue("first");
    assert_eq!(daemon.runners("first", &first)["id"], 1);
    let body = r#"{"id": 1, "runner": {"id": 1}}"#;
    let again = format!(
        "HTTP/1.1 200 Ok\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    monitor.fail_take(Fault::Say(again));
    let second = daemon.enqueue("second");
    monitor.boot(1);
    assert_eq!(daemon.runners("second", &second)["id"], 2);
}
