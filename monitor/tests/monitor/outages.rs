//! Tests of outages of GitHub and of the disk, which must not affect busy or idle runners.

use std::ops::Range;

use emulator::{
    Emulator,
    faults::{Edit, Fault, FaultRule, PathMatch},
    model::{JobPhase, NewRunner},
};
use http_client::Method;
use shared::{
    secret::Secret,
    wire::{MonitorDashboard, RunnerStatus},
};

use crate::support::{Host, RUNNERS, Running, ids, in_time, statuses, with_idle};

/// Registers runners of other servers.
fn register_others(host: &Host, numbers: Range<usize>) {
    let scope = "/orgs/acme".parse().unwrap();
    for number in numbers {
        let other = NewRunner {
            name: format!("other-{number}"),
            labels: vec!["x".into()],
            runner_group_id: 1,
        };
        let secret = Secret::new("s");
        let registered = host
            .emulator()
            .model(|it, now| it.register(now, &scope, other, secret));
        registered.unwrap();
    }
}

#[actix_web::test]
async fn a_stalled_response_delays_nothing_else() {
    let (host, monitor) = with_idle(1).await;
    let earlier = host.emulator().requests().all().len();
    // The list only, and not the paths below it.
    let list = PathMatch::Exact(RUNNERS.into());
    let rule = FaultRule::on("GET", list, Fault::StallBody { keep: 10 });
    host.emulator().faults().add(rule).unwrap();
    // A change of the list, because a response 304 has no body that could stall.
    register_others(&host, 0..1);
    let stalled_count = |emulator: &Emulator| {
        let requests = emulator.requests().all();
        let lists = requests[earlier..].iter().filter(|it| {
            let is_list = it.path.starts_with(&format!("{RUNNERS}?"));
            is_list && it.method == "GET" && it.status == Some(200)
        });
        lists.count()
    };
    let stalled = host.emulator().until(|it| stalled_count(it) > 0);
    in_time("the list stalls", stalled).await;

    let label = monitor.expect_taken("job").await.label.unwrap();
    let reserved = monitor.dashboard().await;
    assert_eq!(statuses(&reserved), [RunnerStatus::Reserved]);
    let job = host.queue_job(&label, "true");
    host.until_phase(job, JobPhase::Completed).await;
    // It still stalls, which does not delay the end of the monitor.
    assert_eq!(stalled_count(host.emulator()), 1);
    monitor.stop().await;
}

/// With or without a time after which to retry. Retries after another failure show that enough time has
/// passed.
#[actix_web::test]
async fn a_rate_limited_monitor_sends_no_requests() {
    let refusals = [
        Fault::status(403).with_message("You have exceeded a secondary rate limit."),
        Fault::status(403).with_header("retry-after", "60"),
        Fault::status(429),
        Fault::status(429).with_header("retry-after", "60"),
    ];
    let mut limited = Vec::new();
    for refusal in refusals {
        let host = Host::new();
        let rule = host.break_github("GET", RUNNERS, refusal);
        let monitor = host.start(host.settings(1, "")).await;
        limited.push((host, rule, monitor));
    }
    for (host, rule, _) in &limited {
        host.until_hit(*rule).await;
    }
    let failing = Host::new();
    let rule = failing.break_github("GET", RUNNERS, Fault::status(500));
    let monitor = failing.start(failing.settings(1, "")).await;
    let retried = failing
        .emulator()
        .until(|it| it.faults().hit_count(rule) > 2);
    in_time("the third request", retried).await;
    monitor.stop().await;
    for (host, rule, monitor) in limited {
        assert_eq!(host.emulator().faults().hit_count(rule), 1);
        monitor.stop().await;
    }
}

#[actix_web::test]
async fn no_dashboard_contains_characters_that_deceive() {
    let (host, monitor) = with_idle(1).await;
    let deceptive = "a\u{202e}b\u{2028}c\u{200b}\u{85}d";
    let list = PathMatch::Exact(RUNNERS.into());
    let edits = vec![Edit::new("/runners/0/labels/0/name", deceptive.into())];
    let edited = FaultRule::on("GET", list, Fault::EditJson { edits });
    host.emulator().faults().add(edited).unwrap();
    let has_label = |it: &MonitorDashboard| {
        let registration = it.runners[0].runner.registration.as_ref();
        registration.is_some_and(|it| it.labels[0].name == deceptive)
    };
    monitor.until(has_label).await;
    let refusal = Fault::status(403).with_message(deceptive);
    host.emulator().faults().clear_all();
    host.break_github("GET", RUNNERS, refusal);
    in_time("the problem is shown to strangers", async {
        while !is_shown(&monitor, "github_permission_missing").await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let complete = monitor.call(Method::GET, "dashboard.json").await;
    for (name, response) in [
        ("complete", complete),
        ("public", monitor.get("dashboard.json").await),
        ("page", monitor.get("").await),
        ("metrics", monitor.get("metrics").await),
    ] {
        let text = response.text().unwrap();
        let mut characters = deceptive.chars().filter(|it| !it.is_ascii());
        assert!(!characters.any(|it| text.contains(it)), "{name}: {text}");
    }
    monitor.stop().await;
}

async fn is_shown(monitor: &Running, text: &str) -> bool {
    let dashboard = monitor.get("dashboard.json").await;
    dashboard.text().unwrap().contains(text)
}

#[actix_web::test]
async fn a_runner_that_is_missing_from_all_pages_of_an_inconsistent_list_keeps_its_guest() {
    let host = Host::new();
    register_others(&host, 0..100);
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
    register_others(&host, 100..249);

    // Our runner is the first on page 2. When one of page 1 disappears after that page was sent, ours
    // moves to page 1, and so is on no page that is still requested.
    let vanish = Fault::ThenVanish {
        name: "other-0".into(),
    };
    let rule = FaultRule::on("GET", PathMatch::Exact(RUNNERS.into()), vanish).next(1);
    let rule = host.emulator().faults().add(rule).unwrap();
    host.until_hit(rule).await;
    // Until this list has been read, with at most three attempts, and the next one is requested.
    let request_count = host.emulator().requests().count("GET", RUNNERS);
    let read = host
        .emulator()
        .until(|it| it.requests().count("GET", RUNNERS) > request_count + 9);
    in_time("the list has been read", read).await;
    let dashboard = monitor.dashboard().await;
    assert_eq!(
        (ids(&dashboard), statuses(&dashboard)),
        (vec![0], vec![RunnerStatus::Idle])
    );
    assert_eq!(host.emulator().requests().count("DELETE", RUNNERS), 0);
    monitor.stop().await;
}

#[actix_web::test]
async fn a_disk_that_cannot_be_written_is_a_problem_until_it_can() {
    let (host, monitor) = with_idle(1).await;
    // As on a full disk, the new state cannot be written beside the old one.
    let blocked = host.path("data/monitor.state.new");
    let created = async {
        // Until the state of the idle runner is saved, the new state is there.
        while std::fs::create_dir(&blocked).is_err() {
            tokio::task::yield_now().await;
        }
    };
    in_time("the folder is created", created).await;
    let refused = monitor.take("job-a").await;
    assert_eq!(refused.status, 503, "a take that cannot be saved");
    let is_shown = |dashboard: &MonitorDashboard| {
        let mut problems = dashboard.problems.iter();
        problems.any(|problem| problem.code == "state_not_saved")
    };
    let shown = monitor.until(is_shown).await;
    let idle = |dashboard: &MonitorDashboard| dashboard.profile_runner_counts["linux"].idle;
    assert_eq!(idle(&shown), 0, "a queue is offered no runner");
    std::fs::remove_dir(&blocked).unwrap();
    let usable = |dashboard: &MonitorDashboard| !is_shown(dashboard) && idle(dashboard) == 1;
    monitor.until(usable).await;
    monitor.expect_taken("job-a").await;
    monitor.stop().await;
}

fn has_problem(dashboard: &MonitorDashboard, code: &str, cause: &str) -> bool {
    let mut problems = dashboard.problems.iter();
    problems.any(|problem| problem.code == code && problem.cause.contains(cause))
}

#[actix_web::test]
async fn a_clock_that_differs_from_githubs_is_a_problem_until_it_does_not() {
    let host = Host::new();
    let date = "Sat, 01 Jan 2000 00:00:00 GMT".to_owned();
    let headers = vec![("date".to_owned(), date)];
    let fault = host.break_github("", "/", Fault::SetHeaders { headers });
    let monitor = host.start(host.settings(0, "")).await;
    let is_skewed =
        |dashboard: &MonitorDashboard| has_problem(dashboard, "clock_skewed", "ahead of");
    monitor.until(is_skewed).await;
    host.emulator().faults().clear(fault);
    monitor.until(|dashboard| !is_skewed(dashboard)).await;
    monitor.stop().await;
}

#[actix_web::test]
async fn guests_that_end_at_once_are_a_problem_with_their_exit_status() {
    let host = Host::new();
    let profile = r#"[profiles.linux]
        github_runner_label = "linux-label"
        target_count = 1
        requires_normal_memory = "1G"
        guest = { driver = "command", command = ["sh", "-c", "echo no such disk; exit 3"] }"#;
    let monitor = host.start(host.settings_with(profile, "")).await;
    let shown = monitor
        .until(|dashboard| {
            has_problem(
                dashboard,
                "runners_fail",
                ": its guest ended with exit status 3",
            )
        })
        .await;
    let problem = shown
        .problems
        .iter()
        .find(|it| it.code == "runners_fail")
        .unwrap();
    assert!(
        problem.cause.contains("the last one was runner "),
        "{problem}"
    );
    assert!(
        problem.remedy.contains("http://127.0.0.1:1/runner/"),
        "{problem}"
    );
    for (path, has_output) in [("dashboard.json", false), ("readyz", false), ("", false)] {
        let public = monitor.get(path).await.text().unwrap().to_owned();
        assert!(
            public.contains("ended with exit status 3"),
            "{path}: {public}"
        );
        assert_eq!(
            public.contains("no such disk"),
            has_output,
            "{path}: {public}"
        );
    }
    let complete = monitor.call(Method::GET, "dashboard.json").await;
    assert!(
        complete
            .text()
            .unwrap()
            .contains("last output: no such disk")
    );
    let metrics = monitor.get("metrics").await.text().unwrap().to_owned();
    let counted = "ci_runners_monitor_runner_failures_total{profile=\"linux\",what=\"guest\"} ";
    let line = metrics.lines().find(|line| line.starts_with(counted));
    assert!(line.is_some_and(|line| !line.ends_with(" 0")), "{line:?}");
    let story = monitor.call(Method::GET, "runner/0").await;
    let story: serde_json::Value = story.json().unwrap();
    let events = story["events"].as_array().unwrap();
    let ended = events
        .iter()
        .find(|it| it["event"] == "runner_ended")
        .unwrap();
    assert_eq!(ended["output"], serde_json::json!(["no such disk"]));
    monitor.stop().await;
}

#[actix_web::test]
async fn without_libvirt_profiles_of_processes_work_and_those_of_machines_are_a_problem() {
    let host = Host::new();
    let folder = host.path("profiles/machine");
    std::fs::create_dir_all(&folder).unwrap();
    let template = "<domain><memory>1</memory><devices><disk/></devices></domain>";
    std::fs::write(folder.join("guest.xml"), template).unwrap();
    std::fs::write(folder.join("image.toml"), "disks = \"qcow2\"\n").unwrap();
    let mut settings = host.settings(1, "");
    let machine = r#"
        [profiles.machine]
        github_runner_label = "machine-label"
        target_count = 1
        requires_normal_memory = "4G""#;
    let text = std::fs::read_to_string(&settings.file).unwrap() + machine;
    settings = host.settings_of(&text);
    settings.libvirt_uri = "qemu+unix:///system?socket=/no/such/socket".to_owned();
    let monitor = host.start(settings).await;
    let works = |dashboard: &MonitorDashboard| {
        let idle = dashboard.profile_runner_counts["linux"].idle == 1;
        idle && has_problem(dashboard, "guests_not_listed", "no virtual machines")
    };
    monitor.until(works).await;
    let taken = monitor.expect_taken("job").await;
    let job = host.queue_job(&taken.label.unwrap(), "true");
    host.until_phase(job, JobPhase::Completed).await;
    // The next one replaces it.
    monitor
        .until(|dashboard| works(dashboard) && !ids(dashboard).contains(&taken.id))
        .await;
    monitor.stop().await;
}

#[actix_web::test]
async fn credentials_that_are_rejected_are_one_problem_which_names_its_consequences() {
    let (host, monitor) = with_idle(1).await;
    let fault = host.break_github("", "/", Fault::status(401).with_message("Bad credentials"));
    let rejected = |dashboard: &MonitorDashboard| {
        has_problem(dashboard, "github_credentials_rejected", "none are created")
    };
    let shown = monitor.until(rejected).await;
    let codes: Vec<_> = shown.problems.iter().map(|it| &*it.code).collect();
    assert_eq!(codes, ["github_credentials_rejected"]);
    host.emulator().faults().clear(fault);
    monitor
        .until(|dashboard| dashboard.problems.is_empty())
        .await;
    monitor.stop().await;
}
