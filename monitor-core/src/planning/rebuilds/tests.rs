//! When an image is rebuilt, and what a rebuild uses.

use std::{collections::BTreeMap, time::Duration};

use shared::{clock::Timestamp, values::ProfileKey};

use crate::{
    GuestIdentity, ImageView, Resources,
    testing::{NO_STEPS, TestPool, hugepages, policy, profile_key},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A pool with room for `capacity` guests, and one profile whose image is built here. Images are
/// rebuilt after 1000 s.
fn pool(target: usize, capacity: u64) -> TestPool {
    let mut policy = policy(&[("linux", target)]);
    policy.capacity = hugepages(capacity);
    let profile = policy.profiles.get_mut(&profile_key("linux"));
    profile.unwrap().builds_image = true;
    TestPool::new(policy)
}

fn linux() -> ProfileKey {
    profile_key("linux")
}

fn set_image_age(pool: &mut TestPool, age: Option<Duration>) {
    let built_at = age.map(|age| (linux(), pool.now - age));
    pool.monitor.handle_images(built_at.into_iter().collect());
}

/// Ends the rebuild that is in flight.
fn finish(pool: &mut TestPool, outcome: Result<Timestamp, String>) {
    pool.monitor.handle_rebuilt(&linux(), outcome, pool.now);
}

#[test]
fn the_age_of_an_image_is_known_once_a_poll_has_found_it() {
    let mut pool = pool(1, 9);
    let built_at = |pool: &TestPool| pool.monitor.image_built_at(&linux());
    assert_eq!(built_at(&pool), None);
    set_image_age(&mut pool, None);
    assert_eq!(built_at(&pool), None);
    let age = Duration::from_secs(900);
    set_image_age(&mut pool, Some(age));
    assert_eq!(built_at(&pool), Some(pool.now - age));
}

#[test]
fn before_the_images_are_known_no_rebuild_is_planned() {
    let mut pool = pool(1, 9);
    pool.poll();
    pool.assert_no_steps();
    assert_eq!(
        pool.shortfalls(),
        ["1 more of linux: the first image has not been built yet"]
    );
}

#[test]
fn the_first_image_is_built_once_and_before_the_first_runner() {
    let mut pool = pool(1, 9);
    set_image_age(&mut pool, None);
    pool.turn();
    assert_eq!(pool.steps(), NO_STEPS, "the rebuild is in flight");
    assert_eq!(pool.world.effects, [""; 0], "no runner is created");
    let view = &pool.monitor.view().unwrap().images[&linux()];
    assert_eq!((view.built_at, view.rebuilt_since.is_some()), (None, true));

    let now = pool.now;
    finish(&mut pool, Ok(now));
    pool.converge();
    assert_eq!(pool.world.guests.len(), 1);
    assert_eq!(
        pool.monitor.view().unwrap().images[&linux()],
        ImageView {
            built_at: Some(now),
            ..ImageView::default()
        }
    );
}

#[test]
fn an_old_image_is_rebuilt_while_its_runners_continue() {
    let mut pool = pool(2, 3);
    set_image_age(&mut pool, Some(MINUTE));
    pool.converge();
    set_image_age(&mut pool, Some(Duration::from_secs(1000)));
    assert_eq!(pool.steps(), NO_STEPS, "not yet");
    set_image_age(&mut pool, Some(Duration::from_secs(1001)));
    assert_eq!(
        pool.steps(),
        ["rebuild the image of linux: it is older than base_image_max_age"]
    );
    pool.turn();
    assert_eq!(pool.world.guests.len(), 2);
    pool.run_job(0);
    assert_eq!(pool.world.guests.len(), 2, "new runners use the old image");
}

#[test]
fn a_rebuild_gets_what_a_runner_leaves_free_before_new_runners_do() {
    let mut pool = pool(2, 2);
    set_image_age(&mut pool, Some(MINUTE));
    pool.converge();
    set_image_age(&mut pool, Some(MINUTE * 60));
    pool.world.start_job(0);
    pool.world.start_job(1);
    pool.poll();
    assert_eq!(pool.steps(), NO_STEPS, "there is no room");
    pool.run_job(0);
    assert_eq!(pool.world.guests.len(), 1);
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(2)));
    let now = pool.now;
    finish(&mut pool, Ok(now));
    pool.converge();
    assert_eq!(pool.world.guests.len(), 2);
}

#[test]
fn a_failed_rebuild_keeps_the_image_and_is_repeated_after_growing_pauses() {
    let mut pool = pool(1, 9);
    set_image_age(&mut pool, Some(MINUTE * 60));
    let built_at = pool.monitor.images.built_at(&linux());
    for pause in [MINUTE, MINUTE * 2, MINUTE * 4] {
        pool.converge();
        assert!(pool.monitor.images.in_flight_count() == 1);
        finish(&mut pool, Err("it took too long".to_owned()));
        pool.advance(pause - Duration::from_secs(1));
        pool.assert_no_steps();
        // Jitter adds up to half of it.
        pool.advance(pause / 2);
        assert_eq!(pool.steps().len(), 1);
        assert_eq!(pool.world.guests.len(), 1, "runners are kept meanwhile");
    }
    let view = &pool.monitor.view().unwrap().images[&linux()];
    assert_eq!((view.built_at, view.failure_count), (built_at, 3));
    assert_eq!(view.failure.as_deref(), Some("it took too long"));
}

#[test]
fn one_image_is_built_at_a_time_and_none_if_no_runners_are_to_be_created() {
    let mut policy = policy(&[("a", 1), ("b", 1)]);
    for profile in policy.profiles.values_mut() {
        profile.builds_image = true;
    }
    policy.makes_runners = false;
    let mut pool = TestPool::new(policy);
    pool.monitor.handle_images(BTreeMap::new());
    pool.poll();
    pool.assert_no_steps();
    pool.monitor.policy.makes_runners = true;
    assert_eq!(pool.steps(), ["rebuild the image of a: there is none"]);
    pool.turn();
    pool.assert_no_steps();
    assert_eq!(pool.monitor.images.resources_in_use(), hugepages(1));
}

#[test]
fn a_rebuild_that_has_ended_uses_nothing() {
    let mut pool = pool(0, 9);
    set_image_age(&mut pool, None);
    pool.turn();
    finish(&mut pool, Err("no".to_owned()));
    assert_eq!(pool.monitor.images.resources_in_use(), Resources::default());
}

#[test]
fn the_guest_of_a_rebuild_authenticates_by_its_secret_until_the_rebuild_ends() {
    let mut pool = pool(0, 9);
    set_image_age(&mut pool, None);
    pool.poll();
    let effects = pool.begin();
    let [crate::Effect::Rebuild(rebuild)] = &effects[..] else {
        panic!("not just a rebuild: {effects:?}");
    };
    let secret = rebuild.guest_secret.expose().to_owned();
    let builder = GuestIdentity::BuilderIfAt {
        profile_key: linux(),
        guest_name: "ci-rebuild-linux".to_owned(),
    };
    assert_eq!(pool.monitor.identify_guest(Some(&secret)), builder);
    let other = pool.monitor.identify_guest(Some("guess"));
    assert_eq!(other, GuestIdentity::Unknown);
    finish(&mut pool, Err("no".to_owned()));
    let after = pool.monitor.identify_guest(Some(&secret));
    assert_eq!(after, GuestIdentity::Unknown);
}
