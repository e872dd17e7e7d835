//! When to look, what is adopted, and what a failed look leaves behind.

use std::time::Duration;

use shared::{clock::Timestamp, secret::Secret, wire::RunnerStatus};

use crate::{
    HostCapacity, ObservedGuest, Poll, RunnerId,
    testing::{TestPool, policy},
};

/// Looks that are due in each of the next `seconds` seconds, each answered at once.
fn rhythm(pool: &mut TestPool, seconds: u64) -> Vec<(u64, Poll)> {
    let started_at = pool.now;
    let mut asked = Vec::new();
    for _ in 0..seconds {
        pool.pass(Duration::from_secs(1));
        for look in pool.monitor.start_polls(pool.now) {
            asked.push((pool.now.since(started_at).as_secs(), look));
            match look {
                Poll::Guests => pool.look_at_guests(),
                Poll::Registrations => pool.look_at_registrations(),
                Poll::Host => drop(pool.monitor.handle_host(HostCapacity::default())),
            }
        }
    }
    asked
}

fn count(asked: &[(u64, Poll)], look: Poll) -> usize {
    asked.iter().filter(|(_, it)| *it == look).count()
}

#[test]
fn while_nothing_changes_github_is_asked_rarely() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    rhythm(&mut pool, 1);
    let asked = rhythm(&mut pool, 120);
    assert_eq!(count(&asked, Poll::Guests), 24);
    assert_eq!(count(&asked, Poll::Registrations), 2);
}

#[test]
fn while_a_runner_is_starting_github_is_asked_as_often_as_the_hypervisor() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.world.registration(0).status = shared::registration::RegistrationStatus::Offline;
    pool.look();
    rhythm(&mut pool, 1);
    // Without its credential it cannot come online.
    let id = RunnerId(0);
    pool.monitor.credentials.expect(id, Secret::new("guest"));
    pool.monitor.credentials.provide(id, Secret::new("jit"));
    assert_eq!(count(&rhythm(&mut pool, 50), Poll::Registrations), 0);
    pool.monitor.credentials.hand_over_to(id);
    assert_eq!(count(&rhythm(&mut pool, 50), Poll::Registrations), 10);
}

#[test]
fn a_guest_that_ended_is_looked_for_at_once() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    rhythm(&mut pool, 1);
    assert!(pool.monitor.next_poll_at() > Some(pool.now));
    pool.monitor.handle_guest_ended();
    assert!(pool.monitor.next_poll_at() <= Some(pool.now));
    // What GitHub thinks of it is said when its registration is deleted.
    assert_eq!(pool.monitor.start_polls(pool.now), [Poll::Guests]);
    assert_eq!(pool.monitor.start_polls(pool.now), []);
}

/// Lesson 6: one failed list ended the monitor.
#[test]
fn a_look_that_failed_leaves_the_last_one_in_place_and_is_tried_again() {
    let mut pool = TestPool::with_idle(&[("linux", 2)]);
    rhythm(&mut pool, 1);
    for look in [Poll::Guests, Poll::Registrations] {
        pool.monitor.handle_guest_ended();
        pool.monitor.start_polls(pool.now);
        pool.monitor.handle_poll_failed(look, None, pool.now);
        assert_eq!(pool.counts("linux").healthy, 2);
        assert_eq!(pool.steps(), [""; 0]);
        assert_eq!(
            pool.take(&format!("{look:?}"), "linux", 1)
                .map(|it| it.len()),
            Ok(1)
        );
        let next_poll_at = pool.monitor.next_poll_at().unwrap();
        let pause = next_poll_at.since(pool.now).as_millis();
        assert!((1000..1500).contains(&pause), "{pause}");
        pool.pass(Duration::from_millis(1500));
        assert_eq!(pool.monitor.start_polls(pool.now), [look]);
        pool.look();
    }
}

#[test]
fn the_shadow_of_a_runner_that_is_gone_is_not_adopted() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    let asked_at = pool.now;
    let guest = ObservedGuest {
        name: "ci-runner-linux.0".into(),
        ipv4_address: None,
    };
    pool.world.end_job(0);
    pool.turn();
    assert_eq!(pool.status(0), None);
    pool.monitor
        .handle_guests(vec![guest.clone()], asked_at, pool.now);
    assert_eq!(pool.status(0), None, "in a list that was asked for earlier");
    pool.pass(Duration::from_secs(1));
    pool.monitor.handle_guests(vec![guest], pool.now, pool.now);
    assert_eq!(
        pool.status(0),
        Some(RunnerStatus::Done),
        "one that is really there is"
    );
}

#[test]
fn a_list_of_github_that_lags_brings_no_runner_back() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    let shadows: Vec<_> = pool.world.registrations.values().cloned().collect();
    pool.world.end_job(0);
    pool.settle();
    for _ in 0..60 {
        pool.pass(Duration::from_secs(9));
        pool.monitor
            .handle_registrations(shadows.clone(), pool.now, pool.now);
        assert_eq!(pool.status(0), None);
    }
    pool.pass(Duration::from_secs(600));
    pool.monitor
        .handle_registrations(shadows, pool.now, pool.now);
    assert!(pool.status(0).is_some(), "what stays that long is there");
}

#[test]
fn a_registration_that_was_left_behind_is_cleaned_up() {
    let mut pool = TestPool::new(policy(&[("linux", 0)]));
    pool.world.register("ci-runner-linux.5@host", &[]);
    pool.look();
    assert_eq!(
        pool.steps(),
        ["destroy runner 5 (linux): there is no record of it"]
    );
    pool.settle();
    assert!(pool.world.registrations.is_empty());
    assert_eq!(pool.statuses(), []);
}

#[test]
fn moments_of_looks_do_not_come_from_the_answers() {
    let mut pool = TestPool::new(policy(&[("linux", 0)]));
    pool.monitor
        .handle_guests(vec![], Timestamp::default(), pool.now);
    pool.monitor
        .handle_registrations(vec![], Timestamp::default(), pool.now);
    assert!(pool.monitor.is_ready());
    assert_eq!(pool.steps(), [""; 0]);
}
