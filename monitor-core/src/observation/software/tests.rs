//! Which versions GitHub is asked about and how often, and when there are warnings.

use std::time::Duration;

use shared::{clock::Timestamp, software::Support};

use crate::{
    SoftwareView,
    testing::{TestPool, profile_key},
};

const DAY: Duration = Duration::from_hours(24);

/// A pool with one runner of each profile, which has that version of the runner software.
fn pool(versions: &[(&str, &str)]) -> TestPool {
    let profiles: Vec<(&str, usize)> = versions.iter().map(|(key, _)| (*key, 1)).collect();
    let mut pool = TestPool::with_idle(&profiles);
    for (id, (_, version)) in versions.iter().enumerate() {
        pool.world.registration(id as u64).version = Some((*version).to_owned());
    }
    pool.poll();
    pool
}

fn view(pool: &TestPool, key: &str) -> SoftwareView {
    pool.monitor.software.views()[&profile_key(key)].clone()
}

#[test]
fn github_is_asked_about_each_version_every_six_hours() {
    let mut pool = pool(&[("a", "2.1.0"), ("b", "2.1.0"), ("c", "2.2.0")]);
    let ask = |pool: &mut TestPool| pool.monitor.start_software_queries(pool.now);
    assert_eq!(ask(&mut pool), ["2.1.0", "2.2.0"]);
    assert_eq!(ask(&mut pool), [""; 0]);
    for version in ["2.1.0", "2.2.0"] {
        let answer = Ok(Support::Open);
        pool.monitor
            .handle_software_support(version, answer, pool.now);
    }
    pool.advance(Duration::from_hours(6) - Duration::from_secs(1));
    assert_eq!(ask(&mut pool), [""; 0]);
    pool.advance(Duration::from_secs(1));
    assert_eq!(ask(&mut pool), ["2.1.0", "2.2.0"]);
    // Versions that no profile has any more are not asked about.
    pool.world.registration(2).version = Some("2.1.0".into());
    pool.poll();
    pool.advance(Duration::from_hours(6));
    assert_eq!(ask(&mut pool), ["2.1.0"]);
}

#[test]
fn a_failed_query_is_repeated_after_a_pause_and_not_before_retry_after() {
    let mut pool = pool(&[("a", "2.1.0")]);
    let minute = Duration::from_mins(1);
    for (retry_after, pause) in [(None, 5 * minute), (Some(60 * minute), 60 * minute)] {
        assert_eq!(pool.monitor.start_software_queries(pool.now).len(), 1);
        pool.monitor
            .handle_software_support("2.1.0", Err(retry_after), pool.now);
        assert_eq!(view(&pool, "a").support, None);
        pool.advance(pause - Duration::from_millis(1));
        assert_eq!(pool.monitor.start_software_queries(pool.now), [""; 0]);
        // Jitter adds up to half of it.
        pool.advance(pause / 2);
    }
    assert_eq!(pool.monitor.start_software_queries(pool.now).len(), 1);
}

#[test]
fn there_is_a_warning_for_each_profile_whose_support_ends_within_two_weeks() {
    let mut pool = pool(&[("a", "2.1.0"), ("b", "2.2.0"), ("c", "2.1.0")]);
    let ends_at = Timestamp::from_seconds(1_798_106_400);
    for (now, expected) in [
        (ends_at.as_seconds() - 15 * 86_400, None),
        (
            ends_at.as_seconds() - 14 * 86_400,
            Some("is supported by GitHub until 2026-12-24 only"),
        ),
        (
            ends_at.as_seconds(),
            Some("has not been supported by GitHub since 2026-12-24"),
        ),
    ] {
        pool.now = Timestamp::from_seconds(now);
        let answer = Ok(Support::Until(ends_at));
        let warnings = pool
            .monitor
            .handle_software_support("2.1.0", answer, pool.now);
        let sentence = |key: &str| {
            let what = expected?;
            Some(format!(
                "profile {key}: its runner software 2.1.0 {what}; put a newer version into its image"
            ))
        };
        let wanted: Vec<String> = ["a", "c"].into_iter().filter_map(sentence).collect();
        assert_eq!(warnings, wanted);
        assert_eq!(
            view(&pool, "a").warning(pool.now).is_some(),
            expected.is_some()
        );
    }
    assert_eq!(view(&pool, "b").support, None);
    for support in [Support::Open, Support::Unknown] {
        let answer = Ok(support);
        let warnings = pool
            .monitor
            .handle_software_support("2.2.0", answer, pool.now + 999 * DAY);
        assert_eq!(warnings, [""; 0]);
    }
}

#[test]
fn a_profile_has_the_version_of_its_newest_runner_also_after_that_is_gone() {
    let mut pool = TestPool::with_idle(&[("a", 2)]);
    pool.world.registration(0).version = Some("2.1.0".into());
    pool.poll();
    assert_eq!(view(&pool, "a").version, "2.1.0");
    pool.world.registration(1).version = Some("2.2.0".into());
    pool.poll();
    assert_eq!(view(&pool, "a").version, "2.2.0");
    pool.world.end_job(1);
    pool.poll();
    assert_eq!(view(&pool, "a").version, "2.2.0");
}

#[test]
fn texts_that_are_not_versions_are_not_asked_about() {
    for version in ["", "2.1.0/../../user", "2 1", "é", &"1".repeat(33)] {
        let mut pool = pool(&[("a", version)]);
        assert_eq!(pool.monitor.start_software_queries(pool.now), [""; 0]);
        assert!(pool.monitor.software.views().is_empty(), "{version}");
    }
}

#[test]
fn github_is_asked_about_sixteen_versions_at_most() {
    let keys: Vec<String> = (10..27).map(|number| format!("profile-{number}")).collect();
    let versions: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), &key[8..])).collect();
    let mut pool = pool(&versions);
    assert_eq!(pool.monitor.start_software_queries(pool.now).len(), 16);
}
