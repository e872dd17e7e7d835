//! Orders, from an operator's request to the new image.

use std::time::Duration;

use shared::{clock::Timestamp, values::ProfileKey};

use super::RebuildRefusal;
use crate::testing::{self, NO_STEPS, TestPool, hugepages, policy, profile_key};

const REBUILD: &str = "rebuild the image of linux: an operator has ordered it";

fn linux() -> ProfileKey {
    profile_key("linux")
}

/// A pool without runners, with an image that is built here and is 100 s old. `windows` has none.
fn pool() -> TestPool {
    let mut policy = policy(&[("linux", 0), ("windows", 0)]);
    policy.capacity = hugepages(9);
    policy.profiles.get_mut(&linux()).unwrap().builds_image = true;
    let mut pool = TestPool::new(policy);
    let built_at = pool.now - Duration::from_secs(100);
    pool.monitor.handle_images([(linux(), built_at)].into());
    pool.poll();
    assert_eq!(pool.steps(), NO_STEPS);
    pool
}

fn order(pool: &mut TestPool, note: &str) {
    let order = testing::order(note);
    let ordered = pool.monitor.order_rebuild(&linux(), order, pool.now);
    ordered.unwrap();
}

fn finish(pool: &mut TestPool, outcome: Result<Timestamp, String>) {
    pool.monitor.handle_rebuilt(&linux(), outcome, pool.now);
}

fn orders(pool: &TestPool) -> Vec<&str> {
    let orders = pool.monitor.rebuild_orders().values();
    orders.map(|order| &*order.note).collect()
}

#[test]
fn an_ordered_image_is_built_once() {
    let mut pool = pool();
    order(&mut pool, "new packages");
    let since = pool.now;
    pool.advance(Duration::from_secs(1));
    order(&mut pool, "and a kernel");
    assert_eq!(pool.monitor.rebuild_orders()[&linux()].since, since);
    assert_eq!(pool.steps(), [REBUILD]);
    pool.turn();
    let now = pool.now;
    finish(&mut pool, Ok(now));
    assert_eq!(pool.steps(), NO_STEPS);
    assert_eq!(orders(&pool), NO_STEPS);
}

#[test]
fn an_order_is_carried_out_at_once_during_the_pause_after_a_failure_and_until_a_build_succeeds() {
    let mut pool = pool();
    for _ in 0..2 {
        order(&mut pool, "");
        assert_eq!(pool.steps(), [REBUILD]);
        pool.turn();
        finish(&mut pool, Err("no space".to_owned()));
        assert_eq!(pool.steps(), NO_STEPS, "it pauses");
    }
    let view = pool.monitor.view().unwrap();
    assert_eq!(view.images[&linux()].failure_count, 2);
    pool.advance(Duration::from_secs(300));
    assert_eq!(pool.steps(), [REBUILD]);
}

#[test]
fn an_order_during_a_build_is_for_the_next_one() {
    let mut pool = pool();
    order(&mut pool, "first");
    pool.turn();
    pool.advance(Duration::from_secs(1));
    order(&mut pool, "second");
    let now = pool.now;
    finish(&mut pool, Ok(now));
    assert_eq!(orders(&pool), ["second"]);
    assert_eq!(pool.steps(), [REBUILD]);
}

#[test]
fn an_order_outlives_a_restart_and_can_be_cancelled() {
    let mut pool = pool();
    order(&mut pool, "kernel");
    pool.restart();
    let shown = pool.monitor.rebuild_orders()[&linux()].clone();
    assert_eq!(&*shown.note, "kernel");
    pool.monitor.handle_images([(linux(), pool.now)].into());
    pool.poll();
    assert_eq!(pool.steps(), [REBUILD]);
    let dashboard = |pool: &TestPool| pool.monitor.view().unwrap();
    let view = dashboard(&pool);
    assert_eq!(view.dashboard_at(pool.now).rebuilds[&linux()], shown);
    assert_eq!(
        view.public_dashboard_at(pool.now).rebuilds[&linux()],
        shown.public()
    );
    assert_eq!(pool.monitor.cancel_rebuild(&linux()).0, Some(shown));
    assert_eq!(pool.monitor.cancel_rebuild(&linux()).0, None);
    assert_eq!(pool.steps(), NO_STEPS);
}

#[test]
fn an_order_for_an_image_that_is_not_built_here_is_refused() {
    let mut pool = pool();
    for (key, refusal) in [
        ("windows", RebuildRefusal::NotBuiltHere),
        ("macos", RebuildRefusal::UnknownProfile),
    ] {
        let order = testing::order("");
        let ordered = pool
            .monitor
            .order_rebuild(&profile_key(key), order, pool.now);
        assert_eq!(ordered, Err(refusal), "{key}");
    }
    assert!(pool.monitor.rebuild_orders().is_empty());
}
