//! Snapshot tests of the page, the JSON and the metrics.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use daemon::{problems, repeated::Totals};
use github::{ApiStatus, RateLimit};
use monitor_core::{ActionLog, ImageView, SoftwareView, View};
use shared::{
    clock::Timestamp,
    operator::Intervention,
    problem::{Problem, catalogue},
    registration::{Label, Registration, RegistrationStatus},
    software::Support,
    values::{ProfileKey, UniqueId},
    wire::{
        Amounts, DashboardRunner, HostUse, JobOnRunner, MissingRunners, MonitorDashboard,
        ProfileUse, ReservationReport, ReservationState, Runner, RunnerCounts, RunnerStatus,
        TargetOverride,
    },
};

use super::{
    metrics, page,
    snapshot::{Links, Rendered, Snapshot},
};
use crate::{runner_metrics::EVENT_METRICS, shared_core::PublishedView};

/// 2027-01-15 08:00:00 UTC.
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn ago(seconds: u64) -> Timestamp {
    NOW - Duration::from_secs(seconds)
}

fn linux() -> ProfileKey {
    "linux".parse().unwrap()
}

fn runner(id: u64, status: RunnerStatus) -> DashboardRunner {
    let name = format!("ci-runner-linux.{id}");
    DashboardRunner {
        id,
        screenshot_url: Some(format!("http://host/runner/{id}/screenshot.png")),
        runner: Runner {
            id,
            created_time: UNIX_EPOCH + Duration::from_secs(1_799_999_000),
            registration: Some(Registration {
                id: 100 + id,
                name: format!("{name}@host"),
                status: RegistrationStatus::Online,
                busy: false,
                labels: vec![Label {
                    name: format!("runner:{id}"),
                }],
                version: Some("2.337.0".to_owned()),
            }),
            guest_name: Some(name),
            ipv4_address: Some([192, 168, 100, 7].into()),
        },
        profile_key: Some(linux()),
        status: Some(status),
        status_since: Some(ago(600)),
        job: (status == RunnerStatus::Reserved).then(|| JobOnRunner {
            public_id: Some("job".parse::<UniqueId>().unwrap().public_id()),
            qualified_repo: "servo/servo".parse().unwrap(),
            run_id: "42".parse().unwrap(),
        }),
    }
}

/// Two runners, of which one is reserved, and the build of an image.
fn host() -> HostUse {
    let amounts = |hugepages_1g, gib: u64| Amounts {
        hugepages_1g,
        memory_bytes: gib << 30,
    };
    let of_linux = ProfileUse {
        busy: amounts(0, 0),
        reserved: amounts(4, 2),
        other: amounts(4, 2),
        build: amounts(4, 3),
    };
    HostUse {
        capacity: amounts(16, 8),
        free: amounts(4, 1),
        profiles: BTreeMap::from([(linux(), of_linux)]),
    }
}

fn problems() -> Vec<Problem> {
    vec![catalogue::RUNNER_NOT_DESTROYED.problem(
        "runner linux.1",
        "destroying it has failed 3 times",
        "read the log",
        ago(60),
    )]
}

/// What an operator has ordered so many seconds ago.
fn order(seconds: u64, note: &str) -> Intervention {
    Intervention {
        since: ago(seconds),
        note: note.to_owned(),
        author: "alice@laptop".to_owned(),
        client_address: Some([192, 0, 2, 1].into()),
    }
}

/// A view with everything that a page can show.
fn view() -> View {
    let counts = RunnerCounts {
        target: 3,
        healthy: 2,
        idle: 1,
        reserved: 1,
        wanted: 1,
        ..RunnerCounts::default()
    };
    let unique_id: UniqueId = "job".parse().unwrap();
    let reservation = ReservationReport {
        runners: vec![1],
        state: ReservationState::Held,
        attempt: 7,
        enqueued_at: Some(ago(20)),
        proof: None,
    };
    View {
        dashboard: MonitorDashboard {
            drain: Some(order(600, "new memory")),
            missing: BTreeMap::from([(
                linux(),
                MissingRunners {
                    count: 2,
                    reason: "alice@laptop drained it at 2027-01-15T07:50:00Z (new memory)".into(),
                },
            )]),
            delayed: BTreeMap::new(),
            rebuilds: [(linux(), order(300, "new packages"))].into(),
            target_override: Some(TargetOverride {
                targets: [(linux(), 3)].into(),
                order: order(120, "a <fair>"),
            }),
            host: Some(host()),
            instance: Some("00ff".to_owned()),
            profile_runner_counts: [(linux(), counts)].into(),
            runners: vec![
                runner(0, RunnerStatus::Idle),
                runner(1, RunnerStatus::Reserved),
            ],
            reservations: Some([(unique_id.clone(), reservation)].into()),
            problems: problems(),
        },
        reserved_for: [(1, unique_id)].into(),
        created_at: [(0, ago(1000)), (1, ago(10))].into(),
        images: [(
            linux(),
            ImageView {
                built_at: Some(ago(90_000)),
                rebuilt_since: Some(ago(60)),
                failure_count: 2,
                failure: Some("start guest ci-rebuild-linux".to_owned()),
            },
        )]
        .into(),
        software: [(
            linux(),
            SoftwareView {
                version: "2.337.0".to_owned(),
                support: Some(Support::Until(NOW + Duration::from_secs(86_400))),
            },
        )]
        .into(),
        capacity_warnings: vec!["a warning about the capacity".to_owned()],
        action_log: ActionLog {
            actions: VecDeque::from([(ago(10), "create runner 1 of linux".to_owned())]),
            shortfalls: vec!["1 runner of linux: no capacity".to_owned()],
        },
    }
}

fn api_status() -> ApiStatus {
    ApiStatus {
        authenticated_with: "a token".to_owned(),
        renews_automatically: false,
        permissions: BTreeMap::from([("administration".to_owned(), "write".to_owned())]),
        token_expires_at: Some(NOW + Duration::from_secs(7 * 86_400)),
        rate_limit: Some(RateLimit {
            limit: 5000,
            remaining: 4990,
            reset_at: NOW + Duration::from_secs(600),
            resource: "core".to_owned(),
        }),
        // One status only: the order of several is random.
        responses: BTreeMap::from([(200, 9)]),
        failed_request_count: 2,
        deferred_request_count: 1,
    }
}

fn snapshot(view: Option<View>) -> Snapshot {
    Snapshot {
        now: NOW,
        unready: view.is_none().then(|| "GitHub does not answer".to_owned()),
        published: view.map(|view| {
            Arc::new(PublishedView {
                etag: "W/\"etag\"".to_owned(),
                view,
                revision: 1,
                changed_at: ago(5),
            })
        }),
        problems: problems(),
        github: api_status(),
        links: Arc::new(Links {
            host_name: "ci-a".to_owned(),
            queue_url: Some("https://ci.example/".to_owned()),
            github_web_url: "https://github.com/".to_owned(),
        }),
        refused: Totals::from([("wrong_token", 7)]),
        page: Rendered::default(),
        live_part: Rendered::default(),
        public_dashboard: Rendered::default(),
        metrics: Rendered::default(),
        ready: Rendered::default(),
    }
}

fn live_part(snapshot: &Snapshot) -> String {
    page::render_live_part(snapshot).into()
}

/// With a line break after each closing tag, so that a difference is readable.
fn lines(html: &str) -> String {
    html.replace("</", "\n</").replace("><", ">\n<")
}

#[test]
fn the_page_shows_everything_about_the_server() {
    let page = live_part(&snapshot(Some(view())));
    insta::assert_snapshot!(lines(&page));
}

#[test]
fn the_page_shows_the_api_status_before_the_first_poll() {
    let page = live_part(&snapshot(None));
    insta::assert_snapshot!(lines(&page));
}

#[test]
fn the_whole_page_contains_the_live_part() {
    let snapshot = snapshot(Some(view()));
    let page = page::render_page(&snapshot).into_string();
    for part in [
        problems::render(&snapshot.problems, NOW),
        page::render_content(&snapshot),
    ] {
        assert!(page.contains(&part.into_string()));
    }
}

#[test]
fn the_metrics_have_all_names_and_labels() {
    insta::assert_snapshot!(metrics_of_the_state(&snapshot(Some(view()))));
}

/// The metrics, without those of the process and of events, which differ from run to run. In the order of their
/// names: values with different labels are in the order of a hash map.
fn metrics_of_the_state(snapshot: &Snapshot) -> String {
    let text = metrics::render(snapshot);
    let of_events = EVENT_METRICS.map(|metric| metric.name);
    let of_process = [
        "process_",
        "http_requests",
        "alarms",
        "build_info",
        "github_request",
    ];
    let is_shown = |line: &&str| {
        let mut left_out = of_events.iter().chain(&of_process);
        !left_out.any(|name| line.contains(name)) || line.contains("github_requests_remaining")
    };
    let mut lines: Vec<&str> = text.lines().filter(is_shown).collect();
    let name_in = |line: &str| {
        let line = line
            .trim_start_matches("# HELP ")
            .trim_start_matches("# TYPE ");
        line.split(['{', ' ']).next().unwrap_or_default().to_owned()
    };
    lines.sort_by_key(|line| (name_in(line), line.starts_with("ci"), (*line).to_owned()));
    lines.join("\n")
}

#[test]
fn the_metrics_before_the_first_poll_have_the_api_status() {
    insta::assert_snapshot!(metrics_of_the_state(&snapshot(None)));
}

#[test]
fn the_json_has_the_keys_that_queues_and_scripts_use() {
    let dashboard = view().dashboard_at(NOW);
    let json = serde_json::to_string_pretty(&dashboard).unwrap();
    insta::assert_snapshot!(json);
}

#[test]
fn the_expiry_of_a_token_is_shown_unless_the_token_is_renewed() {
    let page = |renews_automatically| {
        let mut snapshot = snapshot(None);
        snapshot.github.renews_automatically = renews_automatically;
        live_part(&snapshot)
    };
    assert!(page(false).contains("Authenticated with a token, until 2027-01-22."));
    assert!(page(true).contains("Authenticated with a token."));
}
