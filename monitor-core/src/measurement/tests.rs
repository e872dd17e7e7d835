//! Which times between the steps of a runner are measured.

use super::*;
use crate::{Cause, GuestEnd};

/// What the last of these steps adds, each so many seconds after the first.
fn measured(steps: Vec<(u64, RunnerStep)>) -> Vec<Measurement> {
    let mut times = StepTimes::default();
    let events = steps.into_iter().map(|(seconds, step)| RunnerEvent {
        at: Timestamp::from_seconds(1_000_000 + seconds),
        runner: RunnerId(3),
        profile_key: "linux".parse().unwrap(),
        job: None,
        step,
    });
    events.map(|event| times.measure(&event)).last().unwrap()
}

fn ended() -> RunnerStep {
    let end = GuestEnd::default();
    RunnerStep::Ended { end }
}

fn destroyed() -> RunnerStep {
    let reason = Cause {
        code: "done",
        text: String::new(),
    };
    RunnerStep::Destroyed { reason }
}

#[test]
fn a_job_is_measured_until_the_end_of_its_guest() {
    let job = Measurement::JobDuration(Duration::from_secs(300));
    let steps = vec![(0, RunnerStep::Busy), (300, ended())];
    assert_eq!(measured(steps), [job]);
    let steps = vec![(0, RunnerStep::Busy), (300, ended()), (310, destroyed())];
    let gone = Measurement::Destroyed { reason: "done" };
    assert_eq!(measured(steps), [gone]);
    // Its end was not noticed.
    let steps = vec![(0, RunnerStep::Busy), (300, destroyed())];
    assert_eq!(measured(steps), [gone, job]);
}

#[test]
fn a_job_is_not_measured_from_after_the_end_of_its_guest() {
    let steps = vec![(0, ended()), (5, RunnerStep::Busy), (310, destroyed())];
    let gone = Measurement::Destroyed { reason: "done" };
    assert_eq!(measured(steps), [gone]);
}
