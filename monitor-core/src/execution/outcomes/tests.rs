//! Runners that come to nothing, and monitors that die in between.

use std::time::Duration;

use shared::wire::RunnerStatus;

use crate::{
    Effect, Resources, RunnerId,
    testing::{TestPool, hugepages, policy, profile_key},
};

#[test]
fn a_pool_reaches_its_targets_and_then_nothing_is_planned() {
    let mut pool = TestPool::with_idle(&[("linux", 2), ("windows", 1)]);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 3]);
    assert_eq!(pool.plan(), Default::default());
    pool.world.start_job(0);
    pool.look();
    assert_eq!(pool.steps(), [""; 0]);
    pool.world.end_job(0);
    pool.settle();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 3]);
    assert_eq!(pool.status(0), None);
    assert_eq!(pool.status(3), Some(RunnerStatus::Idle));
}

#[test]
fn a_plan_that_was_begun_is_not_planned_again() {
    let mut pool = TestPool::new(policy(&[("linux", 3)]));
    pool.look();
    assert_eq!(pool.plan(), pool.plan());
    assert_eq!(pool.begin().len(), 3);
    assert_eq!(pool.plan(), Default::default());
    pool.look();
    assert_eq!(pool.plan(), Default::default());
}

/// Every prefix of what a few turns do to the world is tried: there the effects stop, the monitor
/// dies with what it last saved, and a new one has to get the pool back into shape.
#[test]
fn wherever_a_monitor_dies_the_next_one_converges() {
    for deeds in 0..12 {
        for saved_turn in 0..2 {
            let mut pool = TestPool::with_idle(&[("linux", 2), ("windows", 1)]);
            pool.monitor.policy.capacity = hugepages(3);
            pool.world.guests_max = 0;
            pool.world.deeds.clear();
            pool.world.end_job(0);
            pool.world.start_job(2);
            pool.world.deeds_left = Some(deeds);
            let mut snapshot = pool.monitor.snapshot();
            for turn in 0..3 {
                pool.look();
                let tasks = pool.begin();
                // What a creation uses is on disk before it begins.
                if turn <= saved_turn || tasks.iter().any(|it| matches!(it, Effect::Create(_))) {
                    snapshot = pool.monitor.snapshot();
                }
                for task in tasks {
                    pool.perform(task);
                }
            }
            pool.world.deeds_left = None;
            pool.restart_from(&snapshot);
            // What died in the middle of its creation slows the next one.
            for _ in 0..2 {
                pool.pass(Duration::from_secs(600));
                pool.settle();
            }
            let context = format!("{deeds} {saved_turn} {:?}", pool.world.deeds);
            let statuses = [RunnerStatus::Idle, RunnerStatus::Busy, RunnerStatus::Idle];
            assert_eq!(pool.statuses(), statuses, "{context}");
            assert_eq!(pool.world.guests.len(), 3, "{context}");
            assert_eq!(pool.world.registrations.len(), 3, "{context}");
            assert!(pool.world.guests_max <= 3, "{context}");
            assert_eq!(pool.plan(), Default::default(), "{context}");
            assert!(
                pool.world.guests.contains("ci-runner-windows.2"),
                "{context}"
            );
        }
    }
}

/// Lesson 33: ids started again at 0 when their file could not be read.
#[test]
fn ids_only_grow_even_without_a_saved_state() {
    let mut pool = TestPool::with_idle(&[("linux", 3)]);
    pool.restart();
    pool.world.end_job(2);
    pool.settle();
    assert_eq!(pool.status(3), Some(RunnerStatus::Idle));

    let mut other = TestPool::new(policy(&[("linux", 1)]));
    other.world = pool.world.clone();
    other.world.register("ci-runner-linux.40@host", &[]);
    other.settle();
    assert_eq!(other.statuses(), [RunnerStatus::Idle]);
    assert_eq!(other.monitor.durable.next_id, RunnerId(42));
}

#[test]
fn an_id_is_in_the_snapshot_before_anything_is_done_with_it() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.look();
    let Some(Effect::Create(creation)) = pool.begin().pop() else {
        panic!("a creation was planned");
    };
    assert_eq!(creation.revision, pool.monitor.revision());
    let snapshot = pool.monitor.snapshot();
    pool.restart_from(&snapshot);
    assert_eq!(pool.monitor.durable.next_id, RunnerId(1));
}

#[test]
fn a_creation_that_fails_leaves_nothing_behind_and_slows_its_profile() {
    for (deeds, left) in [(0, "register"), (1, "make")] {
        let mut pool = TestPool::new(policy(&[("linux", 1), ("windows", 0)]));
        pool.world.deeds_left = Some(deeds);
        pool.turn();
        pool.world.deeds_left = None;
        pool.look();
        assert_eq!(
            pool.steps(),
            ["destroy runner 0 (linux): its creation failed"],
            "{left}"
        );
        let task = pool.begin().pop().unwrap();
        pool.perform(task);
        assert_eq!(
            (pool.world.guests.len(), pool.world.registrations.len()),
            (0, 0),
            "{left}"
        );
        assert_eq!(pool.steps(), [""; 0], "{left}");
        assert_eq!(
            pool.shortfalls(),
            ["1 more of linux: the last 1 came to nothing, so it waits a little"],
            "{left}"
        );
        pool.pass(Duration::from_millis(1500));
        assert_eq!(pool.steps().len(), 1, "{left}");
    }
}

/// An unanswered registration may have come about, and only the list can tell its id.
#[test]
fn a_runner_whose_registration_is_uncertain_is_destroyed_after_the_next_list() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.look();
    pool.begin();
    pool.world.register("ci-runner-linux.0@host", &[]);
    pool.pass(Duration::from_secs(20));
    pool.monitor
        .handle_creation_failed(RunnerId(0), None, pool.now);
    assert_eq!(pool.steps(), [""; 0]);
    pool.look();
    assert_eq!(
        pool.steps(),
        ["destroy runner 0 (linux): its creation failed"]
    );
    for task in pool.begin() {
        pool.perform(task);
    }
    assert_eq!(pool.world.registrations.len(), 0);
}

#[test]
fn runners_that_never_come_online_make_their_profile_slower_each_time() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.look();
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        for task in pool.begin() {
            pool.perform(task);
        }
        pool.world.guests.clear();
        pool.look();
        for task in pool.begin() {
            pool.perform(task);
        }
        assert_eq!(pool.steps(), [""; 0]);
        pool.pass(Duration::from_secs(pause) - Duration::from_millis(1));
        assert_eq!(pool.steps(), [""; 0], "{pause}");
        // Chance adds up to half of it.
        pool.pass(Duration::from_secs(pause) / 2);
        assert_eq!(pool.steps().len(), 1, "{pause}");
    }
    pool.settle();
    pool.do_job(8);
    let last = pool.monitor.creation_back_offs.get(&profile_key("linux"));
    assert!(last.is_none(), "one that came online ends the slowness");
}

#[test]
fn a_runner_whose_job_was_never_seen_is_no_failure() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.turn();
    pool.world.end_job(0);
    pool.look();
    for task in pool.begin() {
        pool.perform(task);
    }
    assert_eq!(
        pool.steps(),
        ["create runner 1 (linux): there are fewer than the target"]
    );
}

/// Lesson 29: a live runner whose profile was removed from the settings was a panic at every start.
#[test]
fn a_runner_whose_profile_has_left_the_settings_counts_until_it_is_gone() {
    let mut pool = TestPool::with_idle(&[("linux", 1), ("windows", 1)]);
    pool.world.start_job(0);
    pool.look();
    pool.monitor.policy = policy(&[("windows", 1)]);
    pool.restart();
    pool.settle();
    assert_eq!(pool.status(0), Some(RunnerStatus::Busy));
    assert_eq!(pool.counts("linux").target, 0);
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(2)));
    pool.world.end_job(0);
    pool.settle();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);

    pool.monitor.policy = policy(&[]);
    pool.restart();
    pool.settle();
    assert_eq!(pool.statuses(), []);
    assert_eq!(pool.monitor.resources_in_use(), Some(Resources::default()));
}

/// Lesson 15: a runner without its data folder was skipped: its memory neither counted nor freed.
#[test]
fn a_runner_without_a_record_counts_and_goes_once_it_is_not_busy() {
    let mut pool = TestPool::with_idle(&[("linux", 3)]);
    pool.world.start_job(1);
    let world = pool.world.clone();
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.world = world;
    pool.look();
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(3)));
    let reason = "there is no record of it";
    assert_eq!(
        pool.steps(),
        [
            format!("destroy runner 0 (linux): {reason}"),
            format!("destroy runner 2 (linux): {reason}")
        ]
    );
    pool.settle();
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    pool.world.end_job(1);
    pool.settle();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
    assert_eq!(pool.status(3), Some(RunnerStatus::Idle));
}

/// Lesson 33: a clock that was set back.
#[test]
fn a_clock_that_was_set_back_delays_no_timeout_beyond_its_length() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    pool.turn();
    let snapshot = pool.monitor.snapshot();
    pool.now = pool.now - Duration::from_secs(900);
    pool.restart_from(&snapshot);
    pool.look();
    assert_eq!(pool.steps(), [""; 0]);
    pool.pass(Duration::from_secs(101));
    assert_eq!(pool.steps().len(), 1);
}
