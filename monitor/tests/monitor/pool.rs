//! Tests of the pool: runners are created, run a job, and are replaced.

use std::{fs, time::Duration};

use emulator::{
    faults::Fault,
    model::{JobPhase, ListMode},
};
use http_client::Method;
use serde_json::{Value, json};
use shared::wire::RunnerStatus;

use crate::support::{
    API_TOKEN, Host, JOB, RUNNERS, bearer, expect_refusal, ids, in_time, statuses, until_file,
    with_idle, with_idle_and,
};

#[actix_web::test]
async fn a_runner_runs_one_job_and_is_replaced() {
    let (host, monitor) = with_idle(2).await;
    let taken = monitor.expect_taken("job").await;
    let label = taken.label.unwrap();
    assert!(label.starts_with("runner:"), "{label}");
    let job = host.queue_job(&label, "true");
    host.until_phase(job, JobPhase::Completed).await;
    let dashboard = monitor
        .until(|dashboard| {
            statuses(dashboard) == [RunnerStatus::Idle; 2] && !ids(dashboard).contains(&taken.id)
        })
        .await;
    let other = 1 - taken.id;
    assert_eq!(ids(&dashboard), [other, 2]);
    // Nothing is left of the first runner.
    let folders = host.guest_folders();
    assert_eq!(
        folders,
        [
            format!("ci-runner-linux.{other}"),
            "ci-runner-linux.2".into()
        ]
    );
    monitor.stop().await;
}

#[actix_web::test]
async fn a_restarted_monitor_finds_its_guests_and_reservations() {
    let (host, monitor) = with_idle(2).await;
    let first = monitor.expect_taken("job").await;
    monitor.stop().await;
    let monitor = host.start(host.settings(2, "")).await;
    let second = monitor.expect_taken("job").await;
    assert_eq!((first.id, &first.label), (second.id, &second.label));
    let dashboard = monitor
        .until(|dashboard| statuses(dashboard).len() == 2)
        .await;
    assert_eq!(ids(&dashboard), [0, 1]);
    let registered = host.emulator().requests().count("POST", RUNNERS);
    assert_eq!(registered, 2, "no runner was registered again");
    monitor.stop().await;
}

#[actix_web::test]
async fn a_busy_runner_whose_profile_was_removed_finishes_its_job() {
    let (host, monitor) = with_idle(1).await;
    let label = monitor.expect_taken("job").await.label.unwrap();
    let job = host.queue_job(&label, &host.command_until("end"));
    monitor
        .until(|dashboard| statuses(dashboard) == [RunnerStatus::Busy])
        .await;
    monitor.stop().await;

    let monitor = host.start(host.settings_with("", "")).await;
    let dashboard = monitor
        .until(|dashboard| !dashboard.runners.is_empty())
        .await;
    assert_eq!(dashboard.profile_runner_counts["linux"].target, 0);
    let is_in_progress = |_: &_| host.phase(job) == JobPhase::InProgress;
    monitor.until(is_in_progress).await;
    fs::write(host.path("end"), "").unwrap();
    host.until_phase(job, JobPhase::Completed).await;
    monitor.until_idle(0).await;
    monitor.stop().await;
}

/// GitHub refuses to remove the registration of a busy runner, whose guest then must stay.
#[actix_web::test]
async fn a_job_that_the_list_of_runners_does_not_show_yet_is_not_killed() {
    let (host, monitor) = with_idle_and(1, "monitor_reserve_timeout = \"300ms\"").await;
    host.emulator()
        .model(|model, now| model.set_list_mode(now, ListMode::Frozen));
    let label = monitor.expect_taken("job").await.label.unwrap();
    let job = host.queue_job(&label, &host.command_until("end"));
    host.until_phase(job, JobPhase::InProgress).await;
    // The reservation times out, and GitHub refuses to remove the registration.
    monitor
        .until(|dashboard| statuses(dashboard) == [RunnerStatus::Busy])
        .await;
    assert_eq!(host.guest_folders(), ["ci-runner-linux.0"]);
    fs::write(host.path("end"), "").unwrap();
    host.until_phase(job, JobPhase::Completed).await;
    host.emulator()
        .model(|model, now| model.set_list_mode(now, ListMode::Live));
    monitor.until_idle(1).await;
    monitor.stop().await;
}

#[actix_web::test]
async fn a_reserved_runner_whose_job_does_not_start_is_replaced() {
    let (_host, monitor) = with_idle_and(1, "monitor_reserve_timeout = \"200ms\"").await;
    monitor.expect_taken("job").await;
    let dashboard = monitor
        .until(|it| ids(it) == [1] && statuses(it) == [RunnerStatus::Idle])
        .await;
    assert_eq!(dashboard.reservations.map(|it| it.len()), Some(0));
    assert_eq!(
        monitor.expect_taken("job").await.id,
        1,
        "the job can take another runner"
    );
    monitor.stop().await;
}

#[actix_web::test]
async fn polls_continue_after_any_failure_of_github() {
    let (host, monitor) = with_idle(1).await;
    for fault in [
        Fault::status(401),
        Fault::status(403).with_header("retry-after", "1"),
        Fault::status(429).with_header("retry-after", "1"),
        Fault::status(500),
        Fault::status(502),
        Fault::DropAnswer,
        Fault::TruncateBody { keep: 10 },
    ] {
        let fault = host.break_github("", "/orgs/acme", fault);
        host.until_hit(fault).await;
        assert_eq!(statuses(&monitor.dashboard().await), [RunnerStatus::Idle]);
        assert_eq!(monitor.get("healthz").await.status, 200);
        host.emulator().faults().clear_all();
        let request_count = host.emulator().requests().all().len();
        in_time(
            "GitHub is polled again",
            host.emulator()
                .until(|it| it.requests().all().len() > request_count),
        )
        .await;
    }
    monitor.expect_taken("job").await;
    monitor.stop().await;
}

#[actix_web::test]
async fn a_failed_registration_leaves_nothing_behind_and_is_retried() {
    for fault in [Fault::status(500), Fault::DropAnswer, Fault::DropRequest] {
        let host = Host::new();
        let rule = host.break_github(
            "POST",
            "/orgs/acme/actions/runners/generate-jitconfig",
            fault,
        );
        let monitor = host.start(host.settings(1, "")).await;
        host.until_hit(rule).await;
        host.emulator().faults().clear_all();
        monitor.until_idle(1).await;
        let names = host.emulator().model(|model, now| {
            let scope = "/orgs/acme".parse().unwrap();
            let page = emulator::model::PageRequest::new(None, None);
            let page = model.runners(now, &scope, None, page);
            page.items
                .into_iter()
                .map(|runner| runner.name)
                .collect::<Vec<_>>()
        });
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(host.guest_folders().len(), 1);
        monitor.stop().await;
    }
}

#[actix_web::test]
async fn temporary_targets_can_be_set_shown_and_cancelled() {
    let (_host, monitor) = with_idle(1).await;
    let show = async || {
        monitor
            .get("policy/override")
            .await
            .text()
            .unwrap()
            .to_owned()
    };
    assert_eq!(show().await, "null");
    let set = monitor.call(Method::POST, "policy/override?linux=3").await;
    assert_eq!(
        (set.status.as_u16(), set.text().unwrap()),
        (200, r#"{"linux":3}"#)
    );
    monitor.until_idle(3).await;
    assert_eq!(show().await, r#"{"linux":3}"#);
    for (path, status, expected) in [
        ("policy/override?linux=9", 422, "unsatisfiable"),
        ("policy/override?macos=1", 404, "unknown_profile"),
        ("policy/override?linux=x", 400, "bad_request"),
        ("policy/override", 400, "bad_request"),
    ] {
        let refused = monitor.call(Method::POST, path).await;
        expect_refusal(&refused, status, expected, path);
    }
    let cancelled = monitor.call(Method::DELETE, "policy/override").await;
    assert_eq!(cancelled.text().unwrap(), r#"{"linux":3}"#);
    monitor.until_idle(1).await;
    assert_eq!(show().await, "null");
    monitor.stop().await;
}

#[actix_web::test]
async fn a_server_can_be_drained_and_says_so() {
    let (_host, monitor) = with_idle(1).await;
    let show = async || -> Value { monitor.get("policy/drain").await.json().unwrap() };
    assert_eq!(show().await, Value::Null);
    let unauthorised = monitor.call_with(Method::POST, "policy/drain", &[]).await;
    expect_refusal(&unauthorised, 401, "unauthorised", "without a token");
    let long = format!("policy/drain?note={}", "x".repeat(201));
    let refused = monitor.call(Method::POST, &long).await;
    expect_refusal(&refused, 400, "bad_request", "a long note");
    let headers = [
        ("authorization", &*bearer(API_TOKEN)),
        ("ci-runners-author", "J%C3%B6rg@laptop"),
    ];
    let drained = monitor
        .call_with(Method::POST, "policy/drain?note=new%20memory", &headers)
        .await;
    let drained: Value = drained.json().unwrap();
    assert_eq!(drained["note"], "new memory");
    assert_eq!(drained["author"], "Jörg@laptop");
    assert_eq!(drained["client_address"], "127.0.0.1");
    let headers = [headers[0], ("ci-runners-author", &*"x".repeat(101))];
    let refused = monitor
        .call_with(Method::POST, "policy/drain", &headers)
        .await;
    expect_refusal(&refused, 400, "bad_request", "a long author");
    let with_token = monitor.call(Method::GET, "policy/drain").await;
    assert_eq!(with_token.json::<Value>().unwrap(), drained);
    let stranger = show().await;
    assert_eq!(stranger["note"], "new memory");
    assert_eq!(stranger["author"], "Jörg@laptop");
    assert_eq!(stranger["client_address"], Value::Null);
    let dashboard = monitor
        .until(|dashboard| dashboard.runners.is_empty())
        .await;
    let missing = &dashboard.missing["linux"];
    assert_eq!(missing.count, 1);
    let reason = &missing.reason;
    assert!(
        reason.starts_with("Jörg@laptop drained it at 20"),
        "{reason}"
    );
    assert!(reason.ends_with("Z (new memory)"), "{reason}");
    let page = monitor.get("").await.text().unwrap().to_owned();
    assert!(page.contains("(new memory). It keeps no runners"), "{page}");
    let take = format!("profile/linux/take?unique_id=other&{JOB}");
    let headers = [
        ("authorization", &*bearer(API_TOKEN)),
        ("accept", "application/json"),
    ];
    let take = monitor.call_with(Method::POST, &take, &headers).await;
    expect_refusal(&take, 503, "no_capacity", "a take");
    assert!(take.text().unwrap().contains("drained"), "{take:?}");
    let ended = monitor.call(Method::DELETE, "policy/drain").await;
    assert_eq!(ended.json::<Value>().unwrap(), drained);
    assert_eq!(monitor.until_idle(1).await.missing.len(), 0);
    monitor.stop().await;
}

#[actix_web::test]
async fn the_rebuild_of_an_image_that_is_not_built_here_is_refused() {
    let (_host, monitor) = with_idle(1).await;
    let path = "image/linux/rebuild";
    let unauthorised = monitor.call_with(Method::POST, path, &[]).await;
    expect_refusal(&unauthorised, 401, "unauthorised", "without a token");
    let refused = monitor.call(Method::POST, path).await;
    expect_refusal(&refused, 404, "not_found", "a profile of processes");
    let refused = monitor.call(Method::POST, "image/windows/rebuild").await;
    expect_refusal(&refused, 404, "unknown_profile", "an unknown profile");
    let cancelled = monitor.call(Method::DELETE, path).await;
    assert_eq!(cancelled.text().unwrap(), "null");
    monitor.stop().await;
}

#[actix_web::test]
async fn a_target_is_in_force_after_a_reload_and_a_mistake_changes_nothing() {
    let (host, monitor) = with_idle(1).await;
    let unauthorised = monitor.call_with(Method::POST, "reload", &[]).await;
    expect_refusal(&unauthorised, 401, "unauthorised", "without a token");
    let file = host.path("monitor.toml");
    let valid = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{valid}\ntarget_count = 3")).unwrap();
    let refused = monitor.call(Method::POST, "reload").await;
    expect_refusal(&refused, 422, "invalid_settings", "a repeated key");
    let until_problem = async |is_there| {
        in_time("the problem begins or ends", async {
            while is_there
                != monitor
                    .get("readyz")
                    .await
                    .text()
                    .unwrap()
                    .contains("settings_not_reloaded")
            {}
        })
        .await;
    };
    until_problem(true).await;

    // A profile that is added, and what only a queue uses.
    let more = "\n[profiles.macos]\ngithub_runner_label = 'm'\ntarget_count = 1\nrequires_normal_memory = '1G'\n[queue]\nservers = ['http://ci1']\n";
    host.settings(2, "queue_member = true");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + more).unwrap();
    let reloaded: Value = monitor.call(Method::POST, "reload").await.json().unwrap();
    let expected = json!({
        "applied": ["profiles.linux.target_count"],
        "needs_restart": [
            "profiles.macos.github_runner_label",
            "profiles.macos.requires_normal_memory",
            "profiles.macos.target_count",
            "queue_member",
        ],
    });
    assert_eq!(reloaded, expected);
    monitor.until_idle(2).await;
    until_problem(false).await;
    monitor.stop().await;
}

/// Without the saved state, ids could be assigned a second time.
#[actix_web::test]
async fn an_unreadable_state_stops_the_start() {
    let host = Host::new();
    fs::create_dir(host.path("data")).unwrap();
    fs::write(
        host.path("data/monitor.state"),
        "{\"version\": 1, \"intent\": {\"next",
    )
    .unwrap();
    let error = host.try_start(host.settings(1, "")).await.err().unwrap();
    let message = error.to_string();
    assert!(
        message.starts_with("understand the saved state: EOF while parsing"),
        "{message}"
    );
    assert!(
        message.contains(host.path("data").to_str().unwrap()),
        "{message}"
    );
}

#[actix_web::test]
async fn a_release_ends_a_reservation_of_its_own_or_an_earlier_attempt() {
    let (_host, monitor) = with_idle(2).await;
    let attempt = |number: u64| format!("attempt=00000000000000aa-{number}");
    let several = |number| {
        let attempt = attempt(number);
        format!("profile/linux/take/2?unique_id=both&{JOB}&{attempt}")
    };
    let taken = monitor.call(Method::POST, &several(3)).await;
    assert_eq!(taken.status, 200, "{:?}", taken.text());
    let again = monitor.call(Method::POST, &several(5)).await;
    assert_eq!(again.body, taken.body);
    for (path, is_held) in [
        (format!("reservation/both?{}", attempt(4)), true),
        (format!("reservation/both?{}", attempt(5)), false),
        (format!("reservation/both?{}", attempt(5)), false),
        ("reservation/unknown".into(), false),
    ] {
        let released = monitor.call(Method::DELETE, &path).await;
        assert_eq!((released.status.as_u16(), released.body.len()), (204, 0));
        let status = [RunnerStatus::Idle, RunnerStatus::Reserved][usize::from(is_held)];
        assert_eq!(statuses(&monitor.dashboard().await), [status; 2], "{path}");
    }
    let late = monitor.call(Method::POST, &several(5)).await;
    expect_refusal(&late, 409, "stale_attempt", "both");
    let destroyed = monitor.expect_taken("one").await.id;
    monitor
        .call(Method::DELETE, "reservation/one?destroy=true")
        .await;
    let dashboard = monitor.until(|it| !ids(it).contains(&destroyed)).await;
    assert!(!ids(&dashboard).contains(&destroyed));
    monitor.until_idle(2).await;
    monitor.stop().await;
}

#[actix_web::test]
async fn no_runner_is_registered_before_its_id_is_on_disk() {
    let host = Host::new();
    let obstacle = host.path("data/monitor.state.new");
    fs::create_dir_all(obstacle.join("full")).unwrap();
    let monitor = host.start(host.settings(1, "")).await;
    // Any id above 0: on a busy machine the dashboard may have skipped some.
    monitor
        .until(|dashboard| ids(dashboard).iter().any(|id| *id > 0))
        .await;
    assert_eq!(host.emulator().requests().count("POST", RUNNERS), 0);
    fs::remove_dir_all(&obstacle).unwrap();
    monitor.until_idle(1).await;
    monitor.stop().await;
}

#[actix_web::test]
async fn changes_that_no_request_waits_for_are_saved_soon() {
    let (host, monitor) = with_idle(1).await;
    let state = host.path("data/monitor.state");
    until_file(&state, |state| state.contains("\"came_online\":true")).await;
    monitor.stop().await;
}

#[actix_web::test]
async fn while_the_state_cannot_be_saved_answers_are_true_and_the_monitor_is_not_ready() {
    let (host, monitor) = with_idle(2).await;
    monitor.expect_taken("job").await;
    assert_eq!(monitor.get("readyz").await.status, 200);
    // A disk that is full: the new state cannot be written.
    let obstacle = host.path("data/monitor.state.new");
    // It may be there for a moment, while the monitor saves something.
    let in_the_way = obstacle.join("full");
    in_time("the disk is full", async {
        while fs::create_dir_all(&in_the_way).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for (method, path, change) in [
        (Method::DELETE, "runner/1", true),
        (Method::POST, "policy/override?linux=1", true),
        (Method::DELETE, "policy/override", true),
        (Method::DELETE, "reservation/job", true),
        (
            Method::POST,
            &*format!("profile/linux/take?unique_id=other&{JOB}"),
            false,
        ),
    ] {
        let headers = [
            ("authorization", &*bearer(API_TOKEN)),
            ("accept", "application/json"),
        ];
        let refused = monitor.call_with(method, path, &headers).await;
        let text = refused.text().unwrap().to_owned();
        assert_eq!(refused.status, 503, "{path}: {text}");
        let is_true = match change {
            true => text.contains("the change is made"),
            // `no_capacity` is as true: nothing is left to take.
            false => text.contains("gives out no runner") || text.contains("no_capacity"),
        };
        assert!(
            is_true && !text.contains("nothing was changed"),
            "{path}: {text}"
        );
    }
    // They are carried out, as the answers say.
    let shown: Value = monitor.get("policy/override").await.json().unwrap();
    assert_eq!(shown, Value::Null);
    let reservations = monitor.dashboard().await.reservations.unwrap();
    assert_eq!(reservations.len(), 0, "{reservations:?}");
    let json = [("accept", "application/json")];
    let ready = monitor.call_with(Method::GET, "readyz", &json).await;
    expect_refusal(&ready, 503, "not_ready", "readyz");
    assert!(ready.text().unwrap().contains("cannot save its state"));
    let metrics = monitor.get("metrics").await;
    let metrics = metrics.text().unwrap();
    assert!(
        metrics.contains("\nci_runners_monitor_ready 0"),
        "{metrics}"
    );
    fs::remove_dir_all(&obstacle).unwrap();
    in_time("the monitor is ready again", async {
        while monitor.get("readyz").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    monitor.until_idle(2).await;
    monitor.stop().await;
}
