//! Which runners are destroyed and created first, and what has to wait.

use std::time::Duration;

use shared::wire::RunnerStatus;

use crate::testing::{NO_STEPS, TestPool, hugepages, policy, profile_key};

#[test]
fn beyond_the_target_only_idle_runners_are_destroyed_the_newest_first() {
    let mut pool = TestPool::with_idle_linux(5);
    pool.world.start_job(4);
    pool.poll();
    pool.take("job", "linux", 1).unwrap();
    pool.profile_mut("linux").target_count = 3;
    assert_eq!(pool.counts("linux").excess_healthy, 2);
    let reason = "there are more idle ones than the target";
    assert_eq!(
        pool.steps(),
        [
            format!("destroy runner 2 (linux): {reason}"),
            format!("destroy runner 3 (linux): {reason}")
        ]
    );
    pool.converge();
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
fn if_no_runners_are_to_be_created_busy_and_reserved_ones_stay() {
    let mut pool = TestPool::with_idle_linux(3);
    pool.world.start_job(2);
    pool.poll();
    pool.take("job", "linux", 1).unwrap();
    pool.monitor.policy.makes_runners = false;
    pool.converge();
    assert_eq!(
        pool.statuses(),
        [RunnerStatus::Reserved, RunnerStatus::Busy]
    );
    assert_eq!(pool.counts("linux").target, 0);
}

#[test]
fn starting_runners_are_destroyed_only_if_the_settings_say_so() {
    let mut pool = TestPool::empty_with_target(1);
    pool.turn();
    pool.poll();
    pool.monitor.policy.makes_runners = false;
    pool.assert_no_steps();
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
    pool.poll();
    assert_eq!(
        pool.steps(),
        ["destroy runner 0 (linux): its guest is gone"]
    );
    assert_eq!(
        pool.shortfalls(),
        ["1 more of linux: others have to be destroyed first"]
    );
    let effects = pool.begin();
    assert_eq!(pool.steps(), NO_STEPS, "also while it is being destroyed");
    for effect in effects {
        pool.perform(effect);
    }
    assert_eq!(
        pool.steps(),
        ["create runner 3 (linux): there are fewer than the target"]
    );
}

/// One runner that cannot be destroyed must not stop the creation of all others.
#[test]
fn a_stuck_runner_delays_the_creation_of_others_only_for_a_while() {
    let mut pool = TestPool::with_idle_linux(2);
    pool.monitor.policy.capacity = hugepages(2);
    pool.world.stuck.insert("ci-runner-linux.0".into());
    pool.world.drop_registration(0);
    pool.poll_until_confirmed();
    pool.turn();
    pool.poll();
    pool.assert_no_steps();
    assert_eq!(
        pool.shortfalls(),
        ["1 more of linux: others have to be destroyed first"]
    );
    pool.advance(Duration::from_secs(5));
    pool.turn();
    pool.poll();
    let no_room = "1 more of linux: each needs 1 hugepage of 1G; in use: 2 hugepages of 1G";
    assert_eq!(
        pool.shortfalls(),
        [no_room],
        "it still counts against capacity"
    );
    pool.monitor.policy.capacity = hugepages(3);
    assert_eq!(
        pool.steps(),
        ["create runner 2 (linux): there are fewer than the target"]
    );
    pool.converge();
    pool.world.stuck.clear();
    pool.advance(Duration::from_secs(300));
    pool.converge();
    assert_eq!(pool.status(0), None);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 2]);
}

#[test]
fn a_failed_destruction_is_repeated_after_growing_pauses() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.stuck.insert("ci-runner-linux.0".into());
    pool.world.registrations.clear();
    pool.poll_until_confirmed();
    for pause in [5, 10, 20, 40, 80, 160, 300, 300] {
        let destructions = |pool: &TestPool| {
            pool.steps()
                .iter()
                .filter(|step| step.starts_with("destroy runner 0"))
                .count()
        };
        let effect = pool.begin().into_iter().next().unwrap();
        pool.perform(effect);
        assert_eq!(destructions(&pool), 0);
        pool.advance(Duration::from_secs(pause) - Duration::from_millis(1));
        assert_eq!(destructions(&pool), 0, "{pause}");
        // Jitter adds up to half of it.
        pool.advance(Duration::from_secs(pause) / 2);
        assert_eq!(destructions(&pool), 1, "{pause}");
    }
    let asked = pool.world.effects.iter().filter(|it| *it == "unregister 0");
    assert_eq!(asked.count(), 1, "GitHub deleted it the first time");
}

#[test]
fn the_capacity_is_never_exceeded_and_shared_fairly() {
    let mut settings = policy(&[("big", 2), ("linux", 4), ("windows", 8)]);
    settings
        .profiles
        .get_mut(&profile_key("big"))
        .unwrap()
        .needs = hugepages(5);
    settings.capacity = hugepages(12);
    let mut pool = TestPool::new(settings);
    pool.converge();
    let healthy = ["big", "linux", "windows"].map(|key| pool.counts(key).healthy);
    assert_eq!(healthy, [1, 3, 4]);
    assert!(pool.shortfalls()[0].starts_with("1 more of big: each needs 5 hugepages"));
    // However runners come and go, there are never more than fit.
    for id in 0..20 {
        if pool.status(id) == Some(RunnerStatus::Idle) {
            pool.world.end_job(id);
            pool.converge();
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
fn at_most_eight_runners_are_created_at_a_time() {
    let mut pool = TestPool::empty_with_target(20);
    pool.poll();
    assert_eq!(pool.begin().len(), 8);
    assert_eq!(
        pool.shortfalls(),
        ["12 more of linux: enough are being created"]
    );
    pool.assert_no_steps();
}

#[test]
fn while_the_needs_of_a_guest_are_unknown_nothing_is_created() {
    let mut pool = TestPool::empty_with_target(1);
    pool.world.guests.insert("ci-runner-gone.3".into());
    let id = pool.world.register("ci-runner-gone.3@host", &[]);
    pool.world.registrations.get_mut(&id).unwrap().busy = true;
    pool.poll();
    assert_eq!(
        pool.shortfalls(),
        [
            "1 more of linux: there is a guest without a record, of a profile that is not in the settings"
        ]
    );
    pool.world.end_job(3);
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

#[test]
fn a_runner_that_is_being_created_counts_whatever_the_hypervisor_lists() {
    let mut settings = policy(&[("linux", 2)]);
    settings.capacity = hugepages(1);
    let mut pool = TestPool::new(settings);
    pool.poll();
    assert_eq!(pool.begin().len(), 1);
    pool.poll();
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(1)));
    pool.assert_no_steps();
}

#[test]
fn at_most_sixteen_runners_are_destroyed_at_a_time() {
    let mut pool = TestPool::with_idle_linux(20);
    pool.world.registrations.clear();
    pool.poll_until_confirmed();
    assert_eq!(pool.begin().len(), 16);
    pool.assert_no_steps();
}

#[test]
fn only_idle_runners_count_as_excess() {
    let mut pool = TestPool::with_idle_linux(3);
    pool.world.start_job(0);
    pool.world.start_job(1);
    pool.poll();
    pool.monitor.policy = policy(&[("linux", 1)]);
    let counts = pool.counts("linux");
    assert_eq!((counts.healthy, counts.excess_healthy), (3, 1));
    pool.world.start_job(2);
    pool.poll();
    assert_eq!(pool.counts("linux").excess_healthy, 0);
}
