//! Entries of `servers` that are not what they seem: one monitor twice, queues, other services, redirects.

use serde_json::json;

use super::support::{Daemon, Dialect, FakeMonitor, Fault, Fixture, wait_until};

/// A queue that has one monitor in its list under two URLs.
fn listed_twice(dialect: Dialect) -> (Daemon, FakeMonitor) {
    let monitor = FakeMonitor::with_dialect(dialect);
    if dialect == Dialect::Current {
        monitor.change(|state| state.instance = Some("5f0c".to_owned()));
    }
    monitor.boot(2);
    let other = monitor.url.replace("127.0.0.1", "localhost");
    let servers = [monitor.url.as_str(), other.trim_end_matches('/')];
    let daemon = Daemon::start_with_servers(&servers, "settle = 0", None);
    daemon.wait_until_fresh(2);
    (daemon, monitor)
}

#[test]
fn a_monitor_that_is_listed_under_two_urls_is_one_server_and_a_problem() {
    for dialect in [Dialect::Current, Dialect::Older] {
        let (daemon, monitor) = listed_twice(dialect);
        let subject = daemon.wait_for_problem("server_listed_twice");
        assert_eq!(subject, monitor.url.replace("127.0.0.1", "localhost"));
        let profile = daemon.dashboard()["profiles"][0].clone();
        assert_eq!(
            (&profile["target"], &profile["idle"]),
            (&json!(3), &json!(2)),
            "{dialect:?}: {profile}"
        );
        let target = "/profile/linux/enqueue/4?unique_id=job&qualified_repo=servo/servo&run_id=7";
        daemon
            .request_as_operator("POST", target)
            .assert_refused(422, "unsatisfiable");
        let ticket = daemon.enqueue_several("two", 2);
        let runners = daemon.expect_runners("two", &ticket);
        assert_eq!(
            (&runners[0]["id"], &runners[1]["id"]),
            (&json!(1), &json!(2))
        );
        assert_eq!(monitor.request_count("POST"), 1);
    }
}

#[test]
fn urls_that_do_not_lead_to_a_monitor_are_problems_and_others_are_used() {
    let monitor = FakeMonitor::start();
    let queue = Daemon::start(&[&monitor]);
    let redirect = FakeMonitor::start();
    let service = FakeMonitor::start();
    let empty = FakeMonitor::start();
    let respond = |monitor: &FakeMonitor, status: &str, body: &str| {
        let fault = Fault::respond(status, body);
        monitor.change(|state| state.dashboard_faults.extend(vec![fault; 1000]));
    };
    respond(&redirect, "301 Moved Permanently", "");
    respond(&service, "200 OK", "<html>welcome</html>");
    respond(&empty, "404 Not Found", "{}");
    let queue_url = queue.url();
    // Nothing listens at the last one.
    let urls = [
        &monitor.url,
        &queue_url,
        &redirect.url,
        &service.url,
        &empty.url,
        "http://no-such-host.invalid:8000/",
    ];
    let daemon = Daemon::start_with_servers(&urls, "settle = 0", None);
    daemon.wait_until_fresh(1);
    for (code, url) in [
        ("server_is_queue", &queue_url),
        ("server_redirects", &redirect.url),
    ] {
        assert_eq!(daemon.wait_for_problem(code), *url);
    }
    let subjects = wait_until("two URLs that are no monitors", || {
        let mut problems = daemon.problems("server_is_no_monitor");
        problems.sort();
        (problems.len() == 2).then(|| problems.into_iter().map(|it| it.0).collect::<Vec<_>>())
    });
    assert!(subjects.contains(&service.url) && subjects.contains(&empty.url));
    assert_eq!(
        daemon.wait_for_problem("server_not_answering"),
        "http://no-such-host.invalid:8000/"
    );
    let ticket = daemon.enqueue("job");
    monitor.boot(1);
    assert_eq!(daemon.expect_runners("job", &ticket)["id"], 1);
}

#[test]
fn a_list_with_the_queue_itself_is_a_problem() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let own_url = format!("http://{}/", listener.local_addr().unwrap());
    let daemon = Daemon::start_at(listener, &[&own_url], "settle = 0");
    assert_eq!(daemon.wait_for_problem("server_is_queue"), own_url);
}

#[test]
fn entries_of_a_dashboard_that_cannot_be_read_are_a_problem_and_hide_no_runner() {
    let fixture = Fixture::one_server();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    monitor.change(|state| {
        state.edit_dashboard = Some(|dashboard| {
            let runners = dashboard["runners"].as_array_mut().unwrap();
            runners.push(json!({"id": 7, "status": "hibernating", "runner": null}));
            runners.push(json!(null));
            dashboard["profile_runner_counts"]["no profile key"] = json!({"target": 1, "idle": 1});
            dashboard["profile_runner_counts"]["absurd"] =
                json!({"target": u64::MAX, "idle": 0, "healthy": 0});
            dashboard["reservations"]["no-reservation"] = json!("x");
        });
    });
    assert_eq!(
        daemon.wait_for_problem("dashboard_entries_unreadable"),
        monitor.url
    );
    let ticket = daemon.enqueue("job");
    monitor.boot(1);
    assert_eq!(daemon.expect_runners("job", &ticket)["id"], 1);
    monitor.change(|state| state.edit_dashboard = None);
    daemon.wait_for_end_of_problem("dashboard_entries_unreadable");
}

#[test]
fn monitors_with_one_suffix_are_a_problem() {
    let fixture = Fixture::two_servers();
    let daemon = &fixture.daemon;
    let set_suffix = |monitor: &FakeMonitor, edit: fn(&mut serde_json::Value)| {
        monitor.change(|state| {
            state.boot(1);
            state.edit_dashboard = Some(edit);
        });
    };
    let [first, second] = &fixture.monitors;
    set_suffix(first, |it| {
        it["runners"][0]["runner"]["registration"]["name"] = json!("linux.1@ci");
    });
    set_suffix(second, |it| {
        it["runners"][0]["runner"]["registration"]["name"] = json!("linux.1@ci");
    });
    assert_eq!(daemon.wait_for_problem("suffix_shared"), second.url);
    set_suffix(second, |it| {
        it["runners"][0]["runner"]["registration"]["name"] = json!("linux.1@ci2");
    });
    daemon.wait_for_end_of_problem("suffix_shared");
}

#[test]
fn an_absurd_retry_after_of_a_monitor_delays_no_poll() {
    let fixture = Fixture::one_server();
    let absurd =
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 99999999999\r\ncontent-length: 0\r\n\r\n";
    fixture
        .monitor()
        .fail_dashboard(Fault::Respond(absurd.to_owned()));
    fixture.daemon.wait_until_down(0);
    fixture.daemon.wait_until_fresh(1);
}
