//! Who is destroyed first, who is created, and what has to wait.

use std::time::Duration;

use shared::wire::RunnerStatus;

use crate::testing::{TestPool, hugepages, policy, profile_key};

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
        pool.shortfalls(),
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
        pool.shortfalls(),
        ["1 more of linux: others have to be destroyed first"]
    );
    pool.pass(Duration::from_secs(5));
    pool.turn();
    pool.look();
    let no_room = "1 more of linux: each needs 1 hugepages of 1G and 0B of memory, \
                   and 2 hugepages of 1G and 0B of memory are in use";
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
        // Chance adds up to half of it.
        pool.pass(Duration::from_secs(pause) / 2);
        assert_eq!(destructions(&pool), 1, "{pause}");
    }
    let asked = pool.world.deeds.iter().filter(|it| *it == "unregister 0");
    assert_eq!(asked.count(), 1, "GitHub has let go of it the first time");
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
    assert!(pool.shortfalls()[0].starts_with("1 more of big: each needs 5 hugepages"));
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
        pool.shortfalls(),
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
        pool.shortfalls(),
        [
            "1 more of linux: there is a guest without a record, of a profile that is not in the settings"
        ]
    );
    pool.world.end_job(3);
    pool.settle();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

#[test]
fn a_runner_that_is_being_made_has_its_room_whatever_the_hypervisor_shows() {
    let mut settings = policy(&[("linux", 2)]);
    settings.capacity = hugepages(1);
    let mut pool = TestPool::new(settings);
    pool.look();
    assert_eq!(pool.begin().len(), 1);
    pool.look();
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(1)));
    assert_eq!(pool.steps(), [""; 0]);
}

#[test]
fn destructions_come_a_few_at_a_time() {
    let mut pool = TestPool::with_idle(&[("linux", 20)]);
    pool.world.registrations.clear();
    pool.look();
    assert_eq!(pool.begin().len(), 16);
    assert_eq!(pool.steps(), [""; 0]);
}

#[test]
fn only_idle_runners_count_as_too_many() {
    let mut pool = TestPool::with_idle(&[("linux", 3)]);
    pool.world.start_job(0);
    pool.world.start_job(1);
    pool.look();
    pool.monitor.policy = policy(&[("linux", 1)]);
    let counts = pool.counts("linux");
    assert_eq!((counts.healthy, counts.excess_healthy), (3, 1));
    pool.world.start_job(2);
    pool.look();
    assert_eq!(pool.counts("linux").excess_healthy, 0);
}
