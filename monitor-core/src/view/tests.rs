//! What the dashboard says.

use std::time::Duration;

use serde_json::json;
use shared::clock::Timestamp;

use crate::testing::{TestPool, policy, profile_key, unique_id};

#[test]
fn before_the_first_look_there_is_nothing_to_show() {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    assert!(pool.monitor.view().is_none());
    pool.look_at_guests();
    assert!(pool.monitor.view().is_none());
    pool.look_at_registrations();
    assert!(pool.monitor.view().is_some());
}

/// Lesson 11: after each take the dashboard was gone for a moment.
#[test]
fn the_dashboard_shows_a_reservation_the_moment_it_is_made() {
    let mut pool = TestPool::with_idle(&[("linux", 3)]);
    pool.world.start_job(2);
    pool.look();
    pool.take_attempt("job", "linux", 1, Some(4)).unwrap();
    let view = pool.monitor.view().unwrap();
    let json = serde_json::to_value(&view.dashboard).unwrap();
    assert_eq!(
        json["profile_runner_counts"],
        json!({"linux": {
            "target": 3, "healthy": 3, "started_or_crashed": 0, "idle": 1, "reserved": 1, "busy": 1,
            "excess_healthy": 0, "wanted": 0, "image_age": null,
        }})
    );
    assert_eq!(
        json["reservations"],
        json!({"job": {"runners": [0], "state": "held", "attempt": 4}})
    );
    let runners = json["runners"].as_array().unwrap();
    let statuses: Vec<_> = runners
        .iter()
        .map(|it| it["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["reserved", "idle", "busy"]);
    assert_eq!(runners[2]["profile_key"], "linux");
    assert_eq!(runners[2]["runner"]["registration"]["busy"], true);
    assert_eq!(runners[2]["runner"]["guest_name"], "ci-runner-linux.2");
    assert_eq!(view.reserved_for[&0], unique_id("job"));
    assert_eq!(view.action_log.steps.len(), 3);
}

#[test]
fn no_secret_is_in_anything_that_is_shown_or_kept() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.take("job", "linux", 1).unwrap();
    let shown = format!("{:?}", pool.monitor.view().unwrap());
    let kept = String::from_utf8(pool.monitor.snapshot()).unwrap();
    for text in [shown, kept] {
        assert!(!text.contains("jit-"), "{text}");
        assert!(!text.contains("secret-"), "{text}");
    }
}

#[test]
fn the_age_of_an_image_is_that_of_the_moment_in_which_it_is_asked_for() {
    let mut pool = TestPool::new(policy(&[("linux", 0), ("windows", 0)]));
    pool.look();
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
