//! Which runners are evicted for a rebuild, and that nothing else gets the room.

use std::time::Duration;

use shared::wire::RunnerStatus;

use crate::{
    Resources, RunnerId,
    testing::{NO_STEPS, TestPool, hugepages, policy, profile_key},
};

/// A pool whose capacity is used up by idle runners. The image of its profile `built` is too old;
/// each of its runners, and its rebuild, needs `needs` hugepages, other runners one.
fn pool(targets: &[(&str, usize)], needs: u64) -> TestPool {
    let mut policy = policy(targets);
    let built = policy.profiles.get_mut(&profile_key("built")).unwrap();
    built.builds_image = true;
    built.needs = hugepages(needs);
    let all = policy.profiles.values();
    policy.capacity = all.map(|it| it.needs.times(it.target_count)).sum();
    let mut pool = TestPool::new(policy);
    set_image_age(&mut pool, Duration::ZERO);
    pool.converge();
    set_image_age(&mut pool, Duration::from_secs(5000));
    pool
}

fn set_image_age(pool: &mut TestPool, age: Duration) {
    let images = [(profile_key("built"), pool.now - age)];
    pool.monitor.handle_images(images.into());
}

fn eviction(id: u64, profile: &str) -> String {
    format!("destroy runner {id} ({profile}): it makes room for rebuilding the image of built")
}

const REBUILD: &str = "rebuild the image of built: it is older than base_image_max_age";

#[test]
fn an_idle_runner_makes_room_and_nothing_else_gets_it() {
    let mut pool = pool(&[("built", 2), ("linux", 2)], 1);
    assert_eq!(pool.steps(), [eviction(2, "built")]);
    for effect in pool.begin() {
        assert_eq!(
            pool.steps(),
            NO_STEPS,
            "nothing more while it is being destroyed"
        );
        pool.perform(effect);
    }
    assert_eq!(pool.steps(), [REBUILD], "before any new runner");
    pool.converge();
    pool.assert_no_steps();
    assert_eq!(pool.world.guests.len(), 3);
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(4)));

    let now = pool.now;
    let built = profile_key("built");
    pool.monitor.handle_rebuilt(&built, Ok(now), now);
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 4]);
    assert_eq!(pool.world.guests_max, 4);
}

#[test]
fn without_runners_of_its_profile_as_many_others_as_needed_are_evicted() {
    let mut pool = pool(&[("built", 0), ("linux", 5)], 3);
    let expected = [2, 3, 4].map(|id| eviction(id, "linux"));
    assert_eq!(pool.steps(), expected);
    pool.converge();
    assert_eq!(pool.world.guests.len(), 2);
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(5)));
}

#[test]
fn only_runners_that_use_the_scarce_resource_are_evicted() {
    let mut pool = pool(&[("built", 1), ("linux", 2)], 2);
    // The newest uses memory only, and hugepages are scarce.
    let newest = RunnerId(2);
    let mebibytes = shared::units::Memory::from_bytes(1 << 20);
    pool.monitor.policy.capacity.memory = mebibytes;
    let record = pool.monitor.durable.runners.get_mut(&newest).unwrap();
    record.needs = Some(Resources {
        hugepages_1g: 0,
        memory: mebibytes,
    });
    pool.world.start_job(0);
    pool.poll();
    pool.monitor.policy.capacity.hugepages_1g = 4;
    assert_eq!(pool.steps(), [eviction(1, "linux")]);
}

#[test]
fn reserved_and_busy_runners_are_not_evicted_and_none_is_if_idle_ones_are_not_enough() {
    let mut pool = pool(&[("built", 1), ("linux", 3)], 3);
    pool.world.start_job(0);
    pool.poll();
    pool.take("job", "linux", 1).unwrap();
    assert_eq!(pool.steps(), NO_STEPS, "two of three are not enough");
    pool.world.end_job(0);
    pool.converge();
    assert_eq!(
        pool.world.guests.len(),
        3,
        "the rebuild uses the room of a runner that ended"
    );
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(6)));
    assert_eq!(pool.statuses()[0], RunnerStatus::Reserved);
}

#[test]
fn no_runner_is_evicted_if_those_beyond_the_target_make_enough_room() {
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
fn a_runner_that_has_just_begun_a_job_stays_and_another_is_evicted() {
    let mut pool = pool(&[("built", 2)], 1);
    let effects = pool.begin();
    pool.world.start_job(1);
    for effect in effects {
        pool.perform(effect);
    }
    assert_eq!(pool.status(1), Some(RunnerStatus::Busy));
    assert_eq!(pool.steps(), [eviction(0, "built")]);
}

#[test]
fn a_stuck_runner_is_replaced_by_another() {
    let mut pool = pool(&[("built", 2)], 1);
    // Jitter adds up to half of each pause.
    for pause in [5, 10].map(|seconds| seconds * 3 / 2) {
        assert_eq!(pool.steps(), [eviction(1, "built")]);
        pool.world.effects_left = Some(0);
        pool.turn();
        assert_eq!(
            pool.status(1),
            Some(RunnerStatus::Idle),
            "it is still usable"
        );
        pool.advance(Duration::from_secs(pause));
    }
    assert_eq!(pool.steps(), [eviction(0, "built")]);
}

#[test]
fn during_the_back_off_of_a_rebuild_no_runner_is_evicted() {
    let mut pool = pool(&[("built", 1)], 1);
    pool.converge();
    assert_eq!(pool.world.guests.len(), 0);
    let built = profile_key("built");
    let failure = Err("it took too long".to_owned());
    pool.monitor.handle_rebuilt(&built, failure, pool.now);
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
    pool.advance(Duration::from_secs(90));
    assert_eq!(pool.steps(), [eviction(1, "built")]);
}

#[test]
fn for_a_rebuild_that_never_fits_no_runner_is_evicted() {
    let mut pool = pool(&[("built", 1), ("linux", 3)], 1);
    let built = profile_key("built");
    pool.monitor.policy.profiles.get_mut(&built).unwrap().needs = hugepages(5);
    pool.assert_no_steps();
}

#[test]
fn while_a_rebuild_is_in_flight_no_runner_is_evicted_for_another() {
    let mut pool = pool(&[("built", 1), ("linux", 2)], 1);
    pool.profile_mut("linux").builds_image = true;
    let built_at = pool.now - Duration::from_secs(5000);
    let images = ["built", "linux"].map(|key| (profile_key(key), built_at));
    pool.monitor.handle_images(images.into());
    pool.converge();
    assert_eq!(pool.monitor.images.in_flight_count(), 1);
    assert_eq!(pool.world.guests.len(), 2);
    pool.assert_no_steps();
}

/// A pool for four runners with the targets `crash` 1 and `linux` 10, in which all runners start.
fn shared_pool() -> TestPool {
    let mut policy = policy(&[("crash", 1), ("linux", 10)]);
    policy.capacity = hugepages(4);
    let mut pool = TestPool::new(policy);
    pool.turn();
    pool
}

#[test]
fn the_share_of_a_profile_in_its_back_off_is_kept_for_it() {
    let mut pool = shared_pool();
    let crash = pool.world.guests.iter().find(|name| name.contains("crash"));
    let crash = crash.unwrap().clone();
    pool.world.guests.remove(&crash);
    pool.turn();
    pool.turn();
    assert_eq!(
        pool.shortfalls(),
        [
            "1 more of crash: the last creation failed; next attempt in 1 s",
            "7 more of linux: what is left is kept for other profiles",
        ]
    );
    pool.assert_no_steps();
    pool.advance(Duration::from_secs(10));
    assert_eq!(
        pool.steps(),
        ["create runner 4 (crash): there are fewer than the target"]
    );
}

#[test]
fn an_idle_runner_beyond_its_share_makes_room_for_a_profile_that_has_less() {
    let mut pool = shared_pool();
    pool.converge();
    // As after a restart with another target: three of four are no longer the share of `linux`.
    let crash = pool.profile_mut("crash");
    crash.target_count = 0;
    pool.converge();
    assert_eq!(pool.counts("linux").idle, 4);
    pool.profile_mut("crash").target_count = 1;
    pool.take("job", "linux", 1).unwrap();
    let reason = "it is beyond the share of its profile, and makes room for a runner of crash";
    let steps = pool.steps();
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert!(steps[0].ends_with(reason), "{steps:?}");
    pool.converge();
    assert_eq!(pool.counts("crash").idle, 1);
    let linux = pool.counts("linux");
    assert_eq!((linux.idle, linux.reserved), (2, 1));
}

#[test]
fn a_busy_runner_beyond_its_share_is_waited_for_and_the_report_names_the_reason() {
    let mut pool = shared_pool();
    pool.profile_mut("crash").target_count = 0;
    pool.converge();
    let linux: Vec<u64> = pool.monitor.statuses().keys().map(|id| id.0).collect();
    for id in linux {
        pool.world.start_job(id);
    }
    pool.poll();
    pool.profile_mut("crash").target_count = 1;
    pool.assert_no_steps();
    let delayed = pool.monitor.view().unwrap().dashboard.delayed;
    let crash = &delayed["crash"];
    let expected =
        "there is no room for it until a runner of another profile or the build of an image ends";
    assert_eq!((crash.count, &*crash.reason), (1, expected));
    assert_eq!(delayed.len(), 1);
}
