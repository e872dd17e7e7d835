//! Runners that another monitor reserved.

use std::time::Duration;

use shared::{registration::RegistrationStatus, wire::RunnerStatus};

use crate::testing::{NO_STEPS, TestPool, policy};

/// A pool that knows nothing of the only runner of its host, which has these labels and is idle.
fn taken_over(labels: &[&str]) -> TestPool {
    let mut pool = TestPool::new(policy(&[("linux", 1)]));
    add_runner(&mut pool, 7, labels);
    pool
}

fn add_runner(pool: &mut TestPool, id: u64, labels: &[&str]) {
    let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
    let name = format!("ci-runner-linux.{id}");
    pool.world.register(&format!("{name}@host"), &labels);
    pool.world.registration(id).status = RegistrationStatus::Online;
    pool.world.guests.insert(name);
}

const RESERVED: [&str; 6] = [
    "self-hosted",
    "X64",
    "self-hosted-image:linux",
    "reserved-for:5f0c",
    "reserved-since:999",
    "reserved-by:owner/repo/actions/runs/42",
];

#[test]
fn a_runner_that_the_former_monitor_reserved_is_kept_until_its_deadline() {
    let mut pool = taken_over(&RESERVED);
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Reserved]);
    assert_eq!(pool.steps(), NO_STEPS);
    let reservation = pool.reservation("5f0c");
    assert_eq!(reservation.since.as_seconds(), 999);
    assert_eq!(reservation.job.qualified_repo.as_str(), "owner/repo");
    assert_eq!(reservation.job.run_id.0, 42);
    pool.restart();
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Reserved]);
    pool.advance(Duration::from_secs(198));
    pool.poll();
    assert_eq!(pool.steps(), NO_STEPS);
    pool.advance(Duration::from_secs(2));
    let reason = "its job did not start within monitor_reserve_timeout";
    assert_eq!(
        pool.steps(),
        [format!("destroy runner 7 (linux): {reason}")]
    );
}

#[test]
fn the_job_of_an_adopted_reservation_can_use_its_runner() {
    let mut pool = taken_over(&RESERVED);
    pool.poll_guests();
    pool.poll_registrations();
    pool.world.start_job(7);
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    pool.advance(Duration::from_secs(10_000));
    pool.poll();
    assert_eq!(pool.steps(), NO_STEPS);
    pool.world.end_job(7);
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

#[test]
fn the_runners_of_one_job_are_one_reservation() {
    let mut pool = taken_over(&RESERVED);
    add_runner(&mut pool, 8, &RESERVED);
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Reserved; 2]);
    assert_eq!(pool.reservation("5f0c").runners.len(), 2);
}

/// In whatever order the lists arrive, and however incomplete the labels are.
#[test]
fn labels_in_another_form_hold_the_runner_too() {
    for labels in [
        &["reserved-for:5f0c"][..],
        &["Reserved-For:5f0c", "reserved-since:soon"],
        &["reserved-for:not a unique id", "reserved-by:nonsense"],
        &["reserved-for:5f0c", "reserved-since:99999999999"],
    ] {
        let mut pool = taken_over(labels);
        pool.poll_registrations();
        pool.poll_guests();
        assert_eq!(pool.statuses(), [RunnerStatus::Reserved], "{labels:?}");
        pool.advance(Duration::from_secs(201));
        assert_eq!(pool.steps().len(), 1, "{labels:?}");
    }
}

#[test]
fn an_idle_runner_of_the_former_monitor_is_replaced() {
    let mut pool = taken_over(&["self-hosted", "X64", "self-hosted-image:linux"]);
    pool.poll();
    assert_eq!(
        pool.steps(),
        ["destroy runner 7 (linux): there is no record of it"]
    );
}

/// A list that is late, or incomplete for a moment, must not cost the guest of a job.
#[test]
fn a_guest_without_a_record_is_kept_until_lists_have_consistently_lacked_it() {
    let mut pool = taken_over(&RESERVED);
    let registrations = std::mem::take(&mut pool.world.registrations);
    pool.poll();
    assert_eq!(pool.steps(), NO_STEPS);
    pool.world.registrations = registrations;
    pool.world.start_job(7);
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);

    let mut pool = taken_over(&RESERVED);
    pool.world.registrations.clear();
    pool.poll_until_confirmed();
    assert_eq!(
        pool.steps(),
        ["destroy runner 7 (linux): there is no record of it"]
    );
}
