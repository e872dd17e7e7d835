//! Polls: when they are due, and what a failed one changes.

use std::time::Duration;

use shared::{registration::RegistrationStatus, secret::Secret};

use crate::{HostCapacity, Poll, RunnerId, WorkflowJobEvent, testing::TestPool};

/// The polls of each of the next `seconds` seconds. Each is answered at once.
fn polls_during(pool: &mut TestPool, seconds: u64) -> Vec<Poll> {
    let mut polls = Vec::new();
    for _ in 0..seconds {
        pool.advance(Duration::from_secs(1));
        for poll in pool.monitor.start_polls(pool.now) {
            polls.push(poll);
            match poll {
                Poll::Guests => pool.poll_guests(),
                Poll::Registrations => pool.poll_registrations(),
                Poll::Host => drop(pool.monitor.handle_host(HostCapacity::default(), pool.now)),
            }
        }
    }
    polls
}

/// A pool of idle runners in which no poll is due.
fn pool_without_due_polls(count: usize) -> TestPool {
    let mut pool = TestPool::with_idle_linux(count);
    polls_during(&mut pool, 1);
    pool
}

fn count(polls: &[Poll], poll: Poll) -> usize {
    polls.iter().filter(|it| **it == poll).count()
}

#[test]
fn while_nothing_changes_github_is_polled_rarely() {
    let mut pool = pool_without_due_polls(1);
    let polls = polls_during(&mut pool, 120);
    assert_eq!(count(&polls, Poll::Guests), 24);
    assert_eq!(count(&polls, Poll::Registrations), 2);
}

/// A few lists are no proof that its guest has ended: two if GitHub does not list its runner either.
#[test]
fn a_list_that_lacks_a_guest_is_followed_by_the_next_one_at_once() {
    let mut pool = pool_without_due_polls(1);
    pool.world.registrations.clear();
    pool.poll_registrations();
    let mut polls_after_empty_list = || {
        pool.advance(Duration::from_millis(1));
        let now = pool.now;
        pool.monitor.handle_guests(Vec::new(), now, now);
        pool.monitor.start_polls(now)
    };
    assert_eq!(polls_after_empty_list(), [Poll::Guests]);
    assert_eq!(polls_after_empty_list(), [], "now it counts as gone");
}

#[test]
fn an_odd_list_is_followed_by_others_soon() {
    let mut pool = pool_without_due_polls(1);
    pool.world.drop_registration(0);
    pool.poll_registrations();
    let polls = polls_during(&mut pool, 5);
    assert_eq!(count(&polls, Poll::Registrations), 1);
}

#[test]
fn while_a_runner_may_be_assigned_by_a_former_label_github_is_polled_often() {
    let mut pool = pool_without_due_polls(1);
    let record = pool.monitor.durable.runners.get_mut(&RunnerId(0)).unwrap();
    record.may_be_assigned = true;
    let polls = polls_during(&mut pool, 5);
    assert_eq!(count(&polls, Poll::Registrations), 1);
}

#[test]
fn while_a_runner_may_come_online_github_is_polled_as_often_as_the_hypervisor() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.registration(0).status = RegistrationStatus::Offline;
    pool.poll();
    polls_during(&mut pool, 1);
    // Without its JIT configuration it cannot come online.
    let id = RunnerId(0);
    pool.monitor.credentials.expect(id, Secret::new("guest"));
    pool.monitor.credentials.provide(id, Secret::new("jit"));
    let polls = polls_during(&mut pool, 50);
    assert_eq!(count(&polls, Poll::Registrations), 0);
    pool.monitor.hand_over_credential(id);
    let polls = polls_during(&mut pool, 50);
    assert_eq!(count(&polls, Poll::Registrations), 10);
}

#[test]
fn the_end_of_a_guest_makes_a_poll_of_the_guests_due_at_once() {
    let mut pool = pool_without_due_polls(1);
    assert!(pool.monitor.next_poll_at() > Some(pool.now));
    pool.monitor
        .handle_guest_ended("ci-runner-linux.0", crate::GuestEnd::default());
    assert!(pool.monitor.next_poll_at() <= Some(pool.now));
    assert_eq!(pool.monitor.start_polls(pool.now), [Poll::Guests]);
    assert_eq!(pool.monitor.start_polls(pool.now), []);
}

#[test]
fn a_webhook_about_a_runner_of_this_server_makes_a_poll_of_github_due_soon() {
    let mut pool = pool_without_due_polls(1);
    pool.advance(Duration::from_secs(2));
    let event = |runner_name: &str| WorkflowJobEvent {
        runner_name: runner_name.to_owned(),
        registration_id: None,
        workflow_run: None,
        has_completed: false,
    };
    let now = pool.now;
    pool.monitor
        .handle_webhook(&event("ci-runner-linux.0@other"), now);
    assert_eq!(pool.monitor.start_polls(pool.now), []);
    pool.monitor
        .handle_webhook(&event("ci-runner-linux.0@host"), now);
    assert_eq!(pool.monitor.start_polls(pool.now), [Poll::Registrations]);
}

/// One failed list must neither end the monitor nor empty the pool.
#[test]
fn a_failed_poll_keeps_the_last_list_and_is_repeated_after_a_pause() {
    let mut pool = pool_without_due_polls(2);
    for poll in [Poll::Guests, Poll::Registrations] {
        pool.monitor
            .handle_guest_ended("ci-runner-linux.9", crate::GuestEnd::default());
        pool.monitor.start_polls(pool.now);
        pool.monitor.handle_poll_failed(poll, None, pool.now);
        assert_eq!(pool.counts("linux").healthy, 2);
        pool.assert_no_steps();
        let taken = pool.take(&format!("{poll:?}"), "linux", 1).unwrap();
        assert_eq!(taken.len(), 1);
        let next_poll_at = pool.monitor.next_poll_at().unwrap();
        let pause = next_poll_at.since(pool.now).as_millis();
        assert!((1000..1500).contains(&pause), "{pause}");
        pool.advance(Duration::from_millis(1500));
        assert_eq!(pool.monitor.start_polls(pool.now), [poll]);
        pool.poll();
    }
}

#[test]
fn after_a_refused_deletion_github_is_polled_often_until_its_next_list() {
    let mut pool = pool_without_due_polls(1);
    pool.profile_mut("linux").target_count = 0;
    let destruction = pool.begin().pop().unwrap();
    pool.world.start_job(0);
    pool.perform(destruction);
    assert_eq!(pool.monitor.start_polls(pool.now), [Poll::Registrations]);
    pool.monitor
        .handle_poll_failed(Poll::Registrations, None, pool.now);
    let polls = polls_during(&mut pool, 10);
    assert_eq!(count(&polls, Poll::Registrations), 1);
    let polls = polls_during(&mut pool, 50);
    assert_eq!(count(&polls, Poll::Registrations), 0);
}

#[test]
fn while_the_registration_of_a_guest_is_unknown_github_is_polled_often() {
    let mut pool = pool_without_due_polls(0);
    pool.world.guests.insert("ci-runner-linux.7".to_owned());
    pool.poll_guests();
    assert_eq!(count(&polls_during(&mut pool, 50), Poll::Registrations), 10);
}

#[test]
fn while_an_effect_is_in_flight_github_is_polled_rarely() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    assert_eq!(pool.begin().len(), 1);
    polls_during(&mut pool, 1);
    let polls = polls_during(&mut pool, 50);
    assert_eq!(count(&polls, Poll::Registrations), 0);
}
