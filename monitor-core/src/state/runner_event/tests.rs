//! Tests of what each transition records of a runner.

use std::time::Duration;

use shared::{
    clock::Timestamp,
    registration::{Deletion, RegistrationStatus},
};

use super::*;
use crate::{
    CredentialHandover, JobProgress, WorkflowJobEvent, WorkflowRun,
    testing::{TestPool, profile_key, unique_id},
};

/// A pool with one idle runner, whose guest has fetched its JIT configuration.
fn pool() -> TestPool {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    pool.execute_plan();
    let handover = pool.monitor.hand_over_credential(RunnerId(0));
    assert!(matches!(handover, CredentialHandover::Granted(..)));
    pool.converge();
    pool
}

fn ended_with(pool: &mut TestPool, exit_status: &str) {
    let end = GuestEnd {
        exit_status: Some(exit_status.to_owned()),
        output: vec!["last line".to_owned()],
    };
    pool.monitor.handle_guest_ended("ci-runner-linux.0", end);
    pool.world.guests.remove("ci-runner-linux.0");
    pool.poll_guests();
}

/// The steps of runner 0 from its creation until it is online.
const START: [&str; 4] = ["created", "guest_started", "credential_fetched", "online"];

#[test]
fn the_story_of_a_runner_has_each_step_once_and_in_order() {
    let mut pool = pool();
    assert_eq!(pool.story(0), START);
    pool.take("job", "linux", 1).unwrap();
    pool.world.start_job(0);
    pool.poll();
    pool.poll();
    pool.world.end_job(0);
    ended_with(&mut pool, "exit status: 0");
    pool.converge();
    let events = pool.events_of(0);
    let names: Vec<_> = events.iter().map(|event| event.step.name()).collect();
    assert_eq!(names, ["reserved", "busy", "ended", "destroyed"]);
    let job = RunnerJob {
        unique_id: Some(unique_id("job")),
        qualified_repo: "owner/repo".parse().unwrap(),
        run_id: RunId(1),
    };
    for event in &events {
        assert_eq!(event.job.as_ref(), Some(&job), "{event:?}");
        assert_eq!(event.profile_key, profile_key("linux"));
    }
    let RunnerStep::Ended { end } = &events[2].step else {
        panic!("{events:?}");
    };
    assert_eq!(end.exit_status.as_deref(), Some("exit status: 0"));
    let RunnerStep::Destroyed { reason } = &events[3].step else {
        panic!("{events:?}");
    };
    assert_eq!(reason.code, "guest_gone");
    assert_eq!(pool.story(1)[..2], ["created", "guest_started"]);
}

#[test]
fn an_event_has_the_time_at_which_it_is_taken() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    pool.begin();
    let now = Timestamp::from_seconds(5000);
    let events = pool.monitor.take_events(now);
    let found: Vec<_> = events.iter().map(|it| (it.at, it.runner)).collect();
    assert_eq!(found, [(now, RunnerId(0))]);
    let RunnerStep::Created { reason } = &events[0].step else {
        panic!("{events:?}");
    };
    let expected = ("below_target", "there are fewer than the target");
    assert_eq!((reason.code, &*reason.text), expected);
    assert_eq!(pool.monitor.take_events(now), []);
}

#[test]
fn a_guest_that_ends_while_it_is_created_has_started_before() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    pool.begin();
    let name = "ci-runner-linux.0";
    for _ in 0..2 {
        pool.monitor.handle_guest_ended(name, GuestEnd::default());
    }
    pool.monitor.handle_created(RunnerId(0), pool.now);
    pool.monitor.handle_guest_ended(name, GuestEnd::default());
    assert_eq!(pool.story(0), ["created", "guest_started", "ended"]);
}

#[test]
fn a_guest_that_is_gone_without_an_event_of_the_hypervisor_is_missing() {
    let mut pool = pool();
    pool.story(0);
    for _ in 0..5 {
        let now = pool.now + Duration::from_millis(1);
        pool.now = now;
        pool.monitor.handle_guests(Vec::new(), now, now);
    }
    assert_eq!(pool.story(0), ["guest_missing"]);
    let name = "ci-runner-linux.0";
    pool.monitor.handle_guest_ended(name, GuestEnd::default());
    assert_eq!(pool.story(0), ["ended"], "the event comes late");
}

#[test]
fn the_end_of_a_guest_that_is_being_destroyed_is_no_step_of_its_own() {
    let mut pool = pool();
    pool.story(0);
    pool.profile_mut("linux").target_count = 0;
    pool.begin();
    let name = "ci-runner-linux.0";
    pool.monitor.handle_guest_ended(name, GuestEnd::default());
    pool.monitor.handle_destroyed(RunnerId(0), pool.now);
    let events = pool.events_of(0);
    let [
        RunnerEvent {
            step: RunnerStep::Destroyed { reason },
            ..
        },
    ] = &*events
    else {
        panic!("{events:?}");
    };
    assert_eq!(reason.code, "beyond_target");
}

#[test]
fn a_failed_creation_and_a_failed_destruction_are_steps_with_their_cause() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    pool.begin();
    let id = RunnerId(0);
    pool.monitor
        .handle_creation_failed(id, "save the state: No space left on device", pool.now);
    pool.poll_until_confirmed();
    pool.begin();
    pool.monitor
        .handle_destruction_failed(id, "reach libvirt", pool.now);
    let events = pool.events_of(0);
    let failed: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.step {
            RunnerStep::Failed { what, cause } => Some((what.name(), cause.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(
        failed,
        [
            ("creation", "save the state: No space left on device"),
            ("destruction", "reach libvirt"),
        ]
    );
    let last = events.last().map(|event| event.step.name());
    assert_eq!(last, Some("failed"), "no guest has ended: {events:?}");
}

#[test]
fn a_refused_deletion_is_a_failed_destruction() {
    let mut pool = pool();
    pool.story(0);
    pool.profile_mut("linux").target_count = 0;
    pool.begin();
    let (id, now) = (RunnerId(0), pool.now);
    pool.monitor.handle_unregistered(id, Deletion::Busy, now);
    let events = pool.events_of(0);
    let [
        RunnerEvent {
            step: RunnerStep::Failed { what, cause },
            ..
        },
    ] = &*events
    else {
        panic!("{events:?}");
    };
    let what = (*what, cause.as_str());
    let expected = (FailedStep::Destruction, "GitHub reports that it runs a job");
    assert_eq!(what, expected);
}

#[test]
fn a_long_cause_is_shortened() {
    let failure = Failure::from("ä".repeat(2 * CAUSE_LENGTH_MAX).as_str());
    assert_eq!(failure.short_cause().len(), CAUSE_LENGTH_MAX);
}

#[test]
fn a_released_runner_is_no_longer_that_of_the_job() {
    let mut pool = pool();
    pool.story(0);
    pool.take_with_sequence("job", "linux", 1, Some(1)).unwrap();
    pool.release("job", Some(1), false);
    let events = pool.events_of(0);
    let released = events.last().unwrap();
    assert_eq!(released.step, RunnerStep::Released);
    let job = released.job.as_ref().and_then(|job| job.unique_id.clone());
    assert_eq!(job, Some(unique_id("job")));
    pool.take("other", "linux", 1).unwrap();
    let events = pool.events_of(0);
    let [
        RunnerEvent {
            step: RunnerStep::Reserved,
            ..
        },
    ] = &*events
    else {
        panic!("{events:?}");
    };
    let job = events[0].job.as_ref().and_then(|job| job.unique_id.clone());
    assert_eq!(job, Some(unique_id("other")));
}

#[test]
fn a_job_is_seen_once_whatever_shows_it_first() {
    let webhook = |has_completed| WorkflowJobEvent {
        runner_name: "ci-runner-linux.0@host".to_owned(),
        registration_id: None,
        workflow_run: Some(WorkflowRun {
            qualified_repo: "owner/other".parse().unwrap(),
            run_id: RunId(9),
        }),
        has_completed,
    };
    let mut pool = pool();
    pool.story(0);
    for has_completed in [false, true] {
        let now = pool.now;
        pool.monitor.handle_webhook(&webhook(has_completed), now);
    }
    let (id, now) = (RunnerId(0), pool.now);
    let progress = Ok(JobProgress::Completed);
    pool.monitor.handle_job_progress(id, progress, now);
    let events = pool.events_of(0);
    let [
        RunnerEvent {
            step: RunnerStep::Busy,
            ..
        },
    ] = &*events
    else {
        panic!("{events:?}");
    };
    let job = events[0].job.clone().unwrap();
    assert_eq!((job.unique_id, job.run_id), (None, RunId(9)));
}

#[test]
fn a_guest_without_a_record_is_found() {
    let mut pool = pool();
    let snapshot = TestPool::empty_with_target(1).monitor.snapshot();
    pool.restart_from(&snapshot);
    pool.world.registration(0).status = RegistrationStatus::Online;
    pool.story(0);
    pool.poll();
    assert_eq!(pool.story(0)[0], "found");
}
