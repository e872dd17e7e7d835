//! The table of the reconciler, row by row, and what lists that lag may not do to it.

use std::time::Duration;

use shared::{registration::RegistrationStatus, wire::RunnerStatus};

use crate::{
    Poll, RunnerId,
    testing::{TestPool, policy},
};

/// A pool with runner 0 of profile `linux`, idle, and a look at whatever `change` made of it.
fn one_runner(change: impl FnOnce(&mut TestPool)) -> TestPool {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    change(&mut pool);
    pool.look();
    pool
}

#[test]
fn before_both_looks_nothing_is_planned() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    assert_eq!(pool.steps(), [""; 0]);
    pool.look_at_guests();
    assert_eq!(pool.steps(), [""; 0]);
    pool.look_at_registrations();
    assert_eq!(
        pool.steps(),
        ["create runner 0 (linux): there are fewer than the target"]
    );
}

fn take(pool: &mut TestPool) {
    pool.take("job", "linux", 1).unwrap();
}

/// Checks the status of runner 0, and the reason to destroy it.
fn assert_row(change: impl FnOnce(&mut TestPool), status: RunnerStatus, reason: Option<&str>) {
    let pool = one_runner(change);
    assert_eq!(pool.status(0), Some(status));
    let steps = reason.map(|reason| format!("destroy runner 0 (linux): {reason}"));
    assert_eq!(pool.steps(), steps.into_iter().collect::<Vec<_>>());
    assert_eq!(pool.plan(), pool.plan());
}

#[test]
fn a_runner_without_a_guest_is_invalid_even_if_it_is_said_to_be_busy() {
    let reason = Some("its guest is gone");
    let no_guest = |pool: &mut TestPool| pool.world.guests.clear();
    assert_row(no_guest, RunnerStatus::Invalid, reason);
    let busy = |pool: &mut TestPool| {
        pool.world.start_job(0);
        pool.world.guests.clear();
    };
    assert_row(busy, RunnerStatus::Invalid, reason);
}

#[test]
fn a_runner_without_a_registration_is_done() {
    let no_registration = |pool: &mut TestPool| pool.world.registrations.clear();
    let reason = Some("github has removed it");
    assert_row(no_registration, RunnerStatus::Done, reason);
}

#[test]
fn a_busy_runner_is_left_alone_however_long_ago_it_was_reserved() {
    assert_row(|pool| pool.world.start_job(0), RunnerStatus::Busy, None);
    let long_ago = |pool: &mut TestPool| {
        take(pool);
        pool.world.start_job(0);
        pool.pass(Duration::from_secs(10_000));
    };
    assert_row(long_ago, RunnerStatus::Busy, None);
}

#[test]
fn a_reserved_runner_waits_for_its_job_for_a_while() {
    assert_row(take, RunnerStatus::Reserved, None);
    let offline = |pool: &mut TestPool| {
        take(pool);
        pool.world.registration(0).status = RegistrationStatus::Offline;
    };
    assert_row(offline, RunnerStatus::Reserved, None);
    let too_long = |pool: &mut TestPool| {
        take(pool);
        pool.pass(Duration::from_secs(201));
    };
    let reason = Some("its job did not start within monitor_reserve_timeout");
    assert_row(too_long, RunnerStatus::Reserved, reason);
}

/// An outage of GitHub ends no reservation: the job may have the runner already, or get it next.
#[test]
fn an_outage_of_github_is_not_counted_against_a_job() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    take(&mut pool);
    for _ in 0..2 {
        let now = pool.now;
        let look = Poll::Registrations;
        pool.monitor.handle_poll_failed(look, None, now);
        pool.pass(Duration::from_secs(1800));
        pool.look_at_guests();
        assert_eq!(pool.steps(), [""; 0]);
    }
    pool.look();
    pool.pass(Duration::from_secs(200));
    assert_eq!(pool.steps(), [""; 0]);
    pool.pass(Duration::from_secs(1));
    assert_eq!(pool.steps().len(), 1);
}

#[test]
fn a_runner_that_is_online_is_idle_and_one_that_is_not_is_starting_for_a_while() {
    assert_row(|_| {}, RunnerStatus::Idle, None);
    let offline = |pool: &mut TestPool| {
        pool.world.registration(0).status = RegistrationStatus::Offline;
    };
    assert_row(offline, RunnerStatus::Starting, None);
    let too_long = |pool: &mut TestPool| {
        pool.world.registration(0).status = RegistrationStatus::Offline;
        pool.pass(Duration::from_secs(101));
    };
    let reason = Some("it did not come online within monitor_start_timeout");
    assert_row(too_long, RunnerStatus::Starting, reason);
}

#[test]
fn timeouts_end_only_after_their_last_moment() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.turn();
    let created_at = pool.monitor.durable.runners[&RunnerId(0)].created_at;
    pool.now = created_at + Duration::from_secs(100) - Duration::from_millis(2);
    pool.look();
    assert_eq!(pool.steps(), [""; 0]);
    pool.pass(Duration::from_millis(1));
    assert_eq!(pool.steps().len(), 1);
}

/// Lesson 14: a guest that GitHub does not list yet was destroyed at once.
#[test]
fn a_list_that_was_asked_for_before_a_runner_was_made_proves_nothing_about_it() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.look();
    let (guests, registrations) = (pool.world.guests.clone(), pool.world.registrations.clone());
    let asked_at = pool.now;
    for task in pool.begin() {
        pool.perform(task);
    }
    assert_eq!((guests.len(), registrations.len()), (0, 0));
    pool.monitor.handle_guests(vec![], asked_at, pool.now);
    pool.monitor
        .handle_registrations(vec![], asked_at, pool.now);
    assert_eq!(pool.status(0), Some(RunnerStatus::Starting));
    assert_eq!(pool.steps(), [""; 0]);
    pool.look();
    assert_eq!(pool.status(0), Some(RunnerStatus::Starting));
}

#[test]
fn a_list_that_lags_proves_nothing_about_a_runner_that_was_never_in_one() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.turn();
    let registrations = std::mem::take(&mut pool.world.registrations);
    pool.turn();
    assert_eq!(pool.status(0), Some(RunnerStatus::Starting));
    assert_eq!(pool.world.deeds, ["register 0", "make 0"]);
    pool.world.registrations = registrations;
    pool.settle();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);

    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.turn();
    pool.world.registrations.clear();
    pool.pass(Duration::from_secs(101));
    pool.turn();
    assert!(
        pool.world.deeds.contains(&"destroy 0".into()),
        "but it does not wait for ever"
    );
}

/// Lesson 9: a registration with a foreign name shifted the list.
#[test]
fn foreign_registrations_are_nobodys_and_the_others_are_joined_by_id() {
    let mut pool = TestPool::with_idle(&[("linux", 2)]);
    for foreign in [
        "ci-runner-linux.0@other",
        "ci-runner-linux.99@other",
        "laptop",
        "",
        "ci-runner-windows.0@host",
    ] {
        let id = pool.world.register(foreign, &[]);
        pool.world.registrations.get_mut(&id).unwrap().busy = true;
    }
    pool.world.registration(1).busy = true;
    let own = pool.world.registrations.remove(&2).unwrap();
    pool.world.registrations.insert(900, own);
    pool.look();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle, RunnerStatus::Busy]);
    assert_eq!(pool.steps(), [""; 0]);
}

/// Lesson 8: GitHub refuses to unregister a busy runner; the guest was destroyed all the same.
#[test]
fn a_runner_that_github_finds_busy_is_left_alone_whatever_the_list_says() {
    let mut pool = one_runner(take);
    pool.pass(Duration::from_secs(201));
    let task = pool.begin().pop().unwrap();
    pool.world.start_job(0);
    pool.perform(task);
    assert!(pool.world.guests.contains("ci-runner-linux.0"));
    assert_eq!(pool.status(0), Some(RunnerStatus::Busy));
    assert_eq!(pool.steps(), [""; 0]);
    pool.world.end_job(0);
    pool.settle();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
    assert_eq!(pool.status(0), None);
}
