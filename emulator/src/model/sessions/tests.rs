//! How a runner listens, works and goes.

use std::time::Duration;

use super::*;
use crate::model::{JobPhase, RunnerStatus, invariants::World};

#[test]
fn a_runner_goes_online_busy_and_away() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let online = world.runner("a").unwrap();
    assert_eq!(
        (online.status, online.busy, online.os),
        (RunnerStatus::Online, false, "linux")
    );
    let job = world.queue(&["x"]);
    assert!(!world.runner("a").unwrap().busy);
    world.start(runner, job);
    assert!(world.runner("a").unwrap().busy);
    assert_eq!(world.phase(job), JobPhase::InProgress);
    world.complete(runner, job, Some(0)).unwrap();
    assert!(world.runner("a").is_none());
    assert_eq!(world.complete(runner, job, Some(0)), Err(Refusal::NotFound));
}

#[test]
fn only_the_holder_of_the_secret_can_listen() {
    let mut world = World::new();
    let id = world.register("a", &["x"]).id;
    let now = world.now;
    assert_eq!(
        world.model.open_session(now, id, "wrong"),
        Err(Refusal::BadCredential)
    );
    assert_eq!(
        world.model.open_session(now, RunnerId(99), "a"),
        Err(Refusal::NotFound)
    );
    assert_eq!(world.runner("a").unwrap().status, RunnerStatus::Offline);
    assert!(world.model.open_session(now, id, "secret of a").is_ok());
}

#[test]
fn an_unused_credential_is_good_for_an_hour() {
    for (wait, is_good) in [
        (Duration::from_hours(1) - Duration::from_micros(1), true),
        (Duration::from_hours(1), false),
    ] {
        let mut world = World::new();
        let id = world.register("a", &["x"]).id;
        world.pass(wait);
        let result = world.model.open_session(world.now, id, "secret of a");
        assert_eq!(result.is_ok(), is_good, "{result:?}");
    }
}

#[test]
fn a_second_session_is_taken_only_once_the_first_is_silent() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let again = world
        .model
        .open_session(world.now, runner.id, "secret of a");
    assert_eq!(again, Err(Refusal::SessionExists));
    world.pass(Duration::from_hours(2));
    let second = world
        .model
        .open_session(world.now, runner.id, "secret of a");
    assert_ne!(second, Ok(runner.session));
    let stale = world.model.poll_job(world.now, runner.id, runner.session);
    assert_eq!(stale, Err(Refusal::NotFound));
}

#[test]
fn a_closed_session_is_offline_at_once() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let closed = world
        .model
        .close_session(world.now, runner.id, runner.session);
    assert_eq!(closed, Ok(()));
    assert_eq!(world.runner("a").unwrap().status, RunnerStatus::Offline);
    let job = world.queue(&["x"]);
    assert_eq!(world.phase(job), JobPhase::Queued);
    let held = world.model.poll_job(world.now, runner.id, runner.session);
    assert_eq!(held, Err(Refusal::NotFound));
    assert_eq!(world.runner("a").unwrap().status, RunnerStatus::Offline);
    // The configuration was used, so it is not too old to be used again.
    world.pass(Duration::from_hours(2));
    assert!(
        world
            .model
            .open_session(world.now, runner.id, "secret of a")
            .is_ok()
    );
}

#[test]
fn starting_twice_is_harmless_and_starting_another_job_is_refused() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let job = world.queue(&["x"]);
    let other = world.queue(&["x"]);
    assert_eq!(world.try_start(runner, other), Err(Refusal::JobNotYours));
    assert_eq!(world.try_start(runner, job), Ok(()));
    assert_eq!(world.try_start(runner, job), Ok(()));
    assert_eq!(world.try_start(runner, other), Err(Refusal::JobNotYours));
    assert_eq!(
        world.complete(runner, other, Some(0)),
        Err(Refusal::JobNotYours)
    );
    assert_eq!(world.phase(job), JobPhase::InProgress);
}

#[test]
fn a_working_runner_shows_its_output_and_stays_online() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let job = world.queue(&["x"]);
    world.start(runner, job);
    for _ in 0..10 {
        world.pass(Duration::from_secs(4));
        assert_eq!(world.renew(runner, job), JobSignal::Continue);
        assert_eq!(world.runner("a").unwrap().status, RunnerStatus::Online);
    }
    assert_eq!(world.job(job).output_tail, "working");
}
