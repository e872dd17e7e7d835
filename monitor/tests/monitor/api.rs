//! Tests of the dashboard, pages, health checks and methods.

use std::time::Duration;

use emulator::faults::Fault;
use http_client::Method;
use shared::{clock::Timestamp, wire::RunnerStatus};

use crate::support::{Host, RUNNERS, expect_refusal, in_time, statuses, with_idle, with_idle_and};

#[actix_web::test]
async fn before_the_first_poll_the_monitor_is_alive_but_not_ready() {
    let host = Host::new();
    let held = host.break_github("GET", RUNNERS, Fault::HoldAnswer);
    let monitor = host.start(host.settings(1, "")).await;
    host.until_hit(held).await;
    for path in ["dashboard.json", "readyz"] {
        let answer = monitor
            .call_with(Method::GET, path, &[("accept", "application/json")])
            .await;
        expect_refusal(&answer, 503, "not_ready", path);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(monitor.take("job").await.status, 503);
    assert_eq!(monitor.get("healthz").await.status, 200);
    let page = monitor.get("").await;
    let page = page.text().unwrap();
    for part in [
        "does not know its runners yet",
        "Authenticated with a token.",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    host.emulator().faults().clear_all();
    monitor.until_idle(1).await;
    assert_eq!(monitor.get("readyz").await.status, 200);
    monitor.stop().await;
}

#[actix_web::test]
async fn the_dashboard_needs_no_token_and_refuses_a_wrong_one() {
    let (_host, monitor) = with_idle(1).await;
    let get = async |bearer: &str| {
        let headers = [("authorization", bearer), ("accept", "application/json")];
        monitor
            .call_with(Method::GET, "dashboard.json", &headers)
            .await
    };
    expect_refusal(
        &get("Bearer wrong").await,
        403,
        "wrong_token",
        "dashboard.json",
    );
    assert_eq!(monitor.get("dashboard.json").await.status, 200);
    monitor.stop().await;
}

#[actix_web::test]
async fn a_long_poll_of_the_dashboard_is_held_until_it_changes() {
    let (_host, monitor) = with_idle_and(1, "api_cache_timeout = 3600").await;
    let etag = monitor
        .get("dashboard.json")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let strong = etag.strip_prefix("W/").unwrap();
    for known in [&etag, strong, &format!("\"other\", {etag}")] {
        let unchanged = monitor
            .call_with(Method::GET, "dashboard.json", &[("if-none-match", known)])
            .await;
        assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0));
        assert_eq!(unchanged.header("etag"), Some(etag.as_str()));
    }
    let headers = [("if-none-match", etag.as_str()), ("prefer", "wait=0")];
    assert_eq!(
        monitor
            .call_with(Method::GET, "dashboard.json", &headers)
            .await
            .status,
        304
    );
    let headers = [("if-none-match", etag.as_str()), ("prefer", "wait=60")];
    let held = monitor.call_with(Method::GET, "dashboard.json", &headers);
    let (held, taken) = tokio::join!(held, monitor.expect_taken("job"));
    assert_eq!(held.status, 200);
    assert_ne!(held.header("etag"), Some(etag.as_str()));
    assert_eq!(statuses(&held.json().unwrap()), [RunnerStatus::Reserved]);
    assert_eq!(taken.id, 0);
    monitor.stop().await;
}

#[actix_web::test]
async fn the_pages_show_profiles_and_runners_and_load_nothing_from_other_servers() {
    let (_host, monitor) = with_idle(1).await;
    monitor.expect_taken("job-on-the-page").await;
    for path in ["", "dashboard.html"] {
        let page = monitor.get(path).await;
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(
            page.header("content-security-policy")
                .unwrap()
                .starts_with("default-src 'none'")
        );
        let text = page.text().unwrap();
        for part in [
            "linux",
            "reserved",
            "job-on-the-page",
            "ci-runner-linux.0",
            "create runner 0",
        ] {
            assert!(text.contains(part), "{path}: {part}");
        }
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{path}"
        );
    }
    monitor.stop().await;
}

#[actix_web::test]
async fn unknown_paths_and_methods_are_refused() {
    let host = Host::new();
    let monitor = host.start(host.settings(0, "")).await;
    for (method, path, status, allow) in [
        (Method::GET, "nothing", 404, None),
        (Method::GET, "profile/linux/take", 405, Some("POST")),
        (Method::POST, "dashboard.json", 405, Some("GET, HEAD")),
        (
            Method::PUT,
            "policy/override",
            405,
            Some("GET, HEAD, POST, DELETE"),
        ),
        (Method::GET, "reservation/a", 405, Some("DELETE")),
        // A credential is handed over once, so HEAD must not use it up.
        (Method::HEAD, "github-jitconfig", 405, Some("GET")),
    ] {
        let answer = monitor.call(method, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (status, allow),
            "{path}"
        );
    }
    for (method, path) in [
        (Method::DELETE, "reservation/a"),
        (Method::POST, "policy/override?linux=1"),
        (Method::DELETE, "policy/override"),
    ] {
        assert_eq!(
            monitor.call_with(method, path, &[]).await.status,
            401,
            "{path}"
        );
    }
    assert_eq!(
        monitor
            .call(Method::DELETE, "reservation/..%2fa")
            .await
            .status,
        400
    );
    monitor.stop().await;
}

#[actix_web::test]
async fn the_page_warns_of_runner_software_whose_support_ends() {
    let host = Host::new();
    let ends_at = host.emulator().model(|model, now| {
        // Whole seconds, as in GitHub's responses.
        let ends_at = Timestamp::from_seconds(now.as_seconds()) + Duration::from_hours(24);
        model.set_software("2.1.0", Some(ends_at));
        ends_at
    });
    let monitor = host.start(host.settings(1, "")).await;
    let dashboard = monitor.until_idle(1).await;
    let registration = dashboard.runners[0].runner.registration.as_ref().unwrap();
    assert_eq!(registration.version.as_deref(), Some("2.1.0"));
    // The support is queried as soon as the version is known; the response does not change the
    // dashboard, so there is no event to wait for.
    let warned = async {
        loop {
            let page = monitor
                .get("dashboard.html")
                .await
                .text()
                .unwrap()
                .to_owned();
            if page.contains("its runner software 2.1.0 is supported by GitHub until ") {
                return;
            }
        }
    };
    in_time("the warning on the page", warned).await;
    let metrics = monitor.get("metrics").await;
    let metric = format!(
        "ci_runners_monitor_runner_software_support_end_timestamp_seconds\
         {{profile=\"linux\",version=\"2.1.0\"}} {}.0",
        ends_at.as_seconds()
    );
    let metrics = metrics.text().unwrap();
    assert!(metrics.lines().any(|line| line == metric), "{metrics}");
    monitor.stop().await;
}

#[actix_web::test]
async fn the_metrics_and_the_page_show_runners_and_the_api_status() {
    let (_host, monitor) = with_idle(2).await;
    let answer = monitor.get("metrics").await;
    let metrics = answer.text().unwrap();
    for line in [
        "ci_runners_monitor_ready 1.0",
        r#"ci_runners_monitor_runners_target{profile="linux"} 2.0"#,
        r#"ci_runners_monitor_runners_idle{profile="linux"} 2.0"#,
        "ci_runners_monitor_github_requests_limit 5000.0",
        r#"ci_runners_monitor_github_responses_total{status="201"} 2"#,
        "ci_runners_monitor_github_requests_deferred_total 0",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}: {metrics}"
        );
    }
    let page = monitor.get("").await;
    let page = page.text().unwrap();
    assert!(
        page.contains("Authenticated with a token.") && page.contains(" of 5000 requests "),
        "{page}"
    );
    assert!(!page.contains("github-token-of-the-tests"));
    monitor.stop().await;
}

#[actix_web::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let (_host, monitor) = with_idle(1).await;
    for path in [
        "",
        "dashboard.html",
        "dashboard.json",
        "metrics",
        "healthz",
        "readyz",
        "policy/override",
        "runner/0/screenshot.png",
        "profile/linux/screenshot.png",
        "profile/linux/console.log",
        "boot",
        "image-deps/missing",
    ] {
        let get = monitor.get(path).await;
        let head = monitor.call_with(Method::HEAD, path, &[]).await;
        assert_eq!(head.status, get.status, "{path}");
        for header in ["content-type", "etag", "cache-control"] {
            assert_eq!(head.header(header), get.header(header), "{path} {header}");
        }
        assert!(head.body.is_empty(), "{path}");
    }
    monitor.stop().await;
}

#[actix_web::test]
async fn pages_and_metrics_show_a_take_as_soon_as_it_is_answered() {
    let (_host, monitor) = with_idle(2).await;
    let reserved = |count: usize| {
        format!("ci_runners_monitor_runners_reserved{{profile=\"linux\"}} {count}.0")
    };
    for (count, unique_id) in ["job-a1", "job-b2"].into_iter().enumerate() {
        // Both are cached now.
        for path in ["", "metrics"] {
            let before = monitor.get(path).await;
            assert!(!before.text().unwrap().contains(unique_id));
        }
        monitor.expect_taken(unique_id).await;
        let page = monitor.get("dashboard.html").await;
        assert!(page.text().unwrap().contains(unique_id), "{unique_id}");
        let metrics = monitor.get("metrics").await;
        let metrics = metrics.text().unwrap();
        assert!(metrics.contains(&reserved(count + 1)), "{metrics}");
    }
    monitor.stop().await;
}
