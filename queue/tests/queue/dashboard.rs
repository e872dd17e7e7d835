//! What needs no token: dashboards, metrics and health checks. The unit tests of the crate have
//! snapshots of their texts.

use serde_json::{Value, json};
use shared::values::UniqueId;

use super::support::{Daemon, FakeMonitor, Fixture, wait_until};

#[test]
fn the_dashboard_shows_waiting_jobs_in_order_and_why_they_wait() {
    let fixture = Fixture::one_server();
    let daemon = &fixture.daemon;
    daemon.enqueue("first-job");
    daemon.enqueue_several("second-job", 2);
    let dashboard = daemon.dashboard();
    assert_eq!(
        (&dashboard["is_dispatching"], &dashboard["waiting_count"]),
        (&json!(true), &json!(2))
    );
    let jobs = dashboard["profiles"][0]["jobs"].as_array().unwrap();
    let public_id = |job: &str| job.parse::<UniqueId>().unwrap().public_id().to_string();
    let (first, second) = (&*public_id("first-job"), &*public_id("second-job"));
    let shown: Vec<_> = jobs
        .iter()
        .map(|job| (&job["public_id"], &job["count"]))
        .collect();
    assert_eq!(
        shown,
        [(&json!(first), &json!(1)), (&json!(second), &json!(2))]
    );
    assert_eq!(
        dashboard["servers"][0]["name"],
        fixture.monitor().url.as_str()
    );
    // `dashboard` has waited for a snapshot with both jobs, and these share it or have a newer one.
    let json = dashboard.to_string();
    assert!(
        !json.contains("first-job") && !json.contains("unique_id"),
        "{json}"
    );
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/dashboard.txt", "text/plain; charset=utf-8"),
    ] {
        let response = daemon.request("GET", path, &[]);
        assert_eq!(response.header("content-type"), Some(content_type));
        let page = response.expect_text(200);
        let why = jobs[1]["why"].as_str().unwrap();
        for part in [first, second, "servo/servo", why, "OK", "linux"] {
            assert!(page.contains(part), "{path} does not show {part}: {page}");
        }
        assert!(page.find(first) < page.find(second), "{page}");
        for unique_id in ["first-job", "second-job"] {
            assert!(!page.contains(unique_id), "{page}");
        }
    }
}

#[test]
fn the_dashboard_shows_a_server_that_is_down() {
    let monitor = FakeMonitor::start();
    monitor.freeze(true);
    let daemon = Daemon::start(&[&monitor]);
    assert_eq!(daemon.health(0), "down");
    assert_eq!(daemon.dashboard()["servers"][0]["age_seconds"], json!(null));
    for (path, expected) in [("/", ">never<"), ("/dashboard.txt", "last seen: never")] {
        let page = daemon.request("GET", path, &[]).expect_text(200);
        assert!(page.contains(expected), "{page}");
    }
}

#[test]
fn all_forms_of_the_dashboard_are_rendered_once_for_each_snapshot() {
    let Fixture {
        daemon,
        monitors: _monitors,
    } = &Fixture::one_server();
    let captured_at = || {
        daemon
            .request("GET", "/dashboard.json", &[])
            .expect_json(200)["captured_at_micros"]
            .clone()
    };
    daemon.dashboard();
    // The first request may just miss the end of a snapshot's time, but not several in a row.
    let is_shared = (0..5).any(|_| captured_at() == captured_at());
    assert!(is_shared);
}

#[test]
fn a_queue_is_alive_from_its_start_and_ready_when_it_can_assign_runners() {
    let monitor = FakeMonitor::start();
    monitor.freeze(true);
    let daemon = Daemon::start(&[&monitor]);
    let get = |path: &str| daemon.request("GET", path, &[]);
    assert_eq!(get("/healthz").expect_text(200), "alive\n");
    let json = ("accept", "application/json");
    let message = daemon
        .request("GET", "/readyz", &[json])
        .assert_refused(503, "not_ready");
    assert!(message.contains("no server answers"), "{message}");
    monitor.freeze(false);
    daemon.wait_until_fresh(1);
    let body: Value = serde_json::from_str(&get("/readyz").expect_text(200)).unwrap();
    let ready = json!({"ready": true, "reason": null, "problems": [], "more_problems": 0});
    assert_eq!(body, ready);
    assert_eq!(daemon.request("HEAD", "/readyz", &[]).expect_text(200), "");

    let starting = Fixture::<1>::start("settle = 600");
    let message = starting
        .daemon
        .request("GET", "/readyz", &[json])
        .assert_refused(503, "not_ready");
    assert!(message.contains("just started"), "{message}");
}

#[test]
fn the_metrics_count_waiting_jobs_and_show_which_servers_answer() {
    let fixture = Fixture::one_server();
    let daemon = &fixture.daemon;
    daemon.enqueue("first-job");
    daemon.enqueue("second-job");
    // So that the metrics are rendered from a snapshot with both jobs.
    daemon.assert_waiting_count(2);
    let response = daemon.request("GET", "/metrics", &[]);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(response.header("content-type"), Some(content_type));
    let metrics = response.expect_text(200);
    let server = format!(
        r#"ci_runners_queue_server_up{{server="{}"}} 1.0"#,
        fixture.monitor().url
    );
    for line in [
        "ci_runners_queue_ready 1.0",
        r#"ci_runners_queue_jobs_waiting{profile="linux"} 2.0"#,
        r#"ci_runners_queue_runners{profile="linux",state="idle"} 0.0"#,
        &server,
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}: {metrics}"
        );
    }
}

#[test]
fn head_works_wherever_get_does_and_has_no_body() {
    let (fixture, ticket) = Fixture::one_server_one_job();
    let job = format!("/job/job?token={ticket}");
    for path in [
        "/",
        "/dashboard.txt",
        "/dashboard.json",
        "/metrics",
        "/healthz",
        "/readyz",
        &job,
    ] {
        let response = fixture.daemon.request("HEAD", path, &[]);
        assert!(
            response.header("content-length") > Some("0"),
            "{response:?}"
        );
        assert_eq!(response.expect_text(200), "", "{path}");
    }
}

#[test]
fn the_page_has_its_style_and_script_in_files_that_browsers_keep() {
    let fixture = Fixture::one_server();
    let daemon = &fixture.daemon;
    let response = daemon.request("GET", "/", &[]);
    let policy = response.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let page = response.expect_text(200);
    for (before, media_type) in [
        (
            "<link rel=\"stylesheet\" href=\"",
            "text/css; charset=utf-8",
        ),
        (
            "<script type=\"module\" src=\"",
            "text/javascript; charset=utf-8",
        ),
    ] {
        let (_, rest) = page.split_once(before).unwrap();
        let (path, _) = rest.split_once('"').unwrap();
        // Relative, so that it works behind a prefix such as /queue/.
        assert!(path.starts_with("assets/"), "{path}");
        let file = daemon.request("GET", &format!("/{path}"), &[]);
        assert_eq!(file.header("content-type"), Some(media_type));
        let caching = "public, max-age=31536000, immutable";
        assert_eq!(file.header("cache-control"), Some(caching));
        assert!(file.expect_text(200).len() > 1000);
    }
}

#[test]
fn the_page_shows_the_jobs_that_match_a_filter() {
    let fixture = Fixture::one_server();
    let daemon = &fixture.daemon;
    daemon.enqueue("first-job");
    daemon.enqueue("second-job");
    daemon.assert_waiting_count(2);
    let public_id = |job: &str| job.parse::<UniqueId>().unwrap().public_id().to_string();
    let (first, second) = (public_id("first-job"), public_id("second-job"));
    let page = |query: &str| {
        daemon
            .request("GET", &format!("/?{query}"), &[])
            .expect_text(200)
    };
    let found = page(&format!("q=SERVO+{second}"));
    assert!(found.contains(&format!("id=\"job={second}\"")), "{found}");
    assert!(!found.contains(&format!("id=\"job={first}\"")), "{found}");
    assert!(
        found.contains(&format!("value=\"SERVO {second}\"")),
        "{found}"
    );
    let hostile = page("q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE");
    assert!(
        hostile.contains("No waiting job matches.") && !hostile.contains("<script>alert"),
        "{hostile}"
    );
    assert!(!hostile.contains('\u{202e}'), "{hostile}");
    assert!(page("q=").contains(&first));
}

#[test]
fn a_job_has_a_page_that_needs_no_token_and_shows_no_secret() {
    let fixture = Fixture::one_server();
    let daemon = &fixture.daemon;
    let ticket = daemon.enqueue("first-job");
    let public_id = "first-job".parse::<UniqueId>().unwrap().public_id();
    let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let page = |path: &str| daemon.request("GET", path, &[html]);
    let text = page(&format!("/job/{public_id}")).expect_text(200);
    for part in [
        "waits, next in its queue",
        "enqueued, authorised by the API token",
        "/servo/servo/actions/runs/",
        "../assets/page.css?v=",
        "../events",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for secret in ["first-job", &ticket] {
        assert!(!text.contains(secret), "{text}");
    }
    let unknown = page("/job/0123456789abcdef").expect_text(404);
    assert!(unknown.contains("does not know the job"), "{unknown}");
    // Neither programs nor names of jobs get a page.
    page("/job/first-job").assert_refused(401, "unauthorised");
    let path = format!("/job/{public_id}");
    daemon
        .request("GET", &path, &[])
        .assert_refused(401, "unauthorised");
    // An operator can name a job as pages do.
    daemon.request_as_operator("GET", &path).expect_json(200);
    let withdrawn = daemon.request_as_operator("DELETE", &path);
    assert_eq!(withdrawn.status, 204);
    let text = page(&path).expect_text(200);
    assert!(text.contains("withdrawn with the API token"), "{text}");
    assert!(!text.contains("data-withdraw"), "{text}");
}

#[test]
fn the_page_shows_which_jobs_have_runners_and_which_are_over() {
    let (fixture, _ticket) = Fixture::one_delivered_job();
    let (daemon, monitor) = (&fixture.daemon, fixture.monitor());
    let dashboard = daemon.dashboard();
    let assigned = &dashboard["assigned"][0];
    assert_eq!(assigned["runners"][0]["server"], monitor.url.as_str());
    assert_eq!(assigned["runners"][0]["runner"], 1);
    let public_id = "job".parse::<UniqueId>().unwrap().public_id();
    let page = || daemon.request("GET", "/", &[]).expect_text(200);
    assert!(page().contains(&format!("assigned {public_id}")));
    monitor.set_reservation_state("job", "used");
    monitor.set_reservation_state("job", "served");
    daemon.wait_until_job_is_gone("job");
    wait_until("the finished job", || {
        page().contains(&format!("over {public_id} ")).then_some(())
    });
}
