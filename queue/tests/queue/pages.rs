//! What is open to all: dashboards and health.

use serde_json::json;

use super::support::{Daemon, Monitor};

#[test]
fn the_dashboard_shows_who_waits_and_why() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    daemon.enqueue("first-job");
    daemon.enqueue_several("second-job", 2);
    let view = daemon.view();
    assert_eq!(
        (&view["is_settled"], &view["waiting_count"]),
        (&json!(true), &json!(2))
    );
    let jobs = view["profiles"][0]["jobs"].as_array().unwrap();
    let shown: Vec<_> = jobs
        .iter()
        .map(|job| (&job["unique_id"], &job["count"]))
        .collect();
    assert_eq!(
        shown,
        [
            (&json!("first-job"), &json!(1)),
            (&json!("second-job"), &json!(2))
        ]
    );
    assert_eq!(view["servers"][0]["name"], monitor.url.as_str());

    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/dashboard.txt", "text/plain; charset=utf-8"),
    ] {
        let answer = daemon.ask("GET", path, &[]);
        assert_eq!(answer.header("content-type"), Some(content_type));
        let page = answer.text_of(200);
        for part in [
            "first-job",
            "second-job",
            "servo/servo",
            "one job is before it",
            "fresh",
            "linux",
        ] {
            assert!(page.contains(part), "{path} does not show {part}: {page}");
        }
        assert!(page.find("first-job") < page.find("second-job"), "{page}");
    }
}

#[test]
fn the_dashboard_tells_of_a_server_that_is_down() {
    let monitor = Monitor::start();
    monitor.freeze(true);
    let daemon = Daemon::before(&[&monitor]);
    assert_eq!(daemon.health(0), "down");
    assert_eq!(daemon.view()["servers"][0]["age_seconds"], json!(null));
    for path in ["/", "/dashboard.txt"] {
        let page = daemon.ask("GET", path, &[]).text_of(200);
        assert!(page.contains("never heard of"), "{page}");
    }
}

#[test]
fn a_queue_lives_from_its_start_and_is_ready_when_it_is_of_use() {
    let monitor = Monitor::start();
    monitor.freeze(true);
    let daemon = Daemon::before(&[&monitor]);
    assert_eq!(daemon.ask("GET", "/healthz", &[]).text_of(200), "alive\n");
    let json = ("accept", "application/json");
    let message = daemon
        .ask("GET", "/readyz", &[json])
        .assert_refused(503, "not_ready");
    assert!(message.contains("no server answers"), "{message}");
    monitor.freeze(false);
    daemon.wait_until_fresh(1);
    assert_eq!(daemon.ask("GET", "/readyz", &[]).text_of(200), "ready\n");

    let settling = Daemon::with(&[&monitor], "settle = 600");
    settling.wait_until_fresh(1);
    let message = settling
        .ask("GET", "/readyz", &[json])
        .assert_refused(503, "not_ready");
    assert!(message.contains("just started"), "{message}");
}

#[test]
fn the_metrics_say_who_waits_and_which_servers_answer() {
    let monitor = Monitor::start();
    let daemon = Daemon::before(&[&monitor]);
    daemon.wait_until_fresh(1);
    daemon.enqueue("first-job");
    daemon.enqueue("second-job");
    let answer = daemon.ask("GET", "/metrics", &[]);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(content_type));
    let metrics = answer.text_of(200);
    let server = format!(
        r#"ci_runners_queue_server_is_fresh{{server="{}"}} 1.0"#,
        monitor.url
    );
    for line in [
        "ci_runners_queue_is_settled 1.0",
        r#"ci_runners_queue_jobs_waiting{profile="linux"} 2.0"#,
        r#"ci_runners_queue_runners_idle{profile="linux"} 0.0"#,
        &server,
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}: {metrics}"
        );
    }
}
