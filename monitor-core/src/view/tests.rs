//! The dashboard.

use std::time::Duration;

use serde_json::json;
use shared::{clock::Timestamp, wire::RunnerStatus};

use crate::{
    GuestAuth, HostCapacity,
    testing::{TestPool, policy, profile_key, unique_id},
};

#[test]
fn before_both_lists_are_known_there_is_no_view() {
    let mut pool = TestPool::empty_with_target(1);
    assert!(pool.monitor.view().is_none());
    pool.poll_guests();
    assert!(pool.monitor.view().is_none());
    pool.poll_registrations();
    assert!(pool.monitor.view().is_some());
}

/// A take must not make the dashboard unavailable or outdated, not even for a moment.
#[test]
fn the_dashboard_shows_a_reservation_as_soon_as_it_is_made() {
    let mut pool = TestPool::with_idle_linux(3);
    pool.world.start_job(2);
    pool.poll();
    pool.take_with_sequence("job", "linux", 1, Some(4)).unwrap();
    let view = pool.monitor.view().unwrap();
    let dashboard = serde_json::to_string_pretty(&view.dashboard).unwrap();
    insta::assert_snapshot!(dashboard);
    assert_eq!(view.reserved_for[&0], unique_id("job"));
    assert_eq!(view.action_log.actions.len(), 3);
}

#[test]
fn neither_the_view_nor_the_snapshot_contains_a_secret() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take("job", "linux", 1).unwrap();
    let shown = format!("{:?}", pool.monitor.view().unwrap());
    let kept = String::from_utf8(pool.monitor.snapshot()).unwrap();
    for text in [shown, kept] {
        assert!(!text.contains("jit-"), "{text}");
        assert!(!text.contains("secret-"), "{text}");
    }
}

#[test]
fn the_age_of_an_image_is_computed_when_the_dashboard_is_rendered() {
    let mut pool = TestPool::new(policy(&[("linux", 0), ("windows", 0)]));
    pool.poll();
    let built_at = Timestamp::from_seconds(700);
    let images = [(profile_key("linux"), built_at)].into();
    let before = pool.monitor.view().unwrap();
    pool.monitor.handle_images(images);
    let view = pool.monitor.view().unwrap();
    assert!(!view.has_same_dashboard_as(&before), "there is an image");
    assert!(view.has_same_dashboard_as(&pool.monitor.view().unwrap()));
    for (now, age) in [(1000, 300), (1060, 360), (600, 0)] {
        let now = Timestamp::from_seconds(now) + Duration::from_millis(7);
        let dashboard = serde_json::to_value(view.dashboard_at(now)).unwrap();
        let counts = &dashboard["profile_runner_counts"];
        let expected = json!({"secs": age, "nanos": 0});
        assert_eq!(counts["linux"]["image_age"], expected);
        assert_eq!(counts["windows"]["image_age"], json!(null));
    }
}

#[test]
fn only_virtual_machines_have_a_screenshot() {
    let mut pool = TestPool::with_idle(&[("linux", 1), ("windows", 1)]);
    pool.monitor.handle_host(HostCapacity::default(), pool.now);
    pool.profile_mut("windows").guest_auth = GuestAuth::SecretAndAddress;
    let runners = pool.monitor.view().unwrap().dashboard.runners;
    let urls: Vec<_> = runners.into_iter().map(|it| it.screenshot_url).collect();
    let url = "http://host/runner/1/screenshot.png".to_owned();
    assert_eq!(urls, [None, Some(url)]);
}

/// The queue estimates from it when a runner will be free.
#[test]
fn the_dashboard_shows_since_when_each_runner_has_its_status() {
    let mut pool = TestPool::with_idle_linux(3);
    pool.advance(Duration::from_secs(600));
    pool.poll();
    let reserved_at = pool.now;
    pool.take("job", "linux", 1).unwrap();
    pool.world.start_job(2);
    pool.advance(Duration::from_secs(60));
    pool.poll();
    let busy_from = pool.now;
    pool.restart();
    pool.advance(Duration::from_secs(600));
    pool.poll();
    let since = |pool: &TestPool| -> Vec<_> {
        let runners = pool.monitor.view().unwrap().dashboard.runners;
        let since = runners.into_iter();
        since
            .map(|it| (it.status.unwrap(), it.status_since))
            .collect()
    };
    assert_eq!(
        since(&pool),
        [
            (RunnerStatus::Reserved, Some(reserved_at)),
            (RunnerStatus::Idle, Some(pool.now)),
            (RunnerStatus::Busy, Some(busy_from)),
        ]
    );
}
