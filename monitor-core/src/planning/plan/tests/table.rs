//! Each row of the status table, and lists that lag.

use std::time::Duration;

use shared::{registration::RegistrationStatus, wire::RunnerStatus};

use crate::{Poll, RunnerId, testing::TestPool};

/// A pool with runner 0 of profile `linux`, which was idle, after polls that show a change.
fn one_runner(change: impl FnOnce(&mut TestPool)) -> TestPool {
    let mut pool = TestPool::with_idle_linux(1);
    change(&mut pool);
    pool.poll();
    pool
}

#[test]
fn before_both_lists_are_known_nothing_is_planned() {
    let mut pool = TestPool::empty_with_target(1);
    pool.assert_no_steps();
    pool.poll_guests();
    pool.assert_no_steps();
    pool.poll_registrations();
    assert_eq!(
        pool.steps(),
        ["create runner 0 (linux): there are fewer than the target"]
    );
}

fn take(pool: &mut TestPool) {
    pool.take("job", "linux", 1).unwrap();
}

/// Asserts the status of runner 0, the reason to destroy it, and that planning is repeatable.
fn assert_row(change: impl FnOnce(&mut TestPool), status: RunnerStatus, reason: Option<&str>) {
    let pool = one_runner(change);
    assert_eq!(pool.status(0), Some(status));
    let steps = reason.map(|reason| format!("destroy runner 0 (linux): {reason}"));
    assert_eq!(pool.steps(), steps.into_iter().collect::<Vec<_>>());
    assert_eq!(pool.plan(), pool.plan());
}

#[test]
fn a_runner_without_a_guest_is_invalid_even_if_github_lists_it_as_busy() {
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
    let no_registration = |pool: &mut TestPool| {
        pool.world.registrations.clear();
        pool.poll_until_confirmed();
    };
    let reason = Some("GitHub has removed its registration");
    assert_row(no_registration, RunnerStatus::Done, reason);
}

#[test]
fn a_busy_runner_is_kept_however_long_ago_it_was_reserved() {
    assert_row(|pool| pool.world.start_job(0), RunnerStatus::Busy, None);
    let long_ago = |pool: &mut TestPool| {
        take(pool);
        pool.world.start_job(0);
        pool.advance(Duration::from_secs(10_000));
    };
    assert_row(long_ago, RunnerStatus::Busy, None);
}

#[test]
fn a_reserved_runner_is_kept_until_the_reserve_timeout() {
    assert_row(take, RunnerStatus::Reserved, None);
    let offline = |pool: &mut TestPool| {
        take(pool);
        pool.world.registration(0).status = RegistrationStatus::Offline;
    };
    assert_row(offline, RunnerStatus::Reserved, None);
    let too_long = |pool: &mut TestPool| {
        take(pool);
        pool.advance(Duration::from_secs(201));
    };
    let reason = Some("its job did not start within monitor_reserve_timeout");
    assert_row(too_long, RunnerStatus::Reserved, reason);
}

/// During an outage of GitHub a job may have its runner, or get it next, without being seen.
#[test]
fn an_outage_of_github_does_not_count_towards_the_reserve_timeout() {
    let mut pool = TestPool::with_idle_linux(1);
    take(&mut pool);
    for _ in 0..2 {
        let now = pool.now;
        let poll = Poll::Registrations;
        pool.monitor.handle_poll_failed(poll, None, now);
        pool.advance(Duration::from_secs(1800));
        pool.poll_guests();
        pool.assert_no_steps();
    }
    pool.poll();
    pool.advance(Duration::from_secs(200));
    pool.assert_no_steps();
    pool.advance(Duration::from_secs(1));
    assert_eq!(pool.steps().len(), 1);
}

#[test]
fn an_online_runner_is_idle_and_an_offline_one_starting_until_the_start_timeout() {
    assert_row(|_| {}, RunnerStatus::Idle, None);
    let offline = |pool: &mut TestPool| {
        pool.world.registration(0).status = RegistrationStatus::Offline;
    };
    assert_row(offline, RunnerStatus::Starting, None);
    let too_long = |pool: &mut TestPool| {
        pool.world.registration(0).status = RegistrationStatus::Offline;
        pool.poll();
        pool.advance(Duration::from_secs(60));
    };
    let reason = Some("it was online, and has been offline for a minute");
    assert_row(too_long, RunnerStatus::Starting, reason);
}

/// GitHub's lists have shown this for some seconds although nothing was wrong.
#[test]
fn one_odd_list_is_not_acted_upon() {
    let offline = |pool: &mut TestPool| {
        for registration in pool.world.registrations.values_mut() {
            registration.status = RegistrationStatus::Offline;
        }
    };
    let empty = |pool: &mut TestPool| pool.world.registrations.clear();
    let incomplete = |pool: &mut TestPool| pool.world.drop_registration(1);
    let changes: [&dyn Fn(&mut TestPool); 3] = [&offline, &empty, &incomplete];
    for change in changes {
        let mut pool = TestPool::with_idle_linux(3);
        pool.advance(Duration::from_secs(10_000));
        pool.take("job", "linux", 1).unwrap();
        let registrations = pool.world.registrations.clone();
        change(&mut pool);
        for _ in 0..3 {
            pool.poll();
            pool.assert_no_steps();
            assert_eq!(pool.counts("linux").healthy, 3);
            pool.advance(Duration::from_secs(4));
        }
        assert_eq!(pool.counts("linux").reserved, 1);
        pool.world.registrations = registrations;
        pool.poll();
        assert_eq!(pool.counts("linux").idle, 2);
        // Odd readings with long pauses between them do not add up.
        for _ in 0..8 {
            let registrations = pool.world.registrations.clone();
            change(&mut pool);
            pool.advance(Duration::from_secs(10));
            pool.poll();
            pool.assert_no_steps();
            pool.world.registrations = registrations;
            pool.advance(Duration::from_secs(10));
            pool.poll();
        }
    }
}

#[test]
fn a_runner_that_lists_lack_is_not_given_to_a_job() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.registrations.clear();
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Starting]);
}

/// The hypervisor reports the end of each guest; a list alone may be incomplete.
#[test]
fn a_guest_whose_end_is_not_reported_is_gone_only_after_several_lists() {
    let mut pool = TestPool::with_idle_linux(1);
    for is_back in [false, true, false, false, false, false] {
        pool.advance(Duration::from_secs(1));
        let now = pool.now;
        pool.monitor.handle_guests(vec![], now, now);
        assert_eq!(pool.statuses(), [RunnerStatus::Starting]);
        pool.assert_no_steps();
        assert!(
            pool.monitor.next_poll_at() <= Some(now),
            "the next list follows at once"
        );
        if is_back {
            pool.poll();
            assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
        }
    }
    pool.advance(Duration::from_secs(1));
    let now = pool.now;
    pool.monitor.handle_guests(vec![], now, now);
    assert_eq!(pool.statuses(), [RunnerStatus::Invalid]);
}

#[test]
fn a_timeout_ends_only_after_its_last_moment() {
    let mut pool = TestPool::empty_with_target(1);
    pool.turn();
    let created_at = pool.monitor.durable.runners[&RunnerId(0)].created_at;
    pool.now = created_at + Duration::from_secs(100) - Duration::from_millis(2);
    pool.poll();
    pool.assert_no_steps();
    pool.advance(Duration::from_millis(1));
    assert_eq!(pool.steps().len(), 1);
}

/// A guest that GitHub does not list yet must not be destroyed.
#[test]
fn a_list_that_is_older_than_a_runner_proves_nothing_about_it() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    let (guests, registrations) = (pool.world.guests.clone(), pool.world.registrations.clone());
    let asked_at = pool.now;
    pool.execute_plan();
    assert_eq!((guests.len(), registrations.len()), (0, 0));
    pool.monitor.handle_guests(vec![], asked_at, pool.now);
    pool.monitor
        .handle_registrations(vec![], asked_at, pool.now);
    assert_eq!(pool.status(0), Some(RunnerStatus::Starting));
    pool.assert_no_steps();
    pool.poll();
    assert_eq!(pool.status(0), Some(RunnerStatus::Starting));
}

#[test]
fn a_list_that_lags_proves_nothing_about_a_runner_that_was_never_in_one() {
    let mut pool = TestPool::empty_with_target(1);
    pool.turn();
    let registrations = std::mem::take(&mut pool.world.registrations);
    pool.turn();
    assert_eq!(pool.status(0), Some(RunnerStatus::Starting));
    assert_eq!(pool.world.effects, ["register 0", "make 0"]);
    pool.world.registrations = registrations;
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);

    let mut pool = TestPool::empty_with_target(1);
    pool.turn();
    pool.world.registrations.clear();
    pool.advance(Duration::from_secs(101));
    pool.turn();
    assert!(
        pool.world.effects.contains(&"destroy 0".into()),
        "the start timeout still applies"
    );
}

/// Registrations are joined with guests by id, never by their place in the list.
#[test]
fn foreign_registrations_are_ignored_and_the_others_joined_by_id() {
    let mut pool = TestPool::with_idle_linux(2);
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
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle, RunnerStatus::Busy]);
    pool.assert_no_steps();
}

/// GitHub refuses to delete the registration of a busy runner; then its guest is kept too.
#[test]
fn a_runner_that_github_refuses_to_delete_is_kept_whatever_the_list_shows() {
    let mut pool = one_runner(take);
    pool.advance(Duration::from_secs(201));
    let effect = pool.begin().pop().unwrap();
    pool.world.start_job(0);
    pool.perform(effect);
    assert!(pool.world.guests.contains("ci-runner-linux.0"));
    assert_eq!(pool.status(0), Some(RunnerStatus::Busy));
    pool.assert_no_steps();
    pool.world.end_job(0);
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
    assert_eq!(pool.status(0), None);
}
