//! Tests of the targets that follow demand.

use shared::registration::RegistrationStatus;

use super::*;
use crate::testing::{TestPool, hugepages, order, policy, profile_key};

const QUEUE: u64 = 7;
/// Longer than a statement of a queue counts.
const LIFETIME_OF_DEMAND: Duration = Duration::from_secs(31);

/// A full server with idle runners of both profiles, which may use the room of each other.
fn shared_server() -> TestPool {
    let mut policy = policy(&[("linux", 4), ("windows", 4)]);
    policy.capacity = hugepages(8);
    for profile in policy.profiles.values_mut() {
        profile.min_count = 1;
        profile.max_count = 7;
    }
    let mut pool = TestPool::new(policy);
    pool.converge();
    pool
}

impl TestPool {
    /// A queue states that so many runners besides those in use could have a job.
    fn demand(&mut self, counts: &[(&str, usize)]) {
        self.demand_of(QUEUE, counts);
    }

    fn demand_of(&mut self, queue: u64, counts: &[(&str, usize)]) {
        let counts = counts.iter().map(|&(key, count)| (profile_key(key), count));
        self.monitor
            .handle_demand(queue, counts.collect(), self.now);
    }

    /// The queue states the same for so many turns.
    fn keep_demanding(&mut self, counts: &[(&str, usize)], turns: usize) {
        for _ in 0..turns {
            self.demand(counts);
            self.turn();
            self.start_all();
        }
    }

    /// Idle runners and the targets of both profiles.
    fn pools(&self) -> [(usize, usize); 2] {
        ["linux", "windows"].map(|key| {
            let counts = self.counts(key);
            (counts.idle, counts.target)
        })
    }

    fn reason(&self, key: &str) -> Option<TargetReason> {
        self.monitor.target_reason(&profile_key(key))
    }

    /// The runners that start come online.
    fn start_all(&mut self) {
        for registration in self.world.registrations.values_mut() {
            registration.status = RegistrationStatus::Online;
        }
    }

    fn start_jobs(&mut self, key: &str, count: usize) -> Vec<u64> {
        let prefix = format!("ci-runner-{key}.");
        let registrations = self.world.registrations.values_mut();
        let of_profile = registrations.filter(|it| it.name.starts_with(&prefix) && !it.busy);
        let started = of_profile.take(count).map(|registration| {
            registration.busy = true;
            let id = registration.name.trim_start_matches(&prefix);
            id.trim_end_matches("@host").parse().unwrap()
        });
        started.collect()
    }
}

#[test]
fn idle_runners_of_another_profile_become_what_jobs_wait_for() {
    let mut pool = shared_server();
    assert_eq!(pool.pools(), [(4, 4), (4, 4)]);
    pool.keep_demanding(&[("linux", 6)], 10);
    assert_eq!(pool.pools(), [(6, 6), (2, 2)]);
    assert_eq!(pool.reason("linux"), Some(TargetReason::Demand));
    assert_eq!(pool.reason("windows"), Some(TargetReason::Yielded));
    assert!(
        pool.monitor
            .missing_runners(&pool.monitor.offered_counts())
            .is_empty()
    );
}

#[test]
fn a_profile_gets_no_more_than_its_max_and_leaves_the_others_their_min() {
    let mut pool = shared_server();
    pool.keep_demanding(&[("linux", 100)], 10);
    assert_eq!(pool.pools(), [(7, 7), (1, 1)]);
    let mut pool = shared_server();
    pool.profile_mut("linux").max_count = 5;
    pool.keep_demanding(&[("linux", 100)], 10);
    assert_eq!(pool.pools(), [(5, 5), (3, 3)]);
}

#[test]
fn a_short_demand_changes_nothing() {
    let mut pool = shared_server();
    for _ in 0..5 {
        pool.keep_demanding(&[("linux", 7)], 2);
        pool.keep_demanding(&[], 1);
    }
    assert_eq!(pool.pools(), [(4, 4), (4, 4)]);
}

#[test]
fn only_what_was_asked_for_all_the_time_counts() {
    let mut pool = shared_server();
    for turn in 0..4 {
        pool.keep_demanding(&[("linux", 5 + turn % 2)], 1);
    }
    assert_eq!(pool.pools()[0].1, 5);
}

#[test]
fn busy_reserved_and_starting_runners_are_never_given_up() {
    let mut pool = shared_server();
    pool.start_jobs("windows", 2);
    pool.advance(Duration::from_secs(60));
    pool.turn();
    pool.take("job", "windows", 1).unwrap();
    pool.keep_demanding(&[("linux", 100)], 10);
    let windows = pool.counts("windows");
    assert_eq!((windows.busy, windows.reserved, windows.idle), (2, 1, 0));
    assert_eq!(pool.counts("linux").idle, 5);
}

#[test]
fn runners_that_jobs_wait_for_are_shared_equally() {
    let mut pool = shared_server();
    pool.keep_demanding(&[("linux", 100), ("windows", 100)], 10);
    assert_eq!(pool.pools(), [(4, 4), (4, 4)]);
}

#[test]
fn what_jobs_wait_for_within_the_target_comes_before_what_is_beyond() {
    let mut pool = shared_server();
    pool.keep_demanding(&[("linux", 100), ("windows", 3)], 10);
    assert_eq!(pool.pools(), [(5, 5), (3, 3)]);
}

#[test]
fn without_demand_the_targets_are_those_of_the_settings() {
    let mut pool = shared_server();
    pool.keep_demanding(&[("linux", 7)], 10);
    assert_eq!(pool.pools()[0], (7, 7));
    // The queue is gone.
    pool.advance(LIFETIME_OF_DEMAND);
    for _ in 0..80 {
        pool.turn();
        pool.start_all();
    }
    assert_eq!(pool.pools(), [(4, 4), (4, 4)]);
    assert_eq!(pool.reason("linux"), None);
}

#[test]
fn what_was_made_for_waiting_jobs_is_kept_and_replaced_by_what_made_room() {
    let mut pool = shared_server();
    pool.keep_demanding(&[("linux", 7)], 10);
    let busy = pool.start_jobs("linux", 3);
    pool.keep_demanding(&[], 5);
    assert_eq!(pool.reason("linux"), Some(TargetReason::Kept));
    assert_eq!(
        (pool.counts("linux").idle, pool.counts("windows").idle),
        (4, 1)
    );
    for id in busy {
        pool.world.end_job(id);
    }
    pool.keep_demanding(&[], 10);
    assert_eq!(pool.pools(), [(4, 4), (4, 4)]);
}

#[test]
fn idle_runners_beyond_the_target_make_room_after_a_while() {
    let mut pool = shared_server();
    pool.keep_demanding(&[("linux", 7)], 10);
    for _ in 0..KEPT_FOR.as_secs() / 20 - 2 {
        pool.keep_demanding(&[], 1);
        pool.advance(Duration::from_secs(19));
    }
    assert_eq!(pool.pools(), [(7, 7), (1, 1)]);
    for _ in 0..10 {
        pool.keep_demanding(&[], 3);
        pool.advance(Duration::from_secs(19));
    }
    assert_eq!(pool.pools(), [(4, 4), (4, 4)]);
}

#[test]
fn a_profile_that_was_raised_keeps_its_runners_for_a_while_though_jobs_wait_for_others() {
    let mut pool = shared_server();
    pool.keep_demanding(&[("linux", 7)], 10);
    pool.keep_demanding(&[("windows", 7)], 60);
    assert_eq!(pool.pools(), [(7, 7), (1, 1)]);
    pool.keep_demanding(&[("windows", 7)], 120);
    assert_eq!(pool.pools(), [(1, 1), (7, 7)]);
}

#[test]
fn runners_that_cannot_be_created_now_get_no_room() {
    let mut pool = shared_server();
    pool.profile_mut("linux").builds_image = true;
    pool.keep_demanding(&[("linux", 7)], 10);
    assert_eq!(pool.counts("windows").idle, 4);
    assert_eq!(pool.monitor.most_on_demand(&profile_key("linux")), Some(0));
}

#[test]
fn an_override_wins() {
    let mut pool = shared_server();
    pool.keep_demanding(&[("linux", 7)], 10);
    let counts = BTreeMap::from([(profile_key("windows"), 6)]);
    pool.monitor
        .set_override(counts, order(""), pool.now)
        .unwrap();
    pool.keep_demanding(&[("linux", 7)], 10);
    assert_eq!(pool.pools(), [(2, 2), (6, 6)]);
    assert_eq!(pool.reason("linux"), Some(TargetReason::Override));
}

#[test]
fn a_rare_profile_exists_only_while_jobs_wait_for_it() {
    let mut policy = policy(&[("linux", 4), ("rare", 0)]);
    policy.capacity = hugepages(4);
    policy
        .profiles
        .get_mut(&profile_key("rare"))
        .unwrap()
        .max_count = 2;
    policy
        .profiles
        .get_mut(&profile_key("linux"))
        .unwrap()
        .min_count = 1;
    let mut pool = TestPool::new(policy);
    pool.converge();
    assert_eq!(
        (pool.counts("linux").idle, pool.counts("rare").idle),
        (4, 0)
    );
    assert_eq!(pool.monitor.offered_counts()["rare"].max, Some(2));
    pool.keep_demanding(&[("rare", 1)], 10);
    assert_eq!(
        (pool.counts("linux").idle, pool.counts("rare").idle),
        (3, 1)
    );
}

#[test]
fn what_several_queues_wait_for_is_added_and_their_number_is_limited() {
    let mut pool = shared_server();
    for _ in 0..10 {
        pool.demand_of(1, &[("linux", 3)]);
        pool.demand_of(2, &[("linux", 3)]);
        pool.turn();
        pool.start_all();
    }
    assert_eq!(pool.pools(), [(6, 6), (2, 2)]);
    for queue in 10..100 {
        pool.demand_of(queue, &[("linux", usize::MAX)]);
        pool.advance(Duration::from_micros(1));
    }
    assert_eq!(pool.monitor.demand_for(&profile_key("linux")), 1000);
}

#[test]
fn targets_without_limits_of_their_own_do_not_follow_demand() {
    let mut pool = TestPool::with_idle(&[("linux", 2), ("windows", 2)]);
    pool.keep_demanding(&[("linux", 7)], 10);
    assert_eq!(pool.pools(), [(2, 2), (2, 2)]);
    assert_eq!(pool.monitor.offered_counts()["linux"].max, None);
}
