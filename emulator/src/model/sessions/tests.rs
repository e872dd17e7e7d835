//! Sessions of runners: from the first poll to the completed job.

use std::time::Duration;

use super::*;
use crate::model::{JobPhase, RunnerStatus, testing::TestModel};

#[test]
fn a_runner_is_online_then_busy_then_removed() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let online = github.runner("a").unwrap();
    assert_eq!(
        (online.status, online.busy, online.os),
        (RunnerStatus::Online, false, "linux")
    );
    let job = github.queue(&["x"]);
    assert!(!github.runner("a").unwrap().busy);
    github.start(runner, job);
    assert!(github.runner("a").unwrap().busy);
    assert_eq!(github.phase(job), JobPhase::InProgress);
    github.complete(runner, job, Some(0)).unwrap();
    assert!(github.runner("a").is_none());
    assert_eq!(
        github.complete(runner, job, Some(0)),
        Err(ModelError::NotFound)
    );
}

#[test]
fn a_session_requires_the_secret_of_the_runner() {
    let mut github = TestModel::new();
    let id = github.register("a", &["x"]).id;
    let now = github.now;
    assert_eq!(
        github.model.open_session(now, id, "wrong"),
        Err(ModelError::InvalidSecret)
    );
    assert_eq!(
        github.model.open_session(now, RunnerId(99), "a"),
        Err(ModelError::NotFound)
    );
    assert_eq!(github.runner("a").unwrap().status, RunnerStatus::Offline);
    assert!(github.model.open_session(now, id, "secret of a").is_ok());
}

#[test]
fn an_unused_jit_configuration_expires_after_an_hour() {
    for (wait, is_good) in [
        (Duration::from_hours(1) - Duration::from_micros(1), true),
        (Duration::from_hours(1), false),
    ] {
        let mut github = TestModel::new();
        let id = github.register("a", &["x"]).id;
        github.pass(wait);
        let result = github.model.open_session(github.now, id, "secret of a");
        assert_eq!(result.is_ok(), is_good, "{result:?}");
    }
}

#[test]
fn a_second_session_is_accepted_only_when_the_first_is_silent() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let again = github
        .model
        .open_session(github.now, runner.id, "secret of a");
    assert_eq!(again, Err(ModelError::SessionExists));
    github.pass(Duration::from_hours(2));
    let second = github
        .model
        .open_session(github.now, runner.id, "secret of a");
    assert_ne!(second, Ok(runner.session));
    let stale = github.model.poll_job(github.now, runner.id, runner.session);
    assert_eq!(stale, Err(ModelError::NotFound));
}

#[test]
fn a_closed_session_is_offline_at_once() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let closed = github
        .model
        .close_session(github.now, runner.id, runner.session);
    assert_eq!(closed, Ok(()));
    assert_eq!(github.runner("a").unwrap().status, RunnerStatus::Offline);
    let job = github.queue(&["x"]);
    assert_eq!(github.phase(job), JobPhase::Queued);
    let held = github.model.poll_job(github.now, runner.id, runner.session);
    assert_eq!(held, Err(ModelError::NotFound));
    assert_eq!(github.runner("a").unwrap().status, RunnerStatus::Offline);
    // A JIT configuration that was used once does not expire.
    github.pass(Duration::from_hours(2));
    assert!(
        github
            .model
            .open_session(github.now, runner.id, "secret of a")
            .is_ok()
    );
}

#[test]
fn a_repeated_start_succeeds_and_starting_another_job_is_rejected() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let job = github.queue(&["x"]);
    let other = github.queue(&["x"]);
    assert_eq!(
        github.try_start(runner, other),
        Err(ModelError::JobNotAssigned)
    );
    assert_eq!(github.try_start(runner, job), Ok(()));
    assert_eq!(github.try_start(runner, job), Ok(()));
    assert_eq!(
        github.try_start(runner, other),
        Err(ModelError::JobNotAssigned)
    );
    assert_eq!(
        github.complete(runner, other, Some(0)),
        Err(ModelError::JobNotAssigned)
    );
    assert_eq!(github.phase(job), JobPhase::InProgress);
}

#[test]
fn renewing_a_job_updates_its_output_and_keeps_the_runner_online() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let job = github.queue(&["x"]);
    github.start(runner, job);
    for _ in 0..10 {
        github.pass(Duration::from_secs(4));
        assert_eq!(github.renew(runner, job), JobSignal::Continue);
        assert_eq!(github.runner("a").unwrap().status, RunnerStatus::Online);
    }
    assert_eq!(github.job(job).output_tail, "working");
}
