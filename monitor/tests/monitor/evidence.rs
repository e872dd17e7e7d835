//! Tests of guests that have or had a job while GitHub shows something else, or cannot be asked: they are
//! destroyed only with evidence that their job has ended.

use std::fs;

use emulator::{
    faults::Fault,
    model::{JobId, JobPhase, Misreport},
};
use http_client::Method;
use shared::{
    settings::Settings,
    wire::{MonitorDashboard, RunnerStatus, TakenRunner},
};

use crate::{
    support::{Host, RUNNERS, Running, expect_refusal, ids, in_time, statuses, with_idle},
    webhooks::{self, post_job_event},
};

/// Settings with one runner whose guest does not end with its job, as those of the production system do
/// not.
fn lingering(host: &Host, more: &str) -> Settings {
    let (agent, folder) = (host.path("agent.sh"), host.folder.path());
    let profile = format!(
        r#"[profiles.linux]
        github_runner_label = "linux-label"
        target_count = 1
        requires_normal_memory = "1G"
        guest = {{ driver = "command", command = ["bash", "-c", 'bash {} {}; while [ -d {2} ]; do sleep 0.1; done', "guest", "{2}"] }}"#,
        agent.display(),
        folder.display(),
        folder.display(),
    );
    host.settings_with(&profile, more)
}

/// Takes the runner and runs a job on it until it is seen busy.
async fn run_job(host: &Host, monitor: &Running) -> JobId {
    let TakenRunner { label, .. } = monitor.expect_taken("job").await;
    let job = host.queue_job(&label.unwrap(), &host.command_until("end"));
    monitor.until(is_busy).await;
    job
}

async fn end_job(host: &Host, job: JobId) {
    fs::write(host.path("end"), "").unwrap();
    host.until_phase(job, JobPhase::Completed).await;
}

fn is_busy(dashboard: &MonitorDashboard) -> bool {
    statuses(dashboard) == [RunnerStatus::Busy]
}

fn misreport(host: &Host, name: &str, misreport: Misreport) {
    host.emulator()
        .model(|model, now| model.misreport(now, name, misreport));
}

/// Waits until the registrations below `path` have been listed so many times more.
async fn until_listed(host: &Host, path: &str, count: usize) {
    let list = format!("{path}?");
    let before = host.emulator().requests().count("GET", &list);
    let listed = host
        .emulator()
        .until(|it| it.requests().count("GET", &list) >= before + count);
    in_time("the registrations are listed", listed).await;
}

#[actix_web::test]
async fn a_job_survives_a_change_of_scope_or_suffix() {
    for (from, to) in [("/orgs/acme", "/orgs/other"), ("\"host\"", "\"renamed\"")] {
        let (host, monitor) = with_idle(1).await;
        let job = run_job(&host, &monitor).await;
        monitor.stop().await;
        host.settings(1, "");
        let text = fs::read_to_string(host.path("monitor.toml")).unwrap();
        let settings = host.settings_of(&text.replace(from, to));
        let monitor = host.start(settings).await;
        monitor.until(is_busy).await;
        until_listed(&host, RUNNERS, 5).await;
        let dashboard = monitor.dashboard().await;
        assert_eq!(
            (ids(&dashboard), is_busy(&dashboard)),
            (vec![0], true),
            "{to}"
        );
        assert_eq!(host.phase(job), JobPhase::InProgress);
        end_job(&host, job).await;
        let dashboard = monitor.until_idle(1).await;
        assert_eq!(ids(&dashboard), [1]);
        let registration = dashboard.runners[0].runner.registration.as_ref();
        let suffix = if to.contains("renamed") {
            "@renamed"
        } else {
            "@host"
        };
        assert!(
            registration.unwrap().name.ends_with(suffix),
            "{registration:?}"
        );
        let is_moved = to.contains("other");
        let path = format!("{to}/actions/runners/generate-jitconfig");
        let registered = host.emulator().requests().count("POST", &path);
        assert_eq!(registered, usize::from(is_moved));
        monitor.stop().await;
    }
}

#[actix_web::test]
async fn a_busy_guest_whose_registration_cannot_be_seen_is_kept() {
    let (host, monitor) = with_idle(1).await;
    let job = run_job(&host, &monitor).await;
    let invisible = Misreport {
        is_unlisted: true,
        is_hidden: true,
        ..Misreport::default()
    };
    misreport(&host, "*", invisible);
    until_listed(&host, RUNNERS, 20).await;
    assert!(is_busy(&monitor.dashboard().await));
    assert_eq!(host.phase(job), JobPhase::InProgress);
    assert_eq!(host.guest_folders(), ["ci-runner-linux.0"]);
    misreport(&host, "*", Misreport::default());
    end_job(&host, job).await;
    monitor.until_idle(1).await;
    monitor.stop().await;
}

#[actix_web::test]
async fn a_guest_that_outlives_its_job_goes_once_the_jobs_of_the_run_show_its_end() {
    let host = Host::new();
    let monitor = host.start(lingering(&host, "")).await;
    monitor.until_idle(1).await;
    let job = run_job(&host, &monitor).await;
    end_job(&host, job).await;
    let dashboard = monitor.until(|it| ids(it) == [1]).await;
    assert!(dashboard.reservations.unwrap().contains_key("job"));
    let again = monitor.take("job").await;
    expect_refusal(&again, 409, "already_reserved", "it has had its runner");
    monitor.until_idle(1).await;
    monitor.stop().await;
}

#[actix_web::test]
async fn a_guest_that_outlives_its_job_is_kept_without_evidence_and_goes_with_a_webhook() {
    let host = Host::new();
    let mut settings = lingering(&host, "");
    webhooks::enable(&mut settings);
    let rule = host.break_github("GET", "/repos/acme/app/actions/runs", Fault::status(403));
    let monitor = host.start(settings).await;
    monitor.until_idle(1).await;
    let dashboard = monitor.dashboard().await;
    let registration = dashboard.runners[0].runner.registration.clone().unwrap();
    let job = run_job(&host, &monitor).await;
    end_job(&host, job).await;
    host.until_hit(rule).await;
    until_listed(&host, RUNNERS, 20).await;
    let kept = monitor.dashboard().await;
    assert_eq!((ids(&kept), is_busy(&kept)), (vec![0], true));
    assert_eq!(host.guest_folders(), ["ci-runner-linux.0"]);
    post_job_event(&monitor, "completed", &registration).await;
    let dashboard = monitor.until_idle(1).await;
    assert_eq!(ids(&dashboard), [1]);
    monitor.stop().await;
}

#[actix_web::test]
async fn an_operator_can_remove_a_guest_that_is_kept() {
    let host = Host::new();
    let rule = host.break_github("GET", "/repos/acme/app/actions/runs", Fault::status(404));
    let monitor = host.start(lingering(&host, "")).await;
    monitor.until_idle(1).await;
    let job = run_job(&host, &monitor).await;
    for (path, status, code) in [
        ("runner/7", 404, "not_found"),
        ("runner/x", 404, "not_found"),
        ("runner/0?force=perhaps", 400, "bad_request"),
    ] {
        let refused = monitor.call(Method::DELETE, path).await;
        expect_refusal(&refused, status, code, path);
    }
    let without_token = monitor.call_with(Method::DELETE, "runner/0", &[]).await;
    expect_refusal(&without_token, 401, "unauthorised", "runner/0");
    let removed = monitor.call(Method::DELETE, "runner/0").await;
    assert_eq!(removed.status, 204);
    until_listed(&host, RUNNERS, 3).await;
    assert!(is_busy(&monitor.dashboard().await), "GitHub shows its job");
    end_job(&host, job).await;
    let dashboard = monitor.until_idle(1).await;
    assert_eq!(ids(&dashboard), [1]);
    assert_eq!(host.emulator().faults().hit_count(rule), 0);

    let job = run_job_again(&host, &monitor).await;
    let removed = monitor.call(Method::DELETE, "runner/1?force=true").await;
    assert_eq!(removed.status, 204);
    monitor.until(|it| !ids(it).contains(&1)).await;
    assert!(
        !host
            .guest_folders()
            .contains(&"ci-runner-linux.1".to_owned())
    );
    assert_ne!(host.phase(job), JobPhase::Queued);
    monitor.stop().await;
}

async fn run_job_again(host: &Host, monitor: &Running) -> JobId {
    fs::remove_file(host.path("end")).unwrap();
    let TakenRunner { label, .. } = monitor.expect_taken("again").await;
    let job = host.queue_job(&label.unwrap(), &host.command_until("end"));
    monitor.until(is_busy).await;
    job
}

#[actix_web::test]
async fn a_pool_that_lists_show_as_offline_or_lack_for_a_moment_is_kept() {
    let (host, monitor) = with_idle(3).await;
    let offline = Misreport {
        is_listed_offline: true,
        ..Misreport::default()
    };
    let unlisted = Misreport {
        is_unlisted: true,
        ..Misreport::default()
    };
    for odd in [offline, unlisted] {
        misreport(&host, "*", odd);
        monitor
            .until(|it| statuses(it) == [RunnerStatus::Starting; 3])
            .await;
        until_listed(&host, RUNNERS, 20).await;
        misreport(&host, "*", Misreport::default());
        let dashboard = monitor.until_idle(3).await;
        assert_eq!(ids(&dashboard), [0, 1, 2]);
    }
    assert_eq!(host.emulator().requests().count("DELETE", RUNNERS), 0);
    monitor.stop().await;
}

/// GitHub lists it as offline and not busy, and refuses to delete it for hours.
#[actix_web::test]
async fn a_ghost_runner_causes_few_requests_and_is_a_problem() {
    let host = Host::new();
    let folder = host.folder.path().display();
    let profile = format!(
        r#"[profiles.linux]
        github_runner_label = "linux-label"
        target_count = 1
        requires_normal_memory = "1G"
        guest = {{ driver = "command", command = ["bash", "-c", "while [ -d {folder} ]; do sleep 0.1; done"] }}"#
    );
    let more = "monitor_start_timeout = \"200ms\"";
    let ghost = Misreport {
        is_ghost: true,
        ..Misreport::default()
    };
    misreport(&host, "ci-runner-linux.0@host", ghost);
    let settings = host.settings_with(&profile, more);
    let monitor = host.start(settings).await;
    let dashboard = monitor.until(|it| !it.problems.is_empty()).await;
    assert_eq!(dashboard.problems[0].code, "runner_not_destroyed");
    assert_eq!(dashboard.problems[0].subject, "runner linux.0");
    let registration = dashboard.runners[0].runner.registration.as_ref().unwrap();
    let path = format!("{RUNNERS}/{}", registration.id);
    assert_eq!(host.emulator().requests().count("DELETE", &path), 2);
    assert!(
        host.guest_folders()
            .contains(&"ci-runner-linux.0".to_owned())
    );
    monitor.stop().await;
}

/// As when this monitor takes over from the one of the production system, whose state it cannot read.
#[actix_web::test]
async fn a_reserved_runner_without_a_record_is_adopted_and_its_job_runs() {
    let (host, monitor) = with_idle(1).await;
    let take = "profile/linux/take?unique_id=5f0c&qualified_repo=acme/app&run_id=7";
    let taken = monitor.call(Method::POST, take).await;
    assert_eq!(taken.status, 200);
    monitor.stop().await;
    fs::remove_file(host.path("data/monitor.state")).unwrap();
    let monitor = host.start(host.settings(1, "")).await;
    monitor
        .until(|it| statuses(it) == [RunnerStatus::Reserved])
        .await;
    until_listed(&host, RUNNERS, 3).await;
    let dashboard = monitor.dashboard().await;
    assert_eq!(ids(&dashboard), [0]);
    assert!(dashboard.reservations.unwrap().contains_key("5f0c"));
    let job = host.queue_job("reserved-for:5f0c", "true");
    host.until_phase(job, JobPhase::Completed).await;
    let dashboard = monitor.until_idle(1).await;
    assert_eq!(ids(&dashboard), [1]);
    monitor.stop().await;
}
