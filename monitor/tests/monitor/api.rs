//! The rest of the API: dashboard, pages, health, and what is not there.

use std::time::Duration;

use emulator::faults::Fault;
use http_client::Method;
use shared::wire::RunnerStatus;

use crate::support::{Host, RUNNERS, code, in_time, statuses};

#[actix_web::test]
async fn before_the_first_look_the_monitor_lives_but_is_not_ready() {
    let host = Host::new();
    let held = host.break_github("GET", RUNNERS, Fault::HoldAnswer);
    let monitor = host.start(host.settings(1, "")).await;
    in_time(
        "the list to be asked for",
        host.emulator().until(|it| it.faults().hit_count(held) > 0),
    )
    .await;
    for path in ["dashboard.json", "readyz"] {
        let answer = monitor
            .call_with(Method::GET, path, &[("accept", "application/json")])
            .await;
        assert_eq!(
            (answer.status.as_u16(), code(&answer)),
            (503, "not_ready".into()),
            "{path}"
        );
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(monitor.take("job").await.status, 503);
    assert_eq!(monitor.get("healthz").await.status, 200);
    let page = monitor.get("").await;
    let page = page.text().unwrap();
    for part in ["has not seen its runners yet", "Asked as a token."] {
        assert!(page.contains(part), "{part}: {page}");
    }
    host.emulator().faults().clear_all();
    monitor.until_idle(1).await;
    assert_eq!(monitor.get("readyz").await.status, 200);
    monitor.stop().await;
}

#[actix_web::test]
async fn the_dashboard_is_held_until_something_changes() {
    let host = Host::new();
    let monitor = host
        .start(host.settings(1, "api_cache_timeout = 3600"))
        .await;
    monitor.until_idle(1).await;
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
    let (held, taken) = tokio::join!(held, monitor.taken("job"));
    assert_eq!(held.status, 200);
    assert_ne!(held.header("etag"), Some(etag.as_str()));
    assert_eq!(statuses(&held.json().unwrap()), [RunnerStatus::Reserved]);
    assert_eq!(taken.id, 0);
    monitor.stop().await;
}

#[actix_web::test]
async fn the_pages_show_profiles_and_runners_and_load_nothing_from_elsewhere() {
    let host = Host::new();
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
    monitor.taken("job-on-the-page").await;
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
async fn other_paths_and_methods_are_refused() {
    let host = Host::new();
    let monitor = host.start(host.settings(0, "")).await;
    for (method, path, status, allow) in [
        (Method::GET, "nothing", 404, None),
        (Method::GET, "profile/linux/take", 405, Some("POST")),
        (Method::POST, "dashboard.json", 405, Some("GET")),
        (
            Method::PUT,
            "policy/override",
            405,
            Some("GET, POST, DELETE"),
        ),
        (Method::GET, "reservation/a", 405, Some("DELETE")),
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
async fn runner_software_whose_support_ends_is_warned_of() {
    let host = Host::new();
    host.emulator().model(|model, now| {
        model.set_software("2.1.0", Some(now + Duration::from_hours(24)));
    });
    let monitor = host.start(host.settings(1, "")).await;
    let dashboard = monitor.until_idle(1).await;
    let registration = dashboard.runners[0].runner.registration.as_ref().unwrap();
    assert_eq!(registration.version.as_deref(), Some("2.1.0"));
    // The question goes out as soon as the version is known; no change of the dashboard tells of
    // the answer.
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
    let name = r#"ci_runners_monitor_runner_software_seconds{profile="linux",version="2.1.0"} "#;
    let mut lines = metrics.text().unwrap().lines();
    let seconds = lines.find_map(|line| line.strip_prefix(name)).unwrap();
    assert!(
        (0.0..=86_400.0).contains(&seconds.parse::<f64>().unwrap()),
        "{seconds}"
    );
    monitor.stop().await;
}

#[actix_web::test]
async fn the_metrics_and_the_page_say_how_it_stands_with_runners_and_github() {
    let host = Host::new();
    let monitor = host.start(host.settings(2, "")).await;
    monitor.until_idle(2).await;
    let answer = monitor.get("metrics").await;
    let metrics = answer.text().unwrap();
    for line in [
        "ci_runners_monitor_has_looked 1.0",
        r#"ci_runners_monitor_runners_target{profile="linux"} 2.0"#,
        r#"ci_runners_monitor_runners_idle{profile="linux"} 2.0"#,
        "ci_runners_monitor_github_requests_limit 5000.0",
        r#"ci_runners_monitor_github_answers_total{status="201"} 2"#,
        "ci_runners_monitor_github_held_back_total 0",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}: {metrics}"
        );
    }
    let page = monitor.get("").await;
    let page = page.text().unwrap();
    assert!(
        page.contains("Asked as a token.") && page.contains(" of 5000 requests are left"),
        "{page}"
    );
    assert!(!page.contains("github-token-of-the-tests"));
    monitor.stop().await;
}
