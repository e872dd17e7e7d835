//! Failed creations and destructions, and monitors that are killed in between.

use std::time::Duration;

use shared::{
    registration::{Deletion, RegistrationStatus},
    wire::RunnerStatus,
};

use crate::{
    Effect, Resources, RunnerId,
    testing::{NO_STEPS, TestPool, hugepages, policy, profile_key},
};

#[test]
fn once_the_targets_are_reached_nothing_is_planned() {
    let mut pool = TestPool::with_idle(&[("linux", 2), ("windows", 1)]);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 3]);
    assert_eq!(pool.plan(), Default::default());
    pool.world.start_job(0);
    pool.poll();
    pool.assert_no_steps();
    pool.world.end_job(0);
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 3]);
    assert_eq!(pool.status(0), None);
    assert_eq!(pool.status(3), Some(RunnerStatus::Idle));
}

#[test]
fn a_plan_that_was_begun_is_not_planned_again() {
    let mut pool = TestPool::empty_with_target(3);
    pool.poll();
    assert_eq!(pool.plan(), pool.plan());
    assert_eq!(pool.begin().len(), 3);
    assert_eq!(pool.plan(), Default::default());
    pool.poll();
    assert_eq!(pool.plan(), Default::default());
}

/// For each prefix of the effects of a few turns: the monitor is killed after it, and a new one starts
/// from the last snapshot and has to reach the targets.
#[test]
fn wherever_a_monitor_is_killed_the_next_one_converges() {
    for effects in 0..12 {
        for saved_turn in 0..2 {
            let mut pool = TestPool::with_idle(&[("linux", 2), ("windows", 1)]);
            pool.monitor.policy.capacity = hugepages(3);
            pool.world.guests_max = 0;
            pool.world.effects.clear();
            pool.world.end_job(0);
            pool.world.start_job(2);
            pool.world.effects_left = Some(effects);
            let mut snapshot = pool.monitor.snapshot();
            for turn in 0..3 {
                pool.poll();
                let effects = pool.begin();
                // A creation begins only once its id is on disk.
                if turn <= saved_turn || effects.iter().any(|it| matches!(it, Effect::Create(_))) {
                    snapshot = pool.monitor.snapshot();
                }
                for effect in effects {
                    pool.perform(effect);
                }
            }
            pool.world.effects_left = None;
            pool.restart_from(&snapshot);
            // Whether a partially created runner is registered is certain only after several lists, and it
            // delays the next creation.
            for _ in 0..3 {
                pool.advance(Duration::from_secs(600));
                pool.converge();
            }
            let context = format!("{effects} {saved_turn} {:?}", pool.world.effects);
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

/// An id that was given out is never given out again, even if the state file is lost.
#[test]
fn ids_only_grow_even_without_a_snapshot() {
    let mut pool = TestPool::with_idle_linux(3);
    pool.restart();
    pool.world.end_job(2);
    pool.converge();
    assert_eq!(pool.status(3), Some(RunnerStatus::Idle));

    let mut other = TestPool::empty_with_target(1);
    other.world = pool.world.clone();
    other.world.register("ci-runner-linux.40@host", &[]);
    other.converge();
    assert_eq!(other.statuses(), [RunnerStatus::Idle]);
    assert_eq!(other.monitor.durable.next_id, RunnerId(42));
}

#[test]
fn an_id_is_in_the_snapshot_before_its_creation_begins() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    let Some(Effect::Create(creation)) = pool.begin().pop() else {
        panic!("a creation was planned");
    };
    assert_eq!(creation.revision, pool.monitor.revision());
    let snapshot = pool.monitor.snapshot();
    pool.restart_from(&snapshot);
    assert_eq!(pool.monitor.durable.next_id, RunnerId(1));
}

#[test]
fn a_failed_creation_leaves_nothing_behind_and_delays_the_next_one() {
    for (effects, left) in [(0, "register"), (1, "make")] {
        let mut pool = TestPool::new(policy(&[("linux", 1), ("windows", 0)]));
        pool.world.effects_left = Some(effects);
        pool.turn();
        pool.world.effects_left = None;
        pool.poll();
        assert_eq!(
            pool.steps(),
            ["destroy runner 0 (linux): its creation failed"],
            "{left}"
        );
        let effect = pool.begin().pop().unwrap();
        pool.perform(effect);
        assert_eq!(
            (pool.world.guests.len(), pool.world.registrations.len()),
            (0, 0),
            "{left}"
        );
        assert_eq!(pool.steps(), NO_STEPS, "{left}");
        assert_eq!(
            pool.shortfalls(),
            ["1 more of linux: the last creation failed; next attempt in 2 s"],
            "{left}"
        );
        pool.advance(Duration::from_millis(1500));
        assert_eq!(pool.steps().len(), 1, "{left}");
    }
}

#[test]
fn a_creation_is_repeated_at_the_first_moment_after_its_back_off() {
    let mut pool = TestPool::empty_with_target(1);
    pool.world.effects_left = Some(0);
    pool.turn();
    pool.world.effects_left = None;
    pool.turn();
    let retry_at = pool.monitor.creation_failures[&profile_key("linux")]
        .failures
        .retry_at();
    pool.now = retry_at - Duration::from_micros(1);
    pool.assert_no_steps();
    pool.now = retry_at;
    assert_eq!(
        pool.steps(),
        ["create runner 1 (linux): there are fewer than the target"]
    );
}

/// A registration request without a response may have succeeded, and only the list shows its id.
#[test]
fn a_runner_whose_registration_is_uncertain_is_destroyed_after_the_next_list() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    let Some(Effect::Create(creation)) = pool.begin().pop() else {
        panic!("a runner is created");
    };
    pool.world.register(&creation.runner_name, &creation.labels);
    pool.advance(Duration::from_secs(20));
    pool.monitor
        .handle_creation_failed(RunnerId(0), "fail", pool.now);
    pool.assert_no_steps();
    pool.poll();
    assert_eq!(
        pool.steps(),
        ["destroy runner 0 (linux): its creation failed"]
    );
    pool.execute_plan();
    assert_eq!(pool.world.registrations.len(), 0);
}

#[test]
fn runners_that_never_come_online_delay_the_next_creation_more_each_time() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    for pause in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600] {
        pool.execute_plan();
        pool.world.guests.clear();
        pool.poll();
        pool.execute_plan();
        pool.assert_no_steps();
        pool.advance(Duration::from_secs(pause) - Duration::from_millis(1));
        assert_eq!(pool.steps(), NO_STEPS, "{pause}");
        // Jitter adds up to half of it.
        pool.advance(Duration::from_secs(pause) / 2);
        assert_eq!(pool.steps().len(), 1, "{pause}");
    }
    pool.converge();
    pool.run_job(12);
    let last = pool.monitor.creation_failures.get(&profile_key("linux"));
    assert!(
        last.is_none(),
        "a runner that had a job resets the back-off"
    );
}

#[test]
fn a_runner_whose_job_was_too_short_to_be_seen_is_not_a_failed_creation() {
    for is_reserved in [true, false] {
        let mut pool = with_new_runner();
        if is_reserved {
            pool.take("job", "linux", 1).unwrap();
        }
        pool.world.end_job(0);
        pool.poll();
        pool.answer_job_queries();
        pool.execute_plan();
        // Without a reservation no job knows its label.
        assert_eq!(pool.steps().len(), usize::from(is_reserved));
    }
}

/// GitHub may keep its registration for a while, as it does if a guest is cut off.
#[test]
fn a_runner_that_ends_after_it_was_seen_busy_is_not_a_failed_creation() {
    let mut pool = with_new_runner();
    pool.world.start_job(0);
    pool.poll();
    pool.world.guests.clear();
    pool.world.registration(0).busy = false;
    pool.poll_until_confirmed();
    pool.execute_plan();
    assert_eq!(pool.status(0), None);
    assert!(pool.monitor.creation_failures.is_empty());
}

/// A pool whose only runner has just come online.
fn with_new_runner() -> TestPool {
    let mut pool = TestPool::with_idle_linux(1);
    let record = pool.monitor.durable.runners.get_mut(&RunnerId(0)).unwrap();
    record.is_proven = false;
    pool
}

/// As runners do whose software is out of support.
#[test]
fn runners_that_come_online_and_end_a_moment_later_delay_the_next_creation_more_each_time() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    for pause in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600] {
        pool.execute_plan();
        for registration in pool.world.registrations.values_mut() {
            registration.status = RegistrationStatus::Online;
        }
        pool.poll();
        assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
        pool.advance(Duration::from_secs(5));
        pool.poll();
        pool.world.guests.clear();
        pool.poll();
        pool.execute_plan();
        pool.advance(Duration::from_secs(pause) - Duration::from_millis(10));
        assert_eq!(pool.steps(), NO_STEPS, "{pause}");
        // Jitter adds up to half of it.
        pool.advance(Duration::from_secs(pause) / 2 + Duration::from_millis(10));
        assert_eq!(pool.steps().len(), 1, "{pause}");
    }
    assert_eq!(
        pool.monitor.problems()[0].code,
        "runners_fail",
        "the operator is informed"
    );
}

#[test]
fn a_runner_that_was_online_for_a_minute_proves_that_its_profile_works() {
    for (seconds, is_failure) in [(50, true), (61, false)] {
        let mut pool = with_new_runner();
        pool.advance(Duration::from_secs(seconds));
        pool.poll();
        pool.world.guests.clear();
        pool.poll();
        pool.execute_plan();
        let failures = &pool.monitor.creation_failures;
        assert_eq!(!failures.is_empty(), is_failure, "{seconds}");
    }
}

#[test]
fn other_runners_that_work_do_not_reset_the_back_off_of_those_that_end() {
    let mut pool = TestPool::with_idle_linux(2);
    let record = pool.monitor.durable.runners.get_mut(&RunnerId(1)).unwrap();
    record.is_proven = false;
    pool.world.guests.remove("ci-runner-linux.1");
    pool.poll();
    pool.execute_plan();
    pool.poll();
    assert!(!pool.monitor.creation_failures.is_empty());
}

#[test]
fn a_new_image_ends_the_back_off() {
    let mut pool = with_new_runner();
    pool.world.guests.clear();
    pool.poll();
    pool.execute_plan();
    pool.assert_no_steps();
    let now = pool.now;
    pool.monitor
        .handle_rebuilt(&profile_key("linux"), Ok(now), now);
    assert_eq!(pool.steps().len(), 1);
}

/// As a list with an entry that its deletion contradicts for hours.
#[test]
fn a_runner_that_github_lists_as_offline_and_does_not_delete_costs_few_requests_and_counts() {
    let mut pool = TestPool::empty_with_target(1);
    pool.monitor.policy.capacity = hugepages(1);
    pool.turn();
    pool.advance(Duration::from_secs(101));
    let mut deletions = 0;
    for _ in 0..1800 {
        pool.advance(Duration::from_secs(2));
        pool.poll();
        for effect in pool.begin() {
            assert!(matches!(effect, Effect::Destroy(_)), "there is no room");
            deletions += 1;
            let now = pool.now;
            let id = RunnerId(0);
            let is_removed = pool.monitor.handle_unregistered(id, Deletion::Busy, now);
            assert!(!is_removed);
        }
    }
    assert!((5..20).contains(&deletions), "{deletions} in an hour");
    assert!(pool.world.guests.contains("ci-runner-linux.0"));
    let problems = pool.monitor.problems();
    assert_eq!(problems[0].code, "runner_not_destroyed");
    pool.monitor.policy.capacity = hugepages(2);
    assert_eq!(
        pool.steps(),
        ["create runner 1 (linux): there are fewer than the target"],
        "others take its place where there is room"
    );
    // GitHub has noticed its error.
    pool.advance(Duration::from_secs(600));
    pool.converge();
    assert_eq!(pool.status(0), None);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

/// A live runner whose profile was removed from the settings must not prevent the start.
#[test]
fn a_runner_whose_profile_has_left_the_settings_counts_until_it_is_gone() {
    let mut pool = TestPool::with_idle(&[("linux", 1), ("windows", 1)]);
    pool.world.start_job(0);
    pool.poll();
    pool.monitor.policy = policy(&[("windows", 1)]);
    pool.restart();
    pool.converge();
    assert_eq!(pool.status(0), Some(RunnerStatus::Busy));
    assert_eq!(pool.counts("linux").target, 0);
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(2)));
    pool.world.end_job(0);
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);

    pool.monitor.policy = policy(&[]);
    pool.restart();
    pool.converge();
    assert_eq!(pool.statuses(), []);
    assert_eq!(pool.monitor.resources_in_use(), Some(Resources::default()));
}

/// A runner without a record is not overlooked: what it uses counts, and is freed.
#[test]
fn a_runner_without_a_record_counts_and_is_destroyed_once_it_is_not_busy() {
    let mut pool = TestPool::with_idle_linux(3);
    pool.world.start_job(1);
    let world = pool.world.clone();
    let mut pool = TestPool::empty_with_target(1);
    pool.world = world;
    pool.poll();
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(3)));
    let reason = "there is no record of it";
    assert_eq!(
        pool.steps(),
        [
            format!("destroy runner 0 (linux): {reason}"),
            format!("destroy runner 2 (linux): {reason}")
        ]
    );
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    pool.world.end_job(1);
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
    assert_eq!(pool.status(3), Some(RunnerStatus::Idle));
}

#[test]
fn after_the_clock_was_set_back_no_timeout_lasts_longer_than_its_length() {
    let mut pool = TestPool::empty_with_target(1);
    pool.turn();
    let snapshot = pool.monitor.snapshot();
    pool.now = pool.now - Duration::from_secs(900);
    pool.restart_from(&snapshot);
    pool.poll();
    pool.assert_no_steps();
    pool.advance(Duration::from_secs(101));
    assert_eq!(pool.steps().len(), 1);
}

#[test]
fn a_starting_runner_that_the_settings_destroy_is_not_a_failed_creation() {
    let mut pool = TestPool::empty_with_target(1);
    pool.turn();
    pool.monitor.policy.destroys_all = true;
    pool.poll();
    let destructions = pool.begin();
    pool.monitor.policy.makes_runners = true;
    for effect in destructions {
        pool.perform(effect);
    }
    assert!(pool.monitor.creation_failures.is_empty());
}

#[test]
fn a_busy_runner_without_a_guest_is_destroyed_after_a_pause() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.start_job(0);
    pool.world.guests.clear();
    pool.poll();
    pool.execute_plan();
    pool.poll();
    assert_eq!(pool.status(0), Some(RunnerStatus::Invalid));
    pool.assert_no_steps();
    pool.advance(Duration::from_millis(7500));
    assert_eq!(
        pool.steps(),
        ["destroy runner 0 (linux): its guest is gone"]
    );
}

#[test]
fn runners_and_builders_are_found_by_id_and_profile() {
    let mut pool = TestPool::with_idle_linux(1);
    let (linux, id) = (profile_key("linux"), RunnerId(0));
    let name = pool.monitor.guest_name_of(id);
    assert_eq!(name.as_deref(), Some("ci-runner-linux.0"));
    assert_eq!(pool.monitor.profile_of(id), Some(linux.clone()));
    assert_eq!(pool.monitor.guest_name_of(RunnerId(1)), None);
    assert_eq!(pool.monitor.profile_of(RunnerId(1)), None);
    assert_eq!(pool.monitor.builder_name(&linux), None);
    pool.profile_mut("linux").builds_image = true;
    let builder = pool.monitor.builder_name(&linux);
    assert_eq!(builder.as_deref(), Some("ci-rebuild-linux"));
}
