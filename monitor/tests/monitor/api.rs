//! Tests of the dashboard, pages, health checks and methods.

use std::time::Duration;

use emulator::faults::Fault;
use http_client::Method;
use serde_json::Value;
use shared::{
    clock::Timestamp,
    secret::Secret,
    wire::{MonitorDashboard, RunnerStatus},
};

use crate::support::{
    API_TOKEN, Host, JOB, RUNNERS, bearer, expect_refusal, in_time, statuses, with_idle,
    with_idle_and,
};

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
async fn strangers_see_no_label_no_reservation_and_no_name_of_a_job() {
    let (_host, monitor) = with_idle(3).await;
    monitor.expect_taken("job-with-own-label").await;
    let job = "unique_id=job-by-name&qualified_repo=acme/app&run_id=7";
    let path = format!("profile/linux/take?{job}");
    let taken = monitor.call(Method::POST, &path).await;
    assert_eq!(taken.status, 200);
    // GitHub's list shows the labels of the reservation.
    let is_labelled = |it: &MonitorDashboard| {
        let json = serde_json::to_string(it).unwrap();
        json.contains("reserved-for:job-by-name")
    };
    monitor.until(is_labelled).await;
    let complete = monitor.call(Method::GET, "dashboard.json").await;
    let shown = complete.text().unwrap().to_owned();
    let dashboard: MonitorDashboard = complete.json().unwrap();
    assert_eq!(dashboard.reservations.as_ref().map(|it| it.len()), Some(2));
    let labels: Vec<String> = dashboard
        .runners
        .iter()
        .flat_map(|it| it.runner.registration.clone().unwrap().labels)
        .map(|label| label.name)
        .filter(|name| name.contains(':'))
        .collect();
    assert!(labels.len() > 3, "{labels:?}");
    for secret in labels.iter().map(String::as_str).chain(["job-by-name"]) {
        assert!(
            shown.contains(secret),
            "the complete dashboard has {secret}"
        );
    }
    let paths = [
        "",
        "dashboard.html",
        "dashboard.json",
        "metrics",
        "policy/override",
    ];
    for path in paths
        .into_iter()
        .chain(["readyz", "healthz", "runner/0/screenshot.png"])
    {
        let response = monitor.get(path).await;
        let text = response.text().unwrap();
        let secrets = ["reserved-for", "job-with-own-label", "job-by-name"];
        for secret in labels.iter().map(String::as_str).chain(secrets) {
            assert!(!text.contains(secret), "{path} shows {secret}: {text}");
        }
    }
    let public: Value = monitor.get("dashboard.json").await.json().unwrap();
    let complete: Value = complete.json().unwrap();
    // Readers that know the keys find them.
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&public), keys(&complete));
    assert_eq!(
        public["profile_runner_counts"],
        complete["profile_runner_counts"]
    );
    for (public, complete) in std::iter::zip(
        public["runners"].as_array().unwrap(),
        complete["runners"].as_array().unwrap(),
    ) {
        assert_eq!(keys(public), keys(complete));
        let registration = "/runner/registration";
        let (public, complete) = (public.pointer(registration), complete.pointer(registration));
        assert_eq!(keys(public.unwrap()), keys(complete.unwrap()));
    }
    monitor.stop().await;
}

#[actix_web::test]
async fn each_view_of_the_dashboard_has_an_etag_of_its_own() {
    let (_host, monitor) = with_idle(1).await;
    let token = bearer(API_TOKEN);
    let get = async |is_authorised: bool, etag: &str| {
        let mut headers = vec![("if-none-match", etag)];
        if is_authorised {
            headers.push(("authorization", token.as_str()));
        }
        let response = monitor
            .call_with(Method::GET, "dashboard.json", &headers)
            .await;
        assert_eq!(response.header("vary"), Some("authorization"));
        (
            response.status.as_u16(),
            response.header("etag").unwrap().to_owned(),
        )
    };
    let (_, public) = get(false, "").await;
    let (_, complete) = get(true, "").await;
    // Nor does one contain the `instance` of the other, by which a queue recognises this monitor.
    let random = |etag: &str| etag.split('-').next().unwrap().to_owned();
    assert_ne!(random(&public), random(&complete));
    let instance = monitor.dashboard().await.instance.unwrap();
    assert!(complete.contains(&instance));
    let text = monitor
        .get("dashboard.json")
        .await
        .text()
        .unwrap()
        .to_owned();
    assert!(!text.contains(&instance), "{text}");
    for (is_authorised, etag, status) in [
        (false, &public, 304),
        (false, &complete, 200),
        (true, &public, 200),
        (true, &complete, 304),
    ] {
        assert_eq!(
            get(is_authorised, etag).await.0,
            status,
            "{is_authorised} {etag}"
        );
    }
    monitor.stop().await;
}

#[actix_web::test]
async fn the_token_of_the_queue_allows_takes_releases_and_reports_only() {
    let host = Host::new();
    let mut settings = host.settings(1, "");
    settings.secrets.queue_tokens = vec![Secret::new("queue-token"), Secret::new("former")];
    let monitor = host.start(settings).await;
    for token in ["queue-token", "former"] {
        monitor.until_idle(1).await;
        let token = bearer(token);
        let call = async |method: Method, path: &str| {
            let headers = [
                ("authorization", token.as_str()),
                ("accept", "application/json"),
            ];
            monitor.call_with(method, path, &headers).await
        };
        let taken = call(
            Method::POST,
            &format!("profile/linux/take?unique_id=job&{JOB}"),
        )
        .await;
        assert_eq!(taken.status, 200);
        let report: MonitorDashboard = call(Method::GET, "dashboard.json").await.json().unwrap();
        assert_eq!(report.reservations.map(|it| it.len()), Some(1));
        for (method, path) in [
            (Method::DELETE, "runner/0"),
            (Method::GET, "runner/0/console.log"),
            (Method::POST, "policy/override?linux=1"),
            (Method::DELETE, "policy/override"),
        ] {
            expect_refusal(&call(method, path).await, 403, "wrong_token", path);
        }
        assert_eq!(call(Method::DELETE, "reservation/job").await.status, 204);
    }
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
            // The public id of the job.
            "9ca94fa34be5634b",
            "ci-runner-linux.0",
            "create runner 0",
        ] {
            assert!(text.contains(part), "{path}: {part}");
        }
        // Links may lead to them.
        let loaded = text.replace("<a href=\"http", "");
        assert!(
            !loaded.contains("http://") && !loaded.contains("https://"),
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
        r#"ci_runners_monitor_runners{profile="linux",state="idle"} 2.0"#,
        "ci_runners_monitor_github_requests_limit 5000.0",
        "ci_runners_monitor_github_requests_deferred_total 0",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}: {metrics}"
        );
    }
    // Their number is that of all tests in this process.
    let is_registration = |line: &str| {
        line.starts_with("ci_runners_monitor_github_requests_total")
            && line.contains("generate-jitconfig\",status=\"201\"}")
    };
    assert!(metrics.lines().any(is_registration), "{metrics}");
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
        format!("ci_runners_monitor_runners{{profile=\"linux\",state=\"reserved\"}} {count}.0")
    };
    // Names of jobs with their public ids.
    let jobs = [
        ("job-a1", "6e5d922b8f897382"),
        ("job-b2", "473effb16eb38341"),
    ];
    for (count, (unique_id, public_id)) in jobs.into_iter().enumerate() {
        // Both are cached now.
        for path in ["", "metrics"] {
            let before = monitor.get(path).await;
            assert!(!before.text().unwrap().contains(public_id));
        }
        monitor.expect_taken(unique_id).await;
        let page = monitor.get("dashboard.html").await;
        assert!(page.text().unwrap().contains(public_id), "{unique_id}");
        let metrics = monitor.get("metrics").await;
        let metrics = metrics.text().unwrap();
        assert!(metrics.contains(&reserved(count + 1)), "{metrics}");
    }
    monitor.stop().await;
}
