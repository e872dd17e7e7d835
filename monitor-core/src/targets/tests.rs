//! Overrides from their beginning to their end.

use std::collections::BTreeMap;

use shared::values::ProfileKey;

use crate::{
    OverrideRefusal,
    testing::{TestPool, hugepages, profile_key},
};

fn counts(counts: &[(&str, usize)]) -> BTreeMap<ProfileKey, usize> {
    counts
        .iter()
        .map(|&(key, count)| (profile_key(key), count))
        .collect()
}

fn targets(pool: &TestPool) -> Vec<(String, usize)> {
    let targets = pool.monitor.targets().into_iter();
    targets
        .map(|(key, target)| (key.to_string(), target))
        .collect()
}

fn named(targets: &[(&str, usize)]) -> Vec<(String, usize)> {
    targets
        .iter()
        .map(|&(key, target)| (key.to_owned(), target))
        .collect()
}

#[test]
fn an_override_makes_room_at_the_cost_of_the_other_profiles() {
    let mut pool = TestPool::with_idle(&[("linux", 3), ("windows", 2)]);
    pool.monitor.policy.capacity = hugepages(6);
    pool.monitor
        .set_override(counts(&[("windows", 5)]), pool.now)
        .unwrap();
    assert_eq!(targets(&pool), named(&[("linux", 1), ("windows", 5)]));
    pool.settle();
    assert_eq!(
        (pool.counts("linux").idle, pool.counts("windows").idle),
        (1, 5)
    );
    assert!(pool.world.guests_max <= 6);
}

#[test]
fn an_override_ends_when_its_runners_have_come_and_gone() {
    let mut pool = TestPool::with_idle(&[("linux", 1), ("windows", 0)]);
    pool.world.start_job(0);
    pool.look();
    pool.monitor
        .set_override(counts(&[("linux", 0), ("windows", 2)]), pool.now)
        .unwrap();
    pool.settle();
    assert_eq!(pool.counts("windows").idle, 2);
    pool.world.end_job(0);
    pool.settle();
    assert_eq!(pool.counts("linux").target, 0);
    pool.world.end_job(1);
    pool.settle();
    assert_eq!(
        pool.counts("windows").target,
        1,
        "those that are gone are not replaced"
    );
    pool.restart();
    pool.settle();
    assert_eq!(
        pool.monitor.target_override(),
        Some(&counts(&[("linux", 0), ("windows", 2)]))
    );
    pool.world.end_job(2);
    pool.settle();
    assert_eq!(pool.monitor.target_override(), None);
    assert_eq!(targets(&pool), named(&[("linux", 1), ("windows", 0)]));
    assert_eq!(pool.counts("linux").idle, 1);
}

#[test]
fn a_runner_that_was_busy_before_is_not_one_that_the_override_asked_for() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.world.start_job(0);
    pool.look();
    pool.monitor
        .set_override(counts(&[("linux", 1)]), pool.now)
        .unwrap();
    pool.world.end_job(0);
    pool.settle();
    assert!(pool.monitor.target_override().is_some());
    pool.world.end_job(1);
    pool.settle();
    assert_eq!(pool.monitor.target_override(), None);
}

#[test]
fn an_override_can_be_cancelled() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.monitor
        .set_override(counts(&[("linux", 3)]), pool.now)
        .unwrap();
    pool.settle();
    let (cancelled, revision) = pool.monitor.cancel_override();
    assert_eq!(cancelled, Some(counts(&[("linux", 3)])));
    assert_eq!(revision, pool.monitor.revision());
    pool.settle();
    assert_eq!(pool.counts("linux").idle, 1);
    assert_eq!(pool.monitor.cancel_override().0, None);
}

#[test]
fn an_override_that_cannot_be_is_refused_and_changes_nothing() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    let needs = |count| OverrideRefusal::BeyondCapacity {
        needs: hugepages(count),
        capacity: hugepages(100),
    };
    for (wanted, refusal) in [
        (
            counts(&[("macos", 1)]),
            OverrideRefusal::UnknownProfile(profile_key("macos")),
        ),
        (counts(&[("linux", 0)]), OverrideRefusal::Empty),
        (counts(&[]), OverrideRefusal::Empty),
        (counts(&[("linux", 101)]), needs(101)),
        (counts(&[("linux", usize::MAX)]), needs(u64::MAX)),
    ] {
        assert_eq!(pool.monitor.set_override(wanted, pool.now), Err(refusal));
        assert_eq!(pool.monitor.target_override(), None);
    }
    pool.monitor
        .policy
        .profiles
        .get_mut(&profile_key("linux"))
        .unwrap()
        .needs = hugepages(0);
    assert_eq!(
        pool.monitor
            .set_override(counts(&[("linux", 1001)]), pool.now),
        Err(needs(0)),
        "even runners that need nothing are limited"
    );
}

#[test]
fn the_settings_that_forbid_runners_are_above_an_override() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.monitor.policy.makes_runners = false;
    pool.monitor
        .set_override(counts(&[("linux", 3)]), pool.now)
        .unwrap();
    assert_eq!(targets(&pool), named(&[("linux", 0)]));
}
