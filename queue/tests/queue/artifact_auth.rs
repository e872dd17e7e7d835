//! Enqueueing with an artifact instead of a token.

use std::{fs, time::Duration};

use emulator::{
    EmulatorSettings, EmulatorThread,
    model::{ArtifactId, Model, NewArtifact},
    zip_of_lines,
};
use shared::{secret::Secret, sha256::Sha256, values::RunId};

use super::support::{Daemon, FakeMonitor};

const GITHUB_TOKEN: &str = "hunter3-opens-github";
const ENQUEUE: &str = "/enqueue?unique_id=job&qualified_repo=servo/servo&run_id=7";

fn github() -> EmulatorThread {
    emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN))).unwrap()
}

fn daemon_with(github: &EmulatorThread, monitor: &FakeMonitor) -> Daemon {
    let github = Some((github.base_url.as_str(), GITHUB_TOKEN));
    let daemon = Daemon::start_with_github(&[monitor], "settle = 0", github);
    daemon.wait_until_fresh(1);
    daemon
}

/// Uploads the artifact of the job; returns its id.
fn upload(github: &EmulatorThread, profile_key: &str, more: &[&str]) -> ArtifactId {
    let mut lines = vec![
        "unique_id=job".to_owned(),
        "qualified_repo=servo/servo".to_owned(),
        "run_id=7".to_owned(),
        format!("self_hosted_image_name={profile_key}"),
    ];
    lines.extend(more.iter().map(|&line| line.to_owned()));
    let artifact = NewArtifact {
        repo: "servo/servo".parse().unwrap(),
        run_id: RunId(7),
        name: "servo-ci-runners_job".to_owned(),
        content: zip_of_lines(lines),
    };
    let emulator = &github.emulator;
    emulator
        .model(|model, now| model.add_artifact(now, artifact))
        .unwrap()
        .id
}

/// Replaces the artifact of the job, as `overwrite` of the upload action does.
fn replace(github: &EmulatorThread, id: ArtifactId, profile_key: &str) -> ArtifactId {
    let repo = "servo/servo".parse().unwrap();
    let delete = |model: &mut Model, now| model.delete_artifact(now, &repo, id);
    github.emulator.model(delete).unwrap();
    upload(github, profile_key, &[])
}

#[test]
fn an_artifact_determines_what_is_enqueued() {
    let (github, monitor) = (github(), FakeMonitor::start());
    let daemon = daemon_with(&github, &monitor);
    upload(&github, "linux", &["self_hosted_runner_count=2"]);
    let ticket = daemon.request("POST", ENQUEUE, &[]).expect_text(200);
    assert_eq!(daemon.job("job")["count"], 2);
    daemon
        .request("POST", ENQUEUE, &[])
        .assert_refused(409, "already_claimed");
    daemon.assert_waiting_count(1);
    monitor.boot(2);
    assert_eq!(
        daemon
            .expect_runners("job", &ticket)
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn the_secret_of_a_job_is_required_and_returns_the_same_ticket_each_time() {
    let (github, monitor) = (github(), FakeMonitor::start());
    let mut daemon = daemon_with(&github, &monitor);
    let digest = Sha256::of(b"hunter2-of-the-job");
    upload(&github, "linux", &[&format!("secret_sha256={digest}")]);
    let enqueue = |daemon: &Daemon, authorization: &str| {
        daemon.request("POST", ENQUEUE, &[("authorization", authorization)])
    };
    let digest = digest.to_string();
    for wrong in [
        "",
        "Bearer ",
        "Bearer wrong",
        &format!("Bearer {digest}"),
        "Basic hunter2-of-the-job",
    ] {
        let message = enqueue(&daemon, wrong).assert_refused(403, "not_authorised");
        assert!(message.contains("ecret"), "{message}");
    }
    let message = daemon
        .request("POST", ENQUEUE, &[])
        .assert_refused(403, "not_authorised");
    assert!(message.contains("secret_sha256"), "{message}");
    let in_url = format!("{ENQUEUE}&token=hunter2-of-the-job");
    daemon
        .request("POST", &in_url, &[])
        .assert_refused(403, "not_authorised");
    daemon.assert_waiting_count(0);
    let ticket = enqueue(&daemon, "Bearer hunter2-of-the-job").expect_text(200);
    for _ in 0..2 {
        let again = enqueue(&daemon, "bearer hunter2-of-the-job").expect_text(200);
        assert_eq!(again, ticket);
    }
    daemon = daemon.restart();
    daemon.wait_until_fresh(1);
    enqueue(&daemon, "Bearer hunter2-of-the-job").expect_text(200);
}

#[test]
fn without_a_secret_an_artifact_gets_one_ticket_also_after_restarts() {
    let (github, monitor) = (github(), FakeMonitor::start());
    let mut daemon = daemon_with(&github, &monitor);
    // What cannot be carried out may be repeated.
    let id = upload(&github, "windows", &[]);
    for _ in 0..2 {
        daemon
            .request("POST", ENQUEUE, &[])
            .assert_refused(422, "unsatisfiable");
    }
    // The artifact of the repeated job.
    let id = replace(&github, id, "linux");
    daemon.request("POST", ENQUEUE, &[]).expect_text(200);
    for _ in 0..2 {
        let message = daemon
            .request("POST", ENQUEUE, &[])
            .assert_refused(409, "already_claimed");
        assert!(message.contains("Authorization"), "{message}");
        daemon = daemon.restart();
        daemon.wait_until_fresh(1);
    }
    // Another repeat of the job.
    replace(&github, id, "linux");
    daemon.request("POST", ENQUEUE, &[]).expect_text(200);
}

#[test]
fn after_the_loss_of_the_record_earlier_artifacts_get_no_ticket() {
    let (github, monitor) = (github(), FakeMonitor::start());
    let mut daemon = daemon_with(&github, &monitor);
    let id = upload(&github, "linux", &[]);
    daemon.request("POST", ENQUEUE, &[]).expect_text(200);
    fs::remove_file(daemon.data_file("artifact-claims")).unwrap();
    daemon = daemon.restart();
    daemon.wait_until_fresh(1);
    let refuse = || {
        let message = daemon
            .request("POST", ENQUEUE, &[])
            .assert_refused(409, "already_claimed");
        assert!(message.contains("lost"), "{message}");
    };
    refuse();
    // Two minutes later a new artifact is certainly newer than the loss.
    github.emulator.advance_clock(Duration::from_secs(120));
    refuse();
    replace(&github, id, "linux");
    daemon.request("POST", ENQUEUE, &[]).expect_text(200);
}

#[test]
fn an_artifact_without_a_count_requests_one_runner_as_an_object() {
    let (github, monitor) = (github(), FakeMonitor::start());
    let daemon = daemon_with(&github, &monitor);
    upload(&github, "linux", &[]);
    let ticket = daemon.request("POST", ENQUEUE, &[]).expect_text(200);
    monitor.boot(1);
    assert_eq!(daemon.expect_runners("job", &ticket)["id"], 1);
}

#[test]
fn without_its_artifact_a_run_is_refused() {
    let (github, monitor) = (github(), FakeMonitor::start());
    let daemon = daemon_with(&github, &monitor);
    // It may be listed within seconds.
    daemon.request("POST", ENQUEUE, &[]).expect_text(503);
    let elsewhere = ENQUEUE.replace("servo/servo", "other/servo");
    daemon
        .request("POST", &elsewhere, &[])
        .assert_refused(403, "not_authorised");
    let malformed = ENQUEUE.replace("servo/servo", "..%2fservo");
    daemon
        .request("POST", &malformed, &[])
        .assert_refused(400, "bad_request");
    daemon.assert_waiting_count(0);
    upload(&github, "windows", &[]);
    daemon
        .request("POST", ENQUEUE, &[])
        .assert_refused(422, "unsatisfiable");
}

#[test]
fn an_artifact_that_is_listed_late_is_asked_for_again() {
    let (github, monitor) = (github(), FakeMonitor::start());
    let daemon = daemon_with(&github, &monitor);
    let lag = Duration::from_secs(3);
    github
        .emulator
        .model(|model, now| model.set_artifact_lag(now, lag));
    upload(&github, "linux", &[]);
    let other_case = ENQUEUE.replace("servo/servo", "Servo/SERVO");
    daemon.request("POST", &other_case, &[]).expect_text(503);
    github.emulator.advance_clock(lag);
    daemon.request("POST", &other_case, &[]).expect_text(200);
}

#[test]
fn a_queue_without_github_credentials_refuses_artifacts() {
    let monitor = FakeMonitor::start();
    let daemon = Daemon::start(&[&monitor]);
    let message = daemon
        .request("POST", ENQUEUE, &[])
        .assert_refused(403, "not_authorised");
    assert!(message.contains("GITHUB_TOKEN"), "{message}");
}
