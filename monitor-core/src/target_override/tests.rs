//! Overrides, from being set until they end.

use std::{collections::BTreeMap, time::Duration};

use shared::{registration::RegistrationStatus, values::ProfileKey, wire::RunnerStatus};

use crate::{
    OverrideRefusal,
    testing::{TestPool, hugepages, order, profile_key},
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
fn an_override_reduces_the_targets_of_other_profiles() {
    let mut pool = TestPool::with_idle(&[("linux", 3), ("windows", 2)]);
    pool.monitor.policy.capacity = hugepages(6);
    pool.monitor
        .set_override(counts(&[("windows", 5)]), order(""), pool.now)
        .unwrap();
    assert_eq!(targets(&pool), named(&[("linux", 1), ("windows", 5)]));
    pool.converge();
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
    pool.poll();
    pool.monitor
        .set_override(counts(&[("linux", 0), ("windows", 2)]), order(""), pool.now)
        .unwrap();
    pool.converge();
    assert_eq!(pool.counts("windows").idle, 2);
    pool.world.end_job(0);
    pool.converge();
    assert_eq!(pool.counts("linux").target, 0);
    pool.world.end_job(1);
    pool.converge();
    assert_eq!(
        pool.counts("windows").target,
        1,
        "runners that are gone are not replaced"
    );
    pool.restart();
    pool.converge();
    let set = pool.monitor.target_override().unwrap();
    assert_eq!(set.targets, counts(&[("linux", 0), ("windows", 2)]));
    pool.world.end_job(2);
    pool.converge();
    assert_eq!(pool.monitor.target_override(), None);
    assert_eq!(targets(&pool), named(&[("linux", 1), ("windows", 0)]));
    assert_eq!(pool.counts("linux").idle, 1);
}

#[test]
fn a_runner_that_was_already_busy_does_not_count() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.start_job(0);
    pool.poll();
    pool.monitor
        .set_override(counts(&[("linux", 1)]), order(""), pool.now)
        .unwrap();
    pool.world.end_job(0);
    pool.converge();
    assert!(pool.monitor.target_override().is_some());
    pool.world.end_job(1);
    pool.converge();
    assert_eq!(pool.monitor.target_override(), None);
}

#[test]
fn a_runner_that_no_list_showed_as_idle_before_its_job_counts() {
    let mut pool = TestPool::with_idle(&[("linux", 0)]);
    pool.monitor
        .set_override(counts(&[("linux", 1)]), order(""), pool.now)
        .unwrap();
    pool.turn();
    let id = *pool.monitor.durable.runners.keys().next().unwrap();
    let registration = pool.world.registration(id.0);
    (registration.status, registration.busy) = (RegistrationStatus::Online, true);
    pool.poll();
    assert_eq!(pool.status(id.0), Some(RunnerStatus::Busy));
    pool.world.end_job(id.0);
    pool.converge();
    assert_eq!(pool.monitor.target_override(), None);
}

#[test]
fn an_override_can_be_cancelled() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.monitor
        .set_override(counts(&[("linux", 3)]), order(""), pool.now)
        .unwrap();
    pool.converge();
    let (cancelled, revision) = pool.monitor.cancel_override();
    assert_eq!(cancelled, Some(counts(&[("linux", 3)])));
    assert_eq!(revision, pool.monitor.revision());
    pool.converge();
    assert_eq!(pool.counts("linux").idle, 1);
    assert_eq!(pool.monitor.cancel_override().0, None);
}

#[test]
fn an_override_that_cannot_be_reached_is_refused_and_changes_nothing() {
    let mut pool = TestPool::with_idle_linux(1);
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
        assert_eq!(
            pool.monitor.set_override(wanted, order(""), pool.now),
            Err(refusal)
        );
        assert_eq!(pool.monitor.target_override(), None);
    }
    pool.profile_mut("linux").needs = hugepages(0);
    assert_eq!(
        pool.monitor
            .set_override(counts(&[("linux", 1001)]), order(""), pool.now),
        Err(needs(0)),
        "even runners that need nothing are limited"
    );
}

#[test]
fn an_override_creates_no_runners_if_the_settings_forbid_them() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.monitor.policy.makes_runners = false;
    pool.monitor
        .set_override(counts(&[("linux", 3)]), order(""), pool.now)
        .unwrap();
    assert_eq!(targets(&pool), named(&[("linux", 0)]));
}

#[test]
fn other_profiles_share_the_room_that_an_override_leaves() {
    let mut pool = TestPool::with_idle(&[("a", 2), ("b", 2), ("linux", 1)]);
    pool.monitor.policy.capacity = hugepages(6);
    pool.monitor
        .set_override(counts(&[("linux", 3)]), order(""), pool.now)
        .unwrap();
    let expected = named(&[("a", 2), ("b", 1), ("linux", 3)]);
    assert_eq!(targets(&pool), expected);
}

#[test]
fn no_more_runners_than_wanted_count_as_arrived() {
    let mut pool = TestPool::with_idle_linux(3);
    pool.monitor
        .set_override(counts(&[("linux", 1)]), order(""), pool.now)
        .unwrap();
    pool.converge();
    assert_eq!(pool.counts("linux").idle, 1);
    assert!(pool.monitor.target_override().is_some());
    pool.world.end_job(0);
    pool.converge();
    assert_eq!(pool.monitor.target_override(), None);
}

#[test]
fn an_override_may_want_a_thousand_runners_of_a_profile() {
    let mut pool = TestPool::with_idle_linux(0);
    pool.monitor.policy.capacity = hugepages(1000);
    let set = pool
        .monitor
        .set_override(counts(&[("linux", 1000)]), order(""), pool.now);
    assert_eq!(set, Ok(pool.monitor.revision()));
}

#[test]
fn the_dashboard_shows_an_override_with_note_author_and_time_also_after_a_restart() {
    let mut pool = TestPool::with_idle_linux(1);
    let set_at = pool.now;
    pool.monitor
        .set_override(counts(&[("linux", 2)]), order("a fair"), pool.now)
        .unwrap();
    pool.advance(Duration::from_secs(60));
    pool.restart();
    pool.poll();
    let view = pool.monitor.view().unwrap();
    let set = view.dashboard.target_override.as_ref().unwrap();
    assert_eq!(
        (set.text().as_str(), set.order.since),
        ("2 of linux", set_at)
    );
    assert_eq!(
        (&*set.order.note, &*set.order.author),
        ("a fair", "alice@laptop")
    );
    assert_eq!(set.order.client_address, Some([192, 0, 2, 1].into()));
    let public = view.public_dashboard_at(pool.now).target_override.unwrap();
    assert_eq!(public, set.public());
    assert_eq!(public.order.client_address, None);
}
