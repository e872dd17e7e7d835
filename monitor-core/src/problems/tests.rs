//! Which problems the state shows, and when they end.

use std::{collections::BTreeMap, time::Duration};

use shared::software::Support;

use crate::{
    Failure, GuestAuth, RunnerId,
    testing::{TestPool, hugepages, profile_key},
};

/// Code and subject of each problem.
fn problems(pool: &TestPool) -> Vec<(String, String)> {
    let problems = pool.monitor.problems().into_iter();
    problems
        .map(|it| (it.code.into_owned(), it.subject))
        .collect()
}

#[test]
fn a_runner_that_cannot_be_destroyed_is_a_problem_from_the_second_failure_on() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.profile_mut("linux").target_count = 0;
    let fail = |pool: &mut TestPool| {
        assert_eq!(pool.begin().len(), 1);
        let now = pool.now;
        pool.monitor
            .handle_destruction_failed(RunnerId(0), "fail", now);
        pool.advance(Duration::from_secs(3600));
        pool.poll();
    };
    fail(&mut pool);
    assert_eq!(problems(&pool), []);
    fail(&mut pool);
    let stuck = (
        "runner_not_destroyed".to_owned(),
        "runner linux.0".to_owned(),
    );
    assert_eq!(problems(&pool), [stuck]);
    pool.converge();
    assert_eq!(problems(&pool), []);
}

#[test]
fn a_runner_that_could_not_be_destroyed_and_is_wanted_again_is_no_problem() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.profile_mut("linux").target_count = 0;
    for _ in 0..2 {
        assert_eq!(pool.begin().len(), 1);
        let now = pool.now;
        let refused = Failure::from("delete registration 1: refused");
        pool.monitor
            .handle_destruction_failed(RunnerId(0), refused, now);
        pool.advance(Duration::from_secs(3600));
        pool.poll();
    }
    assert_eq!(problems(&pool).len(), 1);
    pool.profile_mut("linux").target_count = 1;
    assert_eq!(pool.begin().len(), 0);
    assert_eq!(problems(&pool), []);
}

#[test]
fn a_runner_that_could_not_be_created_and_is_not_needed_any_more_is_no_problem() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    for id in [0, 1] {
        assert_eq!(pool.begin().len(), 1);
        let now = pool.now;
        let refused = Failure::from("register it: refused");
        pool.monitor
            .handle_not_registered(RunnerId(id), refused, now);
        for effect in pool.begin() {
            pool.perform(effect);
        }
        pool.advance(Duration::from_secs(3600));
        pool.poll();
    }
    assert_eq!(problems(&pool).len(), 1);
    pool.profile_mut("linux").target_count = 0;
    assert_eq!(pool.begin().len(), 0);
    assert_eq!(problems(&pool), []);
}

#[test]
fn what_fails_only_because_github_cannot_be_accessed_is_no_problem_beside_that() {
    let mut pool = TestPool::empty_with_target(1);
    let outage = || Failure {
        cause: "reach http://github/".to_owned(),
        is_of_access: true,
        ..Failure::default()
    };
    pool.poll();
    for id in [0, 1, 2] {
        assert_eq!(pool.begin().len(), 1);
        let now = pool.now;
        pool.monitor
            .handle_not_registered(RunnerId(id), outage(), now);
        pool.poll();
        for effect in pool.begin() {
            pool.perform(effect);
        }
        assert_eq!(problems(&pool), []);
        pool.advance(Duration::from_secs(3600));
    }
    let mut pool = TestPool::with_idle_linux(1);
    pool.profile_mut("linux").target_count = 0;
    for is_of_access in [true, true, true, false] {
        assert_eq!(problems(&pool), []);
        assert_eq!(pool.begin().len(), 1);
        let now = pool.now;
        let failure = Failure {
            is_of_access,
            ..Failure::default()
        };
        pool.monitor
            .handle_destruction_failed(RunnerId(0), failure, now);
        pool.advance(Duration::from_secs(3600));
        pool.poll();
    }
    assert_eq!(problems(&pool).len(), 1, "something else");
}

#[test]
fn a_runner_that_cannot_be_destroyed_for_a_moment_lowers_no_target() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.monitor.policy.capacity = hugepages(1);
    pool.take("job", "linux", 1).unwrap();
    pool.release("job", None, true);
    let offered = |pool: &TestPool| pool.monitor.offered_counts()["linux"].target;
    for expected in [1, 1, 0] {
        pool.begin();
        let now = pool.now;
        pool.monitor
            .handle_destruction_failed(RunnerId(0), "fail", now);
        pool.advance(Duration::from_secs(290));
        pool.monitor.start_polls(pool.now);
        assert_eq!(offered(&pool), expected, "an outage of GitHub passes");
    }
}

#[test]
fn an_image_whose_build_failed_is_a_problem_until_it_is_built() {
    let mut pool = TestPool::with_idle_linux(1);
    let (linux, now) = (profile_key("linux"), pool.now);
    let failed = Err("start guest ci-rebuild-linux".to_owned());
    pool.monitor.handle_rebuilt(&linux, failed, now);
    let failing = ("image_not_built".to_owned(), "image of linux".to_owned());
    assert_eq!(problems(&pool), [failing]);
    pool.monitor.handle_rebuilt(&linux, Ok(now), now);
    assert_eq!(problems(&pool), []);
}

#[test]
fn a_profile_without_an_image_is_a_problem_if_runners_of_it_are_wanted() {
    let mut pool = TestPool::with_idle_linux(1);
    let missing = (
        "profile_without_image".to_owned(),
        "profile linux".to_owned(),
    );
    pool.profile_mut("linux").guest_auth = GuestAuth::Address;
    assert_eq!(problems(&pool), [], "which images there are is not known");
    pool.monitor.handle_images(BTreeMap::new());
    assert_eq!(problems(&pool), [missing]);
    pool.profile_mut("linux").target_count = 0;
    assert_eq!(problems(&pool), []);
    let profile = pool.profile_mut("linux");
    (profile.target_count, profile.builds_image) = (1, true);
    assert_eq!(problems(&pool), [], "one is built");
    pool.profile_mut("linux").builds_image = false;
    let images = [(profile_key("linux"), pool.now)];
    pool.monitor.handle_images(images.into());
    assert_eq!(problems(&pool), []);
}

#[test]
fn what_can_be_reached_is_shared_among_profiles_and_less_what_blocked_runners_use() {
    let mut pool = TestPool::with_idle(&[("linux", 1), ("windows", 2), ("macos", 4)]);
    let reachable = |pool: &TestPool, counts_blocking: bool| {
        let reachable = pool
            .monitor
            .reachable_targets(pool.monitor.targets(), counts_blocking);
        let of = |key| reachable.get(&profile_key(key)).copied();
        [of("linux"), of("windows"), of("macos")]
    };
    assert_eq!(reachable(&pool, true), [Some(1), Some(2), Some(4)]);
    pool.profile_mut("linux").target_count = 0;
    pool.monitor.policy.capacity = hugepages(6);
    for _ in 0..2 {
        assert_eq!(pool.begin().len(), 1);
        let now = pool.now;
        pool.monitor
            .handle_destruction_failed(RunnerId(0), "fail", now);
        pool.advance(Duration::from_secs(3600));
        pool.monitor.start_polls(pool.now);
        pool.poll();
    }
    assert_eq!(reachable(&pool, false), [None, Some(2), Some(4)]);
    assert_eq!(reachable(&pool, true), [None, Some(2), Some(3)]);
}

#[test]
fn runner_software_whose_support_ends_soon_is_a_problem() {
    let mut pool = TestPool::with_idle_linux(1);
    let day = Duration::from_hours(24);
    let now = pool.now;
    pool.monitor
        .software
        .record_version(RunnerId(0), &profile_key("linux"), "2.337.0");
    pool.monitor.software.update_versions(|_| true);
    for (support, code) in [
        (Support::Open, None),
        (Support::Until(now + day * 15), None),
        (
            Support::Until(now + day * 13),
            Some("runner_software_support_ends"),
        ),
        (
            Support::Until(now - Duration::from_secs(10)),
            Some("runner_software_unsupported"),
        ),
    ] {
        pool.monitor
            .software
            .record_answer("2.337.0", Ok(support), now);
        pool.advance(Duration::ZERO);
        let expected = code.map(|code| (code.to_owned(), "profile linux".to_owned()));
        assert_eq!(problems(&pool), Vec::from_iter(expected), "{support:?}");
        for problem in pool.monitor.problems() {
            assert!(problem.since <= now, "{problem:?}");
        }
    }
}

#[test]
fn an_image_that_is_too_old_is_a_problem_once_nothing_replaces_it_in_time() {
    for (builds_image, grace) in [(false, 0), (true, 3600)] {
        let mut pool = TestPool::with_idle_linux(1);
        pool.profile_mut("linux").builds_image = builds_image;
        let images = [(profile_key("linux"), pool.now)];
        pool.monitor.handle_images(images.into());
        let due_in = pool.monitor.policy.image_max_age + Duration::from_secs(grace);
        for (waited, expected) in [
            (due_in, vec![]),
            (
                Duration::from_secs(1),
                vec![("image_too_old".to_owned(), "image of linux".to_owned())],
            ),
        ] {
            pool.advance(waited);
            pool.monitor.start_polls(pool.now);
            assert_eq!(problems(&pool), expected, "{builds_image}");
        }
        pool.profile_mut("linux").target_count = 0;
        assert_eq!(problems(&pool), [], "no runner is to start from it");
    }
}

#[test]
fn a_target_that_the_settings_cannot_reach_is_found_without_observations() {
    let mut policy = crate::testing::policy(&[("linux", 4), ("windows", 2)]);
    policy.capacity = hugepages(6);
    assert_eq!(policy.unreachable_targets(), []);
    policy.capacity = hugepages(5);
    let expected = [(profile_key("linux"), 4, 3)];
    assert_eq!(policy.unreachable_targets(), expected);
    policy.makes_runners = false;
    assert_eq!(policy.unreachable_targets(), []);
}
