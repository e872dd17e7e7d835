//! What lists change: adoption of unknown runners, and lists that lag.

use std::time::Duration;

use shared::{clock::Timestamp, wire::RunnerStatus};

use crate::{ObservedGuest, testing::TestPool};

#[test]
fn a_list_that_is_older_than_the_end_of_a_runner_does_not_bring_it_back() {
    let mut pool = TestPool::with_idle_linux(1);
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
    assert_eq!(pool.status(0), None, "the list was requested earlier");
    pool.advance(Duration::from_secs(1));
    pool.monitor.handle_guests(vec![guest], pool.now, pool.now);
    assert_eq!(
        pool.status(0),
        Some(RunnerStatus::Done),
        "a guest that exists after all is adopted"
    );
}

#[test]
fn a_list_of_github_that_lags_does_not_bring_a_runner_back() {
    let mut pool = TestPool::with_idle_linux(1);
    let outdated: Vec<_> = pool.world.registrations.values().cloned().collect();
    pool.world.end_job(0);
    pool.converge();
    for _ in 0..60 {
        pool.advance(Duration::from_secs(9));
        pool.monitor
            .handle_registrations(outdated.clone(), pool.now, pool.now);
        assert_eq!(pool.status(0), None);
    }
    pool.advance(Duration::from_secs(600));
    pool.monitor
        .handle_registrations(outdated, pool.now, pool.now);
    assert!(pool.status(0).is_some(), "no list lags that long");
}

#[test]
fn a_leftover_registration_is_deleted() {
    let mut pool = TestPool::empty_with_target(0);
    pool.world.register("ci-runner-linux.5@host", &[]);
    pool.poll();
    assert_eq!(
        pool.steps(),
        ["destroy runner 5 (linux): there is no record of it"]
    );
    pool.converge();
    assert!(pool.world.registrations.is_empty());
    assert_eq!(pool.statuses(), []);
}

#[test]
fn lists_that_were_requested_at_the_epoch_count() {
    let mut pool = TestPool::empty_with_target(0);
    pool.monitor
        .handle_guests(vec![], Timestamp::default(), pool.now);
    pool.monitor
        .handle_registrations(vec![], Timestamp::default(), pool.now);
    assert!(pool.monitor.is_ready());
    pool.assert_no_steps();
}
