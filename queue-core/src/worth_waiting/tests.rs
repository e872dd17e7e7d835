//! When a client is answered that hosted runners are the better choice.

use shared::wait_limits::{LimitSeconds, WaitLimits};

use super::NotWorthIt;
use crate::{
    Answer, Assignment, JobRequest, JobStep, Refusal, Retirement, TicketContent, WithdrawnBy,
    estimate::tests::{busy, busy_server, restore},
    tests::harness::{TestQueue, request},
};

fn seconds(seconds: u64) -> Option<LimitSeconds> {
    Some(LimitSeconds::nearest(seconds))
}

fn with_limits(job: &str, limits: WaitLimits) -> JobRequest {
    JobRequest {
        limits,
        ..request(job, "linux", 1)
    }
}

fn max_wait(job: &str, max_wait: u64) -> JobRequest {
    let limits = WaitLimits {
        max_wait: seconds(max_wait),
        ..WaitLimits::default()
    };
    with_limits(job, limits)
}

/// The job takes so many seconds on a hosted runner, which is four times as slow.
fn hosted(job: &str, hosted_duration: u64) -> JobRequest {
    let limits = WaitLimits {
        hosted_duration: seconds(hosted_duration),
        slowdown: "4".parse().ok(),
        ..WaitLimits::default()
    };
    with_limits(job, limits)
}

/// Takes without a hold: the job must be withdrawn.
#[track_caller]
fn expect_withdrawn(queue: &mut TestQueue, ticket: &TicketContent) -> NotWorthIt {
    match queue.take(ticket) {
        Answer::Refused(Refusal::NoLongerWorthIt(reason)) => reason,
        other => panic!("expected the job to be withdrawn, not {other:?}"),
    }
}

#[track_caller]
fn expect_too_long(queue: &mut TestQueue, request: JobRequest) -> NotWorthIt {
    match queue.try_enqueue(request) {
        Err(Refusal::WaitTooLong(reason)) => reason,
        other => panic!("expected a wait that is too long, not {other:?}"),
    }
}

#[test]
fn a_job_that_is_done_earlier_on_a_hosted_runner_is_not_enqueued() {
    // Its wait is 100 s for the job that runs, and 45 s for the next runner.
    let mut queue = busy_server(1);
    queue.take_events();
    let reason = expect_too_long(&mut queue, hosted("job", 160));
    let NotWorthIt::HostedIsFaster {
        hosted_seconds: 160,
        is_learnt: false,
        saved_seconds: 120,
        ..
    } = reason
    else {
        panic!("{reason:?}");
    };
    let text = reason.to_string();
    assert!(
        text.starts_with("this job must wait about 2 min; 9 of 10 within ")
            && text.ends_with(", and a runner of this queue saves 2 min: 3 min × (1 − 1/4), where 3 min is its duration on a hosted runner"),
        "{text}"
    );
    queue.expect_steps("job", &[]);
    assert_eq!(queue.core.view(queue.now).waiting_count, 0);
    // With more to save, the same job is enqueued.
    queue.try_enqueue(hosted("job", 240)).unwrap();
    assert_eq!(queue.core.view(queue.now).waiting_count, 1);
}

#[test]
fn a_job_that_waits_is_withdrawn_once_what_is_left_of_its_wait_exceeds_what_it_saves() {
    let mut queue = busy_server(1);
    let ticket = queue.try_enqueue(hosted("job", 240)).unwrap();
    let held = [queue.take_held(&ticket, 600), queue.take_held(&ticket, 700)];
    // What was waited does not count.
    queue.advance(90);
    queue.assert_waiting(&ticket);
    // The job that runs takes longer than all before it, and so will the rest of it.
    queue.take_events();
    queue.advance(510);
    let expect_reason = |queue: &mut TestQueue, take| match queue.expect_refusal(take) {
        Refusal::NoLongerWorthIt(reason) => reason,
        other => panic!("refused because of {other:?}"),
    };
    let [reason, other] = held.map(|held| expect_reason(&mut queue, held));
    assert_eq!(reason, other);
    let NotWorthIt::HostedIsFaster { saved_seconds, .. } = reason else {
        panic!("{reason:?}");
    };
    assert_eq!(saved_seconds, 180);
    let withdrawn = JobStep::Retired {
        retirement: Retirement::Withdrawn(WithdrawnBy::WaitLimits(reason)),
        assignment: Assignment::default(),
    };
    queue.expect_steps("job", &[withdrawn]);
    // The answer may have been lost, so that the client asks again.
    let again = queue.take_held(&ticket, 600);
    assert_eq!(expect_reason(&mut queue, again), reason);
}

#[test]
fn a_job_waits_for_no_longer_than_its_client_allows() {
    let mut queue = busy_server(1);
    let reason = expect_too_long(&mut queue, max_wait("job", 100));
    assert!(
        reason
            .to_string()
            .ends_with(", and 2 min of its max_wait of 2 min are left"),
        "{reason}"
    );
    let ticket = queue.try_enqueue(max_wait("job", 200)).unwrap();
    let held = queue.take_held(&ticket, 90);
    queue.advance(90);
    queue.expect_waiting(held);
    // 110 s of 200 s are left, which suffice for the rest, but not for that of a job that runs on.
    let held = queue.take_held(&ticket, 50);
    queue.advance(50);
    let refusal = queue.expect_refusal(held);
    assert!(
        matches!(
            refusal,
            Refusal::NoLongerWorthIt(NotWorthIt::BeyondMaxWait {
                left_seconds: 60..=61,
                ..
            })
        ),
        "{refusal:?}"
    );
}

#[test]
fn without_an_estimate_only_the_end_of_max_wait_counts() {
    let mut queue = TestQueue::with(&["a"]);
    let now = queue.now;
    queue.report("a", busy(&[1], now));
    let ticket = queue.try_enqueue(max_wait("job", 20)).unwrap();
    queue.advance(19);
    queue.assert_waiting(&ticket);
    queue.advance(1);
    let reason = expect_withdrawn(&mut queue, &ticket);
    assert_eq!(
        reason.to_string(),
        "this job has waited for its max_wait of 20 s"
    );
}

#[test]
fn nothing_is_decided_by_an_uncertain_estimate() {
    let now = TestQueue::with(&["a"]).now;
    // Few jobs are known.
    let mut queue = TestQueue::with(&["a"]);
    restore(&mut queue, &[100; 7]);
    queue.report("a", busy(&[1], now));
    queue.try_enqueue(hosted("job", 10)).unwrap();
    // A server that does not answer may have more runners, for a while.
    let mut queue = TestQueue::with(&["a", "b"]);
    restore(&mut queue, &[100; 50]);
    queue.report("a", busy(&[1], now));
    queue.try_enqueue(hosted("job", 10)).unwrap();
    queue.advance(130);
    queue.report("a", busy(&[1], queue.now));
    expect_too_long(&mut queue, hosted("other", 10));
    // In the startup grace period.
    let mut queue = TestQueue::starting(&["a"]);
    restore(&mut queue, &[100; 50]);
    queue.report("a", busy(&[1], queue.now));
    queue.try_enqueue(hosted("job", 10)).unwrap();
}

#[test]
fn without_a_stated_duration_that_of_earlier_jobs_counts() {
    let mut queue = busy_server(1);
    let slower = |slowdown: &str| {
        let limits = WaitLimits {
            slowdown: slowdown.parse().ok(),
            ..WaitLimits::default()
        };
        with_limits("job", limits)
    };
    // 2 × 100 s there instead of 100 s here: it saves 100 s, and waits for 145 s.
    let reason = expect_too_long(&mut queue, slower("2"));
    assert!(
        matches!(
            reason,
            NotWorthIt::HostedIsFaster {
                hosted_seconds: 200,
                is_learnt: true,
                saved_seconds: 100,
                ..
            }
        ),
        "{reason:?}"
    );
    queue.try_enqueue(slower("3")).unwrap();
}
