//! What an operator can remove, and when it goes.

use std::time::Duration;

use shared::wire::RunnerStatus;

use crate::{RemovalRefusal, RunnerId, testing::TestPool};

const ID: RunnerId = RunnerId(0);

fn busy() -> TestPool {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.start_job(0);
    pool.poll();
    pool
}

#[test]
fn a_removed_runner_without_a_job_is_destroyed_and_replaced() {
    let mut pool = TestPool::with_idle_linux(1);
    let revision = pool.monitor.remove_runner(ID, false, pool.now).unwrap();
    assert_eq!(revision, pool.monitor.revision());
    pool.restart();
    pool.poll();
    assert_eq!(
        pool.steps(),
        ["destroy runner 0 (linux): an operator has removed it"]
    );
    pool.converge();
    assert_eq!(pool.status(0), None);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

#[test]
fn a_removed_runner_is_kept_while_github_shows_its_job() {
    let mut pool = busy();
    pool.monitor.remove_runner(ID, false, pool.now).unwrap();
    pool.poll_until_confirmed();
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    pool.assert_no_steps();
}

#[test]
fn the_word_of_an_operator_is_evidence_for_the_end_of_a_job() {
    let mut pool = busy();
    pool.world.registrations.clear();
    pool.poll_until_confirmed();
    pool.assert_no_steps();
    pool.monitor.remove_runner(ID, false, pool.now).unwrap();
    pool.converge();
    assert_eq!(pool.status(0), None);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

#[test]
fn a_runner_that_is_removed_by_force_goes_even_if_github_refuses_to_delete_it() {
    let mut pool = busy();
    pool.monitor.remove_runner(ID, true, pool.now).unwrap();
    pool.execute_plan();
    assert!(!pool.world.guests.contains("ci-runner-linux.0"));
    assert_eq!(pool.status(0), None);
}

#[test]
fn a_removal_does_not_wait_for_a_back_off() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.stuck.insert("ci-runner-linux.0".into());
    pool.monitor.remove_runner(ID, false, pool.now).unwrap();
    pool.execute_plan();
    pool.assert_no_steps();
    pool.monitor.remove_runner(ID, false, pool.now).unwrap();
    assert_eq!(pool.steps().len(), 1);
    pool.advance(Duration::from_secs(1));
}

#[test]
fn an_unknown_runner_cannot_be_removed() {
    let mut pool = TestPool::with_idle_linux(1);
    let refusal = pool.monitor.remove_runner(RunnerId(7), false, pool.now);
    assert_eq!(refusal, Err(RemovalRefusal::UnknownRunner));
}
