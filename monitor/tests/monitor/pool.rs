//! Keeping the pool: runners come, do their job and go.

use std::fs;

use emulator::{
    faults::Fault,
    model::{JobPhase, ListMode},
};
use http_client::Method;
use shared::wire::RunnerStatus;

use crate::support::{Host, RUNNERS, WHO, code, ids, in_time, statuses, until_file};

#[actix_web::test]
async fn a_runner_does_one_job_and_is_replaced() {
    let host = Host::new();
    let monitor = host.start(host.settings(2, "")).await;
    monitor.until_idle(2).await;
    let taken = monitor.taken("job").await;
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
    // Lesson 35: nothing is left of a runner that is gone.
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
async fn a_monitor_that_starts_again_finds_its_guests_and_reservations() {
    let host = Host::new();
    let monitor = host.start(host.settings(2, "")).await;
    monitor.until_idle(2).await;
    let first = monitor.taken("job").await;
    monitor.stop().await;
    let monitor = host.start(host.settings(2, "")).await;
    let second = monitor.taken("job").await;
    assert_eq!((first.id, &first.label), (second.id, &second.label));
    let dashboard = monitor
        .until(|dashboard| statuses(dashboard).len() == 2)
        .await;
    assert_eq!(ids(&dashboard), [0, 1]);
    let registered = host.emulator().requests().count("POST", RUNNERS);
    assert_eq!(registered, 2, "nobody was registered a second time");
    monitor.stop().await;
}

/// Lesson 29: a live runner whose profile was removed from the settings was a panic at every start.
#[actix_web::test]
async fn a_busy_runner_outlives_its_profile() {
    let host = Host::new();
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
    let label = monitor.taken("job").await.label.unwrap();
    let job = host.queue_job(&label, &host.waits_for("end"));
    monitor
        .until(|dashboard| statuses(dashboard) == [RunnerStatus::Busy])
        .await;
    monitor.stop().await;

    let monitor = host.start(host.settings_with("", "")).await;
    let dashboard = monitor
        .until(|dashboard| !dashboard.runners.is_empty())
        .await;
    assert_eq!(dashboard.profile_runner_counts["linux"].target, 0);
    let seen_busy = |_: &_| host.phase(job) == JobPhase::InProgress;
    monitor.until(seen_busy).await;
    fs::write(host.path("end"), "").unwrap();
    host.until_phase(job, JobPhase::Completed).await;
    monitor.until_idle(0).await;
    monitor.stop().await;
}

/// Lesson 8: GitHub refuses to unregister a busy runner; the guest was destroyed all the same.
#[actix_web::test]
async fn a_job_that_github_does_not_show_yet_is_not_killed() {
    let host = Host::new();
    let monitor = host
        .start(host.settings(1, "monitor_reserve_timeout = \"300ms\""))
        .await;
    monitor.until_idle(1).await;
    host.emulator()
        .model(|model, now| model.set_list_mode(now, ListMode::Frozen));
    let label = monitor.taken("job").await.label.unwrap();
    let job = host.queue_job(&label, &host.waits_for("end"));
    host.until_phase(job, JobPhase::InProgress).await;
    // The deadline of the reservation passes, and GitHub says no.
    monitor
        .until(|dashboard| statuses(dashboard) == [RunnerStatus::Busy])
        .await;
    assert_eq!(host.guest_folders(), ["ci-runner-linux.0"]);
    fs::write(host.path("end"), "").unwrap();
    host.until_phase(job, JobPhase::Completed).await;
    host.emulator()
        .model(|model, now| model.set_list_mode(now, ListMode::Live));
    monitor.until_idle(1).await;
    let again = monitor.take("job").await;
    assert_eq!(
        (again.status.as_u16(), code(&again)),
        (409, "already_reserved".into())
    );
    monitor.stop().await;
}

#[actix_web::test]
async fn a_reserved_runner_whose_job_does_not_come_is_replaced() {
    let host = Host::new();
    let monitor = host
        .start(host.settings(1, "monitor_reserve_timeout = \"200ms\""))
        .await;
    monitor.until_idle(1).await;
    monitor.taken("job").await;
    let dashboard = monitor
        .until(|it| ids(it) == [1] && statuses(it) == [RunnerStatus::Idle])
        .await;
    assert_eq!(dashboard.reservations.map(|it| it.len()), Some(0));
    assert_eq!(
        monitor.taken("job").await.id,
        1,
        "it may be asked for again"
    );
    monitor.stop().await;
}

/// Lesson 6: one failed list ended the monitor.
#[actix_web::test]
async fn a_github_that_fails_is_waited_for() {
    let host = Host::new();
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
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
        in_time(
            "the fault to strike",
            host.emulator().until(|it| it.faults().hit_count(fault) > 0),
        )
        .await;
        assert_eq!(statuses(&monitor.dashboard().await), [RunnerStatus::Idle]);
        assert_eq!(monitor.get("healthz").await.status, 200);
        host.emulator().faults().clear_all();
        let asked = host.emulator().requests().all().len();
        in_time(
            "GitHub to be asked again",
            host.emulator()
                .until(|it| it.requests().all().len() > asked),
        )
        .await;
    }
    monitor.taken("job").await;
    monitor.stop().await;
}

#[actix_web::test]
async fn a_registration_that_fails_leaves_nothing_and_is_tried_again() {
    for fault in [Fault::status(500), Fault::DropAnswer, Fault::DropRequest] {
        let host = Host::new();
        let rule = host.break_github(
            "POST",
            "/orgs/acme/actions/runners/generate-jitconfig",
            fault,
        );
        let monitor = host.start(host.settings(1, "")).await;
        let struck = host.emulator().until(|it| it.faults().hit_count(rule) > 0);
        in_time("the fault to strike", struck).await;
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
async fn temporary_targets_are_set_shown_and_cancelled() {
    let host = Host::new();
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
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
        assert_eq!(
            (refused.status.as_u16(), code(&refused)),
            (status, expected.into()),
            "{path}"
        );
    }
    let cancelled = monitor.call(Method::DELETE, "policy/override").await;
    assert_eq!(cancelled.text().unwrap(), r#"{"linux":3}"#);
    monitor.until_idle(1).await;
    assert_eq!(show().await, "null");
    monitor.stop().await;
}

/// Lesson 33: ids started again at 0 when their file could not be read.
#[actix_web::test]
async fn a_state_that_cannot_be_read_stops_the_start() {
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
async fn runners_are_given_back_by_a_release() {
    let host = Host::new();
    let monitor = host.start(host.settings(2, "")).await;
    monitor.until_idle(2).await;
    let attempt = |number: u64| format!("attempt=00000000000000aa-{number}");
    let several = |number| {
        let attempt = attempt(number);
        format!("profile/linux/take/2?unique_id=both&{WHO}&{attempt}")
    };
    let taken = monitor.call(Method::POST, &several(3)).await;
    assert_eq!(taken.status, 200, "{:?}", taken.text());
    let again = monitor.call(Method::POST, &several(5)).await;
    assert_eq!(again.body, taken.body);
    for (path, is_held) in [
        (format!("reservation/both?{}", attempt(4)), true),
        (format!("reservation/both?{}", attempt(5)), false),
        (format!("reservation/both?{}", attempt(5)), false),
        ("reservation/nobody".into(), false),
    ] {
        let released = monitor.call(Method::DELETE, &path).await;
        assert_eq!((released.status.as_u16(), released.body.len()), (204, 0));
        let status = [RunnerStatus::Idle, RunnerStatus::Reserved][usize::from(is_held)];
        assert_eq!(statuses(&monitor.dashboard().await), [status; 2], "{path}");
    }
    let late = monitor.call(Method::POST, &several(5)).await;
    assert_eq!(
        (late.status.as_u16(), code(&late)),
        (409, "stale_attempt".into())
    );
    let destroyed = monitor.taken("one").await.id;
    monitor
        .call(Method::DELETE, "reservation/one?destroy=true")
        .await;
    let dashboard = monitor.until(|it| !ids(it).contains(&destroyed)).await;
    assert!(!ids(&dashboard).contains(&destroyed));
    monitor.until_idle(2).await;
    monitor.stop().await;
}

#[actix_web::test]
async fn nothing_is_registered_under_an_id_that_is_not_on_disk() {
    let host = Host::new();
    let in_the_way = host.path("data/monitor.state.new");
    fs::create_dir_all(in_the_way.join("full")).unwrap();
    let monitor = host.start(host.settings(1, "")).await;
    // Not just the second: on a busy machine it may have come and gone unseen.
    monitor
        .until(|dashboard| ids(dashboard).iter().any(|id| *id > 0))
        .await;
    assert_eq!(host.emulator().requests().count("POST", RUNNERS), 0);
    fs::remove_dir_all(&in_the_way).unwrap();
    monitor.until_idle(1).await;
    monitor.stop().await;
}

#[actix_web::test]
async fn what_nobody_waits_for_is_on_disk_soon() {
    let host = Host::new();
    let monitor = host.start(host.settings(1, "")).await;
    monitor.until_idle(1).await;
    let state = host.path("data/monitor.state");
    until_file(&state, |state| state.contains("\"came_online\":true")).await;
    monitor.stop().await;
}
