//! The table of the reconciler, row by row, and the rules of destruction and creation.

use std::time::Duration;

use shared::{github::RegistrationStatus, wire::RunnerStatus};

use crate::core::{
    RunnerId,
    testing::{TestPool, hugepages, policy, profile_key},
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
    let created_at = pool.monitor.intent.runners[&RunnerId(0)].created_at;
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
        "ci-runner-windows.1@host",
    ] {
        let id = pool.world.register(foreign, &[]);
        pool.world.registrations.get_mut(&id).unwrap().busy = true;
    }
    pool.world.registration(1).busy = true;
    let own = pool.world.registrations.remove(&1).unwrap();
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

#[test]
fn only_idle_runners_are_bled_off_and_the_newest_go_first() {
    let mut pool = TestPool::with_idle(&[("linux", 5)]);
    pool.world.start_job(4);
    pool.look();
    pool.take("job", "linux", 1).unwrap();
    pool.monitor
        .policy
        .profiles
        .get_mut(&profile_key("linux"))
        .unwrap()
        .target_count = 3;
    assert_eq!(pool.counts("linux").excess_healthy, 2);
    let reason = "there are more idle ones than the target";
    assert_eq!(
        pool.steps(),
        [
            format!("destroy runner 2 (linux): {reason}"),
            format!("destroy runner 3 (linux): {reason}")
        ]
    );
    pool.settle();
    assert_eq!(
        pool.statuses(),
        [
            RunnerStatus::Reserved,
            RunnerStatus::Idle,
            RunnerStatus::Busy
        ]
    );
}

#[test]
fn without_new_runners_busy_and_reserved_ones_stay() {
    let mut pool = TestPool::with_idle(&[("linux", 3)]);
    pool.world.start_job(2);
    pool.look();
    pool.take("job", "linux", 1).unwrap();
    pool.monitor.policy.makes_runners = false;
    pool.settle();
    assert_eq!(
        pool.statuses(),
        [RunnerStatus::Reserved, RunnerStatus::Busy]
    );
    assert_eq!(pool.counts("linux").target, 0);
}

#[test]
fn starting_runners_are_destroyed_only_if_all_are() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.turn();
    pool.look();
    pool.monitor.policy.makes_runners = false;
    assert_eq!(pool.steps(), [""; 0]);
    pool.monitor.policy.destroys_all = true;
    assert_eq!(
        pool.steps(),
        ["destroy runner 0 (linux): destroy_all_non_busy_runners is set"]
    );
}

#[test]
fn nothing_is_created_while_something_is_to_be_destroyed() {
    let mut pool = TestPool::with_idle(&[("linux", 2), ("windows", 1)]);
    pool.world.end_job(0);
    pool.look();
    assert_eq!(
        pool.steps(),
        ["destroy runner 0 (linux): its guest is gone"]
    );
    assert_eq!(
        pool.refusals(),
        ["1 more of linux: others have to be destroyed first"]
    );
    let tasks = pool.begin();
    assert_eq!(pool.steps(), [""; 0], "also while it is being destroyed");
    for task in tasks {
        pool.perform(task);
    }
    assert_eq!(
        pool.steps(),
        ["create runner 3 (linux): there are fewer than the target"]
    );
}

/// Lesson 13: one runner that cannot be destroyed stopped the creation of all others.
#[test]
fn a_runner_that_cannot_be_destroyed_holds_up_the_others_only_for_a_while() {
    let mut pool = TestPool::with_idle(&[("linux", 2)]);
    pool.monitor.policy.capacity = hugepages(2);
    pool.world.stuck.insert("ci-runner-linux.0".into());
    let registration_id = pool.world.registration(0).id;
    pool.world.registrations.remove(&registration_id);
    pool.turn();
    pool.look();
    assert_eq!(pool.steps(), [""; 0]);
    assert_eq!(
        pool.refusals(),
        ["1 more of linux: others have to be destroyed first"]
    );
    pool.pass(Duration::from_secs(5));
    pool.turn();
    pool.look();
    let no_room = "1 more of linux: each needs 1 hugepages of 1G and 0B of memory, \
                   and 2 hugepages of 1G and 0B of memory are in use";
    assert_eq!(
        pool.refusals(),
        [no_room],
        "it still counts against capacity"
    );
    pool.monitor.policy.capacity = hugepages(3);
    assert_eq!(
        pool.steps(),
        ["create runner 2 (linux): there are fewer than the target"]
    );
    pool.settle();
    pool.world.stuck.clear();
    pool.pass(Duration::from_secs(300));
    pool.settle();
    assert_eq!(pool.status(0), None);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 2]);
}

#[test]
fn destroying_is_tried_again_ever_more_slowly() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.world.stuck.insert("ci-runner-linux.0".into());
    pool.world.registrations.clear();
    pool.look();
    for pause in [5, 10, 20, 40, 80, 160, 300, 300] {
        let destructions = |pool: &TestPool| {
            pool.steps()
                .iter()
                .filter(|step| step.starts_with("destroy runner 0"))
                .count()
        };
        let task = pool.begin().into_iter().next().unwrap();
        pool.perform(task);
        assert_eq!(destructions(&pool), 0);
        pool.pass(Duration::from_secs(pause) - Duration::from_millis(1));
        assert_eq!(destructions(&pool), 0, "{pause}");
        pool.pass(Duration::from_millis(1));
        assert_eq!(destructions(&pool), 1, "{pause}");
    }
}

#[test]
fn what_the_host_has_is_never_exceeded_and_shared_fairly() {
    let mut settings = policy(&[("big", 2), ("linux", 4), ("windows", 8)]);
    settings
        .profiles
        .get_mut(&profile_key("big"))
        .unwrap()
        .needs = hugepages(5);
    settings.capacity = hugepages(12);
    let mut pool = TestPool::new(settings);
    pool.settle();
    let healthy = ["big", "linux", "windows"].map(|key| pool.counts(key).healthy);
    assert_eq!(healthy, [1, 3, 4]);
    assert!(pool.refusals()[0].starts_with("1 more of big: each needs 5 hugepages"));
    // Whatever comes and goes, there is never more than fits.
    for id in 0..20 {
        if pool.status(id) == Some(RunnerStatus::Idle) {
            pool.world.end_job(id);
            pool.settle();
            assert!(
                pool.monitor
                    .resources_in_use()
                    .unwrap()
                    .fits_in(hugepages(12))
            );
        }
    }
}

#[test]
fn creations_come_a_few_at_a_time() {
    let mut pool = TestPool::new(policy(&[("linux", 20)]));
    pool.look();
    assert_eq!(pool.begin().len(), 8);
    assert_eq!(
        pool.refusals(),
        ["12 more of linux: enough are being created"]
    );
    assert_eq!(pool.steps(), [""; 0]);
}

#[test]
fn a_guest_of_an_unknown_profile_without_a_record_lets_nothing_be_created() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.world.guests.insert("ci-runner-gone.3".into());
    let id = pool.world.register("ci-runner-gone.3@host", &[]);
    pool.world.registrations.get_mut(&id).unwrap().busy = true;
    pool.look();
    assert_eq!(
        pool.refusals(),
        [
            "1 more of linux: there is a guest without a record, of a profile that is not in the settings"
        ]
    );
    pool.world.end_job(3);
    pool.settle();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}
