//! Each step of a job is recorded, once, with its facts. That the steps of all other tests agree with each
//! other and with the jobs is checked by `testing::Stories`.

use std::time::Duration;

use shared::{clock::Timestamp, values::Count, wire::Estimate};

use super::harness::{
    MadeBy, TestQueue, by_ticket, linux, no_profiles, one_job_delivered, one_job_forwarded,
    one_job_waiting, one_server, request,
};
use crate::{
    Assignment, EnqueuedBy, Forward, ForwardFailure, GrantEnd, Input, JobReference, JobStep,
    PassOverReason, Retirement, RunnerId, ServerId, ServerRunners, WithdrawnBy,
};

fn runners(server: ServerId, runners: &[RunnerId]) -> Vec<ServerRunners> {
    let runners = runners.to_vec();
    vec![ServerRunners { server, runners }]
}

fn forwarded(server: ServerId) -> JobStep {
    let count = Count::ONE;
    JobStep::Forwarded { server, count }
}

fn refused(reason: ForwardFailure) -> JobStep {
    let said = match reason {
        ForwardFailure::Refused => "it has none",
        _ => "",
    };
    JobStep::Refused {
        server: 0,
        reason,
        answer: said.to_owned(),
    }
}

fn enqueued() -> JobStep {
    let by = EnqueuedBy::ApiToken;
    JobStep::Enqueued { by }
}

fn assigned(runner: RunnerId) -> JobStep {
    let runners = runners(0, &[runner]);
    // No job has finished before, so that there was no estimate.
    let estimated = None;
    JobStep::Assigned { runners, estimated }
}

fn retired(retirement: Retirement, assignment: Assignment) -> JobStep {
    JobStep::Retired {
        retirement,
        assignment,
    }
}

/// Runner 1 of the first server, assigned then.
fn runner_1(assigned_at: Timestamp, started_at: Option<Timestamp>) -> Assignment {
    Assignment {
        assigned_at: Some(assigned_at),
        started_at,
        runners: runners(0, &[1]),
    }
}

/// The job `job` is delivered, and its events up to then are removed.
fn delivered() -> (TestQueue, Forward, Timestamp) {
    let (mut queue, _, forward) = one_job_delivered();
    queue.take_events();
    let assigned_at = queue.now;
    (queue, forward, assigned_at)
}

#[test]
fn every_step_from_the_enqueue_to_the_end_is_recorded() {
    let (mut queue, ticket, forward) = one_job_delivered();
    // Its runner was idle.
    let at_once = JobStep::Assigned {
        runners: runners(0, &[1]),
        estimated: Some(Estimate {
            p50_seconds: 0,
            p90_seconds: 0,
        }),
    };
    let steps = [enqueued(), forwarded(0), at_once, JobStep::Delivered];
    queue.expect_steps("job", &steps);
    let assigned_at = queue.now;
    queue.take_runners(&ticket);
    queue.expect_steps("job", &[]);

    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    queue.advance(3);
    let started_at = queue.now;
    for _ in 0..2 {
        queue.report("a", linux(1, &[]).runs("job", &[1], &forward));
    }
    queue.expect_steps("job", &[JobStep::Started]);
    queue.advance(3);
    queue.report("a", linux(1, &[]).has_finished("job", &[1], &forward));
    let had = runner_1(assigned_at, Some(started_at));
    let finished = retired(Retirement::Ended(GrantEnd::Finished), had);
    queue.expect_steps("job", &[finished]);
    queue.assert_unknown(&ticket);
    queue.expect_steps("job", &[]);
}

#[test]
fn an_event_has_the_facts_of_its_job() {
    let mut queue = one_server(2, &[]);
    let ticket = queue.enqueue("job", "linux", 2);
    let event = queue.events.pop().unwrap();
    assert_eq!(event.job, request("job", "linux", 2).spec);
    assert_eq!(event.enqueued_at, ticket.enqueued_at);
    assert_eq!(event.at, queue.now);
}

#[test]
fn an_enqueue_is_recorded_with_what_authorised_it_and_only_once() {
    let mut queue = one_server(1, &[]);
    for _ in 0..2 {
        let call = queue.call(|call| Input::Enqueue {
            call,
            request: request("job", "linux", 1),
            nonce: 1,
            by: EnqueuedBy::Artifact,
            facts: shared::policy::RunFacts::default(),
        });
        assert!(queue.answer_to(call).is_some());
    }
    let by = EnqueuedBy::Artifact;
    queue.expect_steps("job", &[JobStep::Enqueued { by }]);
    queue.try_enqueue(request("large", "linux", 9)).unwrap_err();
    queue.expect_steps("large", &[]);
}

#[test]
fn each_way_in_which_a_forward_fails_is_recorded() {
    for reason in [
        ForwardFailure::Refused,
        ForwardFailure::RefusedThisJob,
        ForwardFailure::TokenRefused,
        ForwardFailure::Ambiguous,
    ] {
        let (mut queue, _, forward) = one_job_forwarded();
        queue.take_events();
        let outcome = match reason {
            ForwardFailure::Refused => crate::ForwardOutcome::Refused("it has none".to_owned()),
            ForwardFailure::RefusedThisJob => crate::ForwardOutcome::RefusedThisJob,
            ForwardFailure::TokenRefused => crate::ForwardOutcome::TokenRefused,
            ForwardFailure::Ambiguous => crate::ForwardOutcome::Ambiguous,
        };
        queue.end_forward(&forward, outcome);
        if reason == ForwardFailure::Ambiguous {
            queue.expect_release("job", "a");
        }
        queue.expect_steps("job", &[refused(reason)]);
    }
}

#[test]
fn a_forward_without_a_response_in_time_is_recorded_as_ambiguous() {
    let (mut queue, _, _) = one_job_forwarded();
    queue.take_events();
    queue.stop_answering("a");
    queue.advance_until_effect();
    queue.expect_release("job", "a");
    queue.expect_steps("job", &[refused(ForwardFailure::Ambiguous)]);
}

#[test]
fn a_delivery_that_fails_and_a_runner_that_dies_are_recorded() {
    let (mut queue, ticket, forward) = one_job_delivered();
    queue.take_events();
    queue.fail_delivery(&ticket);
    queue.expect_steps("job", &[JobStep::NotDelivered]);
    queue.advance(1);
    queue.report("a", linux(1, &[]));
    queue.expect_steps("job", &[JobStep::Returned]);
    let finished = linux(1, &[]).has_finished("job", &[1], &forward);
    queue.report("a", finished);
    let ended = Retirement::Ended(GrantEnd::Finished);
    let had = Assignment {
        runners: runners(0, &[1]),
        ..Assignment::default()
    };
    queue.expect_steps("job", &[retired(ended, had)]);
}

#[test]
fn runners_that_go_unused_are_recorded_and_so_is_the_return_of_the_client() {
    let (mut queue, ticket, _) = one_job_delivered();
    queue.take_events();
    let assigned_at = queue.now;
    queue.advance(1);
    queue.report("a", linux(1, &[]));
    let expired = Retirement::Ended(GrantEnd::Expired);
    queue.expect_steps("job", &[retired(expired, runner_1(assigned_at, None))]);
    queue.assert_waiting(&ticket);
    queue.expect_steps("job", &[JobStep::Restored]);
}

#[test]
fn a_withdrawal_is_recorded_with_what_authorised_it() {
    let (mut queue, ticket) = one_job_waiting();
    queue.take_events();
    queue.withdraw(&ticket);
    queue.withdraw(&ticket);
    let withdrawn = Retirement::Withdrawn(WithdrawnBy::Ticket);
    queue.expect_steps("job", &[retired(withdrawn, Assignment::default())]);

    let (mut queue, _, assigned_at) = delivered();
    let operator = JobReference::Operator("job".parse().unwrap());
    queue.try_withdraw(operator).unwrap();
    queue.expect_destruction("job", "a");
    let withdrawn = Retirement::Withdrawn(WithdrawnBy::ApiToken);
    queue.expect_steps("job", &[retired(withdrawn, runner_1(assigned_at, None))]);
}

#[test]
fn a_job_that_is_unknown_is_restored_before_it_is_withdrawn() {
    let (mut queue, ticket) = one_job_waiting();
    queue.restart();
    queue.take_events();
    queue.try_withdraw(by_ticket(&ticket)).unwrap();
    let withdrawn = Retirement::Withdrawn(WithdrawnBy::Ticket);
    let withdrawn = retired(withdrawn, Assignment::default());
    queue.expect_steps("job", &[JobStep::Restored, withdrawn]);
}

#[test]
fn an_abandoned_job_is_recorded_with_the_time_of_the_last_request() {
    let (mut queue, ticket) = one_job_waiting();
    queue.advance(5);
    queue.assert_waiting(&ticket);
    queue.take_events();
    let silent_since = queue.now;
    queue.advance(31);
    let abandoned = Retirement::Abandoned { silent_since };
    queue.expect_steps("job", &[retired(abandoned, Assignment::default())]);
    assert_eq!(queue.now.since(silent_since), Duration::from_secs(31));
}

#[test]
fn a_job_that_has_finished_before_a_restart_is_recorded_with_its_runners() {
    let (mut queue, ticket, forward) = one_job_delivered();
    queue.restart();
    queue.take_events();
    queue.report("a", linux(1, &[]).has_finished("job", &[1], &forward));
    queue.assert_unknown(&ticket);
    queue.assert_unknown(&ticket);
    let ended = Retirement::Ended(GrantEnd::Finished);
    let had = Assignment {
        runners: runners(0, &[1]),
        ..Assignment::default()
    };
    queue.expect_steps("job", &[retired(ended, had)]);
}

#[test]
fn a_job_that_cannot_be_chosen_is_recorded_when_another_one_is_chosen_instead() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[]));
    queue.report("b", linux(4, &[]));
    queue.enqueue("large", "linux", 5);
    queue.become_unreachable("b");
    queue.take_events();
    let ticket = queue.enqueue("small", "linux", 1);
    queue.report("a", linux(1, &[1]));
    let forward = queue.expect_forward("small", "a");
    let reason = PassOverReason::TooFewReachable;
    let passed_over = ("large".to_owned(), JobStep::PassedOver { reason });
    let small = |step| ("small".to_owned(), step);
    let expected = [small(enqueued()), passed_over, small(forwarded(0))];
    assert_eq!(queue.take_events(), expected);
    queue.grant(&forward, &[1]);
    queue.take_runners(&ticket);
    // It is known already.
    queue.enqueue("next", "linux", 1);
    queue.report("a", linux(2, &[2]));
    queue.expect_forward("next", "a");
    let events = queue.take_events();
    assert!(events.iter().all(|(job, _)| job != "large"), "{events:?}");
}

#[test]
fn a_job_is_passed_over_while_the_only_server_with_idle_runners_refuses_it() {
    let (mut queue, _, forward) = one_job_forwarded();
    queue.refuse_this_job(&forward);
    queue.take_events();
    queue.enqueue("next", "linux", 1);
    queue.expect_forward("next", "a");
    let reason = PassOverReason::ServersExcluded;
    let passed_over = ("job".to_owned(), JobStep::PassedOver { reason });
    assert_eq!(queue.take_events()[1], passed_over);
}

#[test]
fn a_reservation_of_another_queue_is_taken_over_in_the_same_steps() {
    let mut queue = TestQueue::with(&["a"]);
    let (mut first, ticket, _) = one_job_delivered();
    first.take_events();
    let held = linux(1, &[]).holds("job", &[1], MadeBy::queue_at(ticket.enqueued_at));
    queue.report("a", held);
    let call = queue.take_held(&ticket, 20);
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.expect_runners(call), [1]);
    let steps = [
        JobStep::Restored,
        forwarded(0),
        assigned(1),
        JobStep::Delivered,
    ];
    queue.expect_steps("job", &steps);
    queue.report("a", no_profiles());
}
