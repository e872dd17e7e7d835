//! Drains, from their beginning to their end.

use std::{collections::BTreeMap, time::Duration};

use shared::wire::RunnerStatus;

use crate::{
    TakeRefusal,
    testing::{TestPool, hugepages, order, profile_key},
};

/// How many runners of the profile `linux` are missing, and why.
fn missing(pool: &TestPool) -> Option<(usize, String)> {
    let view = pool.monitor.view().unwrap();
    let missing = view.dashboard.missing.get(&profile_key("linux"))?;
    Some((missing.count, missing.reason.clone()))
}

fn drain(pool: &mut TestPool, note: &str) {
    pool.monitor.drain(order(note), pool.now);
}

#[test]
fn a_drained_server_assigns_no_runner_and_keeps_only_those_with_a_job() {
    let mut pool = TestPool::with_idle_linux(3);
    pool.take("job", "linux", 1).unwrap();
    pool.world.start_job(0);
    pool.poll();
    assert_eq!(missing(&pool), None);
    let at = pool.now.date_and_time();
    drain(&mut pool, "new memory");
    assert_eq!(pool.take("other", "linux", 1), Err(TakeRefusal::Drained));
    // What it has promised it keeps.
    assert_eq!(pool.take("job", "linux", 1), Ok(vec![0]));
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    assert_eq!(pool.counts("linux").target, 0);
    let because = format!("alice@laptop drained it at {at} (new memory)");
    assert_eq!(missing(&pool), Some((3, because)));

    pool.monitor.end_drain();
    pool.converge();
    assert_eq!((pool.counts("linux").idle, missing(&pool)), (2, None));
}

#[test]
fn a_drain_outlives_a_restart_and_keeps_its_time() {
    let mut pool = TestPool::with_idle_linux(1);
    let since = pool.now;
    drain(&mut pool, "");
    pool.advance(Duration::from_secs(60));
    drain(&mut pool, " other\u{202e} ");
    pool.restart();
    let drain = pool.monitor.drained().unwrap().clone();
    assert_eq!((drain.since, &*drain.note), (since, "other\\u{202e}"));
    let (ended, _) = pool.monitor.end_drain();
    assert_eq!((ended, pool.monitor.drained()), (Some(drain), None));
    assert_eq!(pool.monitor.end_drain().0, None);
}

#[test]
fn missing_runners_have_a_reason() {
    let mut pool = TestPool::with_idle(&[("linux", 2), ("windows", 1)]);
    pool.monitor.policy.capacity = hugepages(2);
    // More than the host can hold is not missing.
    pool.profile_mut("linux").target_count = 5;
    assert_eq!(missing(&pool), None);
    let windows = [(profile_key("windows"), 2)].into();
    pool.monitor
        .set_override(windows, order("a fair"), pool.now)
        .unwrap();
    let at = pool.now.date_and_time();
    let because = format!("alice@laptop set temporary targets at {at} (a fair)");
    assert_eq!(missing(&pool), Some((1, because)));
    pool.monitor.cancel_override();
    pool.monitor.policy.makes_runners = false;
    let because = "its settings let it make none".to_owned();
    assert_eq!(missing(&pool), Some((1, because)));
}

#[test]
fn the_dashboard_shows_a_drain_and_only_with_a_token_its_address() {
    let mut pool = TestPool::with_idle_linux(1);
    drain(&mut pool, "new memory");
    let view = pool.monitor.view().unwrap();
    let drained = pool.monitor.drained().cloned().unwrap();
    assert!(drained.client_address.is_some());
    assert_eq!(
        view.public_dashboard_at(pool.now).drain,
        Some(drained.public())
    );
    assert_eq!(view.dashboard_at(pool.now).drain, Some(drained));
}

#[test]
fn no_image_is_built_while_the_server_is_drained() {
    let mut pool = TestPool::with_idle_linux(0);
    pool.profile_mut("linux").builds_image = true;
    pool.monitor.handle_images(BTreeMap::new());
    let is_built = |pool: &TestPool| pool.steps().iter().any(|step| step.contains("image"));
    assert!(is_built(&pool), "{:?}", pool.steps());
    drain(&mut pool, "");
    assert!(!is_built(&pool), "{:?}", pool.steps());
}
