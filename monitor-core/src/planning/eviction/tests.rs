//! Whom a rebuild may displace, and that the room is its own then.

use std::time::Duration;

use shared::wire::RunnerStatus;

use super::*;
use crate::testing::{TestPool, hugepages, policy, profile_key};

/// A pool that its idle runners fill, with one profile `built` whose image is too old, and whose
/// runners, like its rebuild, need so many hugepages; others need one.
fn pool(targets: &[(&str, usize)], needs: u64) -> TestPool {
    let mut policy = policy(targets);
    let built = policy.profiles.get_mut(&profile_key("built")).unwrap();
    built.builds_image = true;
    built.needs = hugepages(needs);
    let all = policy.profiles.values();
    policy.capacity = all.map(|it| it.needs.times(it.target_count)).sum();
    let mut pool = TestPool::new(policy);
    see_image(&mut pool, Duration::ZERO);
    pool.settle();
    see_image(&mut pool, Duration::from_secs(5000));
    pool
}

fn see_image(pool: &mut TestPool, age: Duration) {
    let images = [(profile_key("built"), pool.now - age)];
    pool.monitor.handle_images(images.into());
}

fn given_up(id: u64, profile: &str) -> String {
    format!("destroy runner {id} ({profile}): the image of built is to be rebuilt in its place")
}

const REBUILD: &str = "rebuild the image of built: it is older than base_image_max_age";

#[test]
fn an_idle_runner_makes_room_and_nothing_else_takes_it() {
    let mut pool = pool(&[("built", 2), ("linux", 2)], 1);
    assert_eq!(pool.steps(), [given_up(2, "built")]);
    for task in pool.begin() {
        assert_eq!(pool.steps(), [""; 0], "nothing more while it is going");
        pool.perform(task);
    }
    assert_eq!(pool.steps(), [REBUILD], "before any new runner");
    pool.settle();
    assert_eq!(pool.steps(), [""; 0]);
    assert_eq!(pool.world.guests.len(), 3);
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(4)));

    let now = pool.now;
    let built = profile_key("built");
    pool.monitor.handle_rebuilt(&built, Ok(now), now);
    pool.settle();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 4]);
    assert_eq!(pool.world.guests_max, 4);
}

#[test]
fn runners_of_other_profiles_go_where_there_are_none_of_its_own_as_many_as_needed() {
    let mut pool = pool(&[("built", 0), ("linux", 5)], 3);
    let expected = [2, 3, 4].map(|id| given_up(id, "linux"));
    assert_eq!(pool.steps(), expected);
    pool.settle();
    assert_eq!(pool.world.guests.len(), 2);
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(5)));
}

#[test]
fn only_those_go_whose_going_helps() {
    let mut pool = pool(&[("built", 1), ("linux", 2)], 2);
    // The newest takes nothing of which there is too little.
    let newest = RunnerId(2);
    let mebibytes = shared::units::Memory::from_bytes(1 << 20);
    pool.monitor.policy.capacity.memory = mebibytes;
    let record = pool.monitor.durable.runners.get_mut(&newest).unwrap();
    record.needs = Some(Resources {
        hugepages_1g: 0,
        memory: mebibytes,
    });
    pool.world.start_job(0);
    pool.look();
    pool.monitor.policy.capacity.hugepages_1g = 4;
    assert_eq!(pool.steps(), [given_up(1, "linux")]);
}

#[test]
fn neither_reserved_nor_busy_runners_go_and_none_does_where_idle_ones_are_not_enough() {
    let mut pool = pool(&[("built", 1), ("linux", 3)], 3);
    pool.world.start_job(0);
    pool.look();
    pool.take("job", "linux", 1).unwrap();
    assert_eq!(pool.steps(), [""; 0], "two of three are not enough");
    pool.world.end_job(0);
    pool.settle();
    assert_eq!(
        pool.world.guests.len(),
        3,
        "room that comes by itself is used"
    );
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(6)));
    assert_eq!(pool.statuses()[0], RunnerStatus::Reserved);
}

#[test]
fn whoever_goes_anyway_is_room_enough() {
    let mut pool = pool(&[("built", 1), ("linux", 2)], 1);
    let linux = profile_key("linux");
    pool.monitor
        .policy
        .profiles
        .get_mut(&linux)
        .unwrap()
        .target_count = 1;
    let expected = "destroy runner 2 (linux): there are more idle ones than the target";
    assert_eq!(pool.steps(), [expected]);
}

#[test]
fn one_that_has_just_begun_its_job_stays_and_another_goes() {
    let mut pool = pool(&[("built", 2)], 1);
    let tasks = pool.begin();
    pool.world.start_job(1);
    for task in tasks {
        pool.perform(task);
    }
    assert_eq!(pool.status(1), Some(RunnerStatus::Busy));
    assert_eq!(pool.steps(), [given_up(0, "built")]);
}

#[test]
fn one_that_cannot_be_destroyed_is_not_waited_for() {
    let mut pool = pool(&[("built", 2)], 1);
    // Chance adds up to half of each pause.
    for pause in [5, 10].map(|seconds| seconds * 3 / 2) {
        assert_eq!(pool.steps(), [given_up(1, "built")]);
        pool.world.deeds_left = Some(0);
        pool.turn();
        assert_eq!(pool.status(1), Some(RunnerStatus::Idle), "it goes on");
        pool.pass(Duration::from_secs(pause));
    }
    assert_eq!(pool.steps(), [given_up(0, "built")]);
}

#[test]
fn a_rebuild_that_failed_displaces_nobody_before_it_is_tried_again() {
    let mut pool = pool(&[("built", 1)], 1);
    pool.settle();
    assert_eq!(pool.world.guests.len(), 0);
    let built = profile_key("built");
    let failure = Err("it took too long".to_owned());
    pool.monitor.handle_rebuilt(&built, failure, pool.now);
    pool.settle();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
    pool.pass(Duration::from_secs(90));
    assert_eq!(pool.steps(), [given_up(1, "built")]);
}

#[test]
fn a_rebuild_for_which_the_host_is_too_small_displaces_nobody() {
    let mut pool = pool(&[("built", 1), ("linux", 3)], 1);
    let built = profile_key("built");
    pool.monitor.policy.profiles.get_mut(&built).unwrap().needs = hugepages(5);
    assert_eq!(pool.steps(), [""; 0]);
}
