//! When an image is rebuilt, and what it takes.

use super::*;
use crate::{
    Resources,
    testing::{TestPool, hugepages, policy, profile_key},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A pool with room for so many guests, and one profile whose image is built here. An image may
/// become 1000 s old.
fn pool(target: usize, room: u64) -> TestPool {
    let mut policy = policy(&[("linux", target)]);
    policy.capacity = hugepages(room);
    let profile = policy.profiles.get_mut(&profile_key("linux"));
    profile.unwrap().builds_image = true;
    TestPool::new(policy)
}

fn linux() -> ProfileKey {
    profile_key("linux")
}

fn see_image(pool: &mut TestPool, age: Option<Duration>) {
    let built_at = age.map(|age| (linux(), pool.now - age));
    pool.monitor.handle_images(built_at.into_iter().collect());
}

/// Ends the rebuild that is under way.
fn end(pool: &mut TestPool, outcome: Result<Timestamp, String>) {
    pool.monitor.handle_rebuilt(&linux(), outcome, pool.now);
}

#[test]
fn nothing_is_decided_about_images_that_nobody_has_looked_for() {
    let mut pool = pool(1, 9);
    pool.look();
    assert_eq!(pool.steps(), [""; 0]);
    assert_eq!(
        pool.shortfalls(),
        ["1 more of linux: the first image is still to be built"]
    );
}

#[test]
fn the_first_image_is_built_once_and_before_the_first_runner() {
    let mut pool = pool(1, 9);
    see_image(&mut pool, None);
    pool.turn();
    assert_eq!(pool.steps(), [""; 0], "it is under way");
    assert_eq!(pool.world.deeds, [""; 0], "and no runner is made");
    let view = &pool.monitor.image_views()[&linux()];
    assert_eq!((view.built_at, view.rebuilt_since.is_some()), (None, true));

    let now = pool.now;
    end(&mut pool, Ok(now));
    pool.settle();
    assert_eq!(pool.world.guests.len(), 1);
    assert_eq!(
        pool.monitor.image_views()[&linux()],
        ImageView {
            built_at: Some(now),
            ..ImageView::default()
        }
    );
}

#[test]
fn an_old_image_is_rebuilt_while_its_runners_go_on_working() {
    let mut pool = pool(2, 3);
    see_image(&mut pool, Some(MINUTE));
    pool.settle();
    see_image(&mut pool, Some(Duration::from_secs(1000)));
    assert_eq!(pool.steps(), [""; 0], "not yet");
    see_image(&mut pool, Some(Duration::from_secs(1001)));
    assert_eq!(
        pool.steps(),
        ["rebuild the image of linux: it is older than base_image_max_age"]
    );
    pool.turn();
    assert_eq!(pool.world.guests.len(), 2);
    pool.do_job(0);
    assert_eq!(
        pool.world.guests.len(),
        2,
        "and new ones are made of the old one"
    );
}

#[test]
fn what_a_runner_leaves_free_goes_to_the_rebuild_first_and_capacity_holds() {
    let mut pool = pool(2, 2);
    see_image(&mut pool, Some(MINUTE));
    pool.settle();
    see_image(&mut pool, Some(MINUTE * 60));
    pool.world.start_job(0);
    pool.world.start_job(1);
    pool.look();
    assert_eq!(pool.steps(), [""; 0], "there is no room");
    pool.do_job(0);
    assert_eq!(pool.world.guests.len(), 1);
    assert_eq!(pool.monitor.resources_in_use(), Some(hugepages(2)));
    let now = pool.now;
    end(&mut pool, Ok(now));
    pool.settle();
    assert_eq!(pool.world.guests.len(), 2);
}

#[test]
fn a_failed_rebuild_keeps_the_last_good_image_and_is_tried_again_later_and_later() {
    let mut pool = pool(1, 9);
    see_image(&mut pool, Some(MINUTE * 60));
    let built_at = pool.monitor.built_at(&linux());
    for pause in [MINUTE, MINUTE * 2, MINUTE * 4] {
        pool.settle();
        assert!(pool.monitor.images.under_way.contains_key(&linux()));
        end(&mut pool, Err("it took too long".to_owned()));
        pool.pass(pause - Duration::from_secs(1));
        assert_eq!(pool.steps(), [""; 0]);
        // Chance adds up to half of it.
        pool.pass(pause / 2);
        assert_eq!(pool.steps().len(), 1);
        assert_eq!(
            pool.world.guests.len(),
            1,
            "runners are there all the while"
        );
    }
    let view = &pool.monitor.image_views()[&linux()];
    assert_eq!((view.built_at, view.failure_count), (built_at, 3));
    assert_eq!(view.failure.as_deref(), Some("it took too long"));
}

#[test]
fn one_image_is_built_at_a_time_and_none_when_there_are_to_be_no_runners() {
    let mut policy = policy(&[("a", 1), ("b", 1)]);
    for profile in policy.profiles.values_mut() {
        profile.builds_image = true;
    }
    policy.makes_runners = false;
    let mut pool = TestPool::new(policy);
    pool.monitor.handle_images(BTreeMap::new());
    pool.look();
    assert_eq!(pool.steps(), [""; 0]);
    pool.monitor.policy.makes_runners = true;
    assert_eq!(pool.steps(), ["rebuild the image of a: there is none"]);
    pool.turn();
    assert_eq!(pool.steps(), [""; 0]);
    assert_eq!(pool.monitor.images.resources_in_use(), hugepages(1));
}

#[test]
fn a_rebuild_of_which_nothing_is_left_takes_nothing() {
    let mut pool = pool(0, 9);
    see_image(&mut pool, None);
    pool.turn();
    end(&mut pool, Err("no".to_owned()));
    assert_eq!(pool.monitor.images.resources_in_use(), Resources::default());
}

#[test]
fn the_guest_of_a_rebuild_is_known_by_its_secret_while_it_lasts() {
    let mut pool = pool(0, 9);
    see_image(&mut pool, None);
    pool.look();
    let tasks = pool.begin();
    let [crate::Effect::Rebuild(rebuild)] = &tasks[..] else {
        panic!("not just a rebuild: {tasks:?}");
    };
    let secret = rebuild.guest_secret.expose().to_owned();
    let asker = crate::GuestIdentity::BuilderIfAt {
        profile_key: linux(),
        guest_name: "ci-rebuild-linux".to_owned(),
    };
    assert_eq!(pool.monitor.identify_guest(Some(&secret), None), asker);
    let stranger = pool.monitor.identify_guest(Some("guess"), None);
    assert_eq!(stranger, crate::GuestIdentity::Unknown);
    end(&mut pool, Err("no".to_owned()));
    let after = pool.monitor.identify_guest(Some(&secret), None);
    assert_eq!(after, crate::GuestIdentity::Unknown);
}
