//! When a client counts as absent, and what happens to its job.

use super::harness::{
    by_ticket, linux, one_job_delivered, one_job_forwarded, one_job_waiting, one_server,
};
use crate::{JobReference, Refusal};

#[test]
fn a_job_is_abandoned_after_thirty_seconds_of_silence() {
    let mut queue = one_server(1, &[]);
    let silent = queue.enqueue("silent", "linux", 1);
    let other = queue.enqueue("other", "linux", 1);
    queue.advance(29);
    assert_eq!(queue.assert_waiting(&other).ahead, 1);
    queue.advance(1);
    assert_eq!(queue.assert_waiting(&other).ahead, 0);
    queue.assert_unknown(&silent);
    queue.report("a", linux(1, &[1]));
    queue.expect_forward("other", "a");
}

#[test]
fn every_request_of_a_client_ends_its_silence() {
    let (mut queue, ticket) = one_job_waiting();
    for _ in 0..4 {
        queue.advance(29);
        queue.assert_waiting(&ticket);
    }
    // A repeated enqueue is a request too.
    queue.advance(29);
    assert_eq!(queue.enqueue("job", "linux", 1), ticket);
    queue.advance(29);
    queue.assert_waiting(&ticket);
}

#[test]
fn a_held_take_keeps_its_job_and_the_silence_begins_at_its_end() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 60);
    queue.advance(60);
    queue.expect_waiting(call);
    queue.advance(29);
    assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
}

#[test]
fn a_job_is_abandoned_thirty_seconds_after_its_held_take_ended() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 60);
    queue.advance(60);
    queue.expect_waiting(call);
    queue.advance(30);
    queue.assert_unknown(&ticket);
}

#[test]
fn a_short_held_take_keeps_its_job_up_to_its_end() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 20);
    queue.advance(20);
    queue.expect_waiting(call);
    queue.advance(29);
    queue.assert_waiting(&ticket);
}

#[test]
fn a_job_is_abandoned_thirty_seconds_after_its_client_disconnected() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 60);
    queue.advance(40);
    queue.disconnect(call, &ticket);
    queue.disconnect(call, &ticket);
    queue.advance(29);
    assert!(queue.core.jobs().count() == 1);
    queue.advance(1);
    queue.assert_unknown(&ticket);
}

#[test]
fn one_of_two_held_takes_keeps_a_job() {
    let (mut queue, ticket) = one_job_waiting();
    let first = queue.take_held(&ticket, 60);
    let second = queue.take_held(&ticket, 60);
    queue.disconnect(first, &ticket);
    queue.advance(45);
    queue.report("a", linux(1, &[1]));
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.expect_runners(second), [1]);
}

#[test]
fn inspecting_a_job_does_not_keep_it() {
    let (mut queue, ticket) = one_job_waiting();
    let operator = JobReference::Operator("job".parse().unwrap());
    for _ in 0..29 {
        queue.advance(1);
        queue.inspect(by_ticket(&ticket)).unwrap();
        queue.inspect(operator.clone()).unwrap();
    }
    queue.advance(1);
    assert_eq!(queue.inspect(by_ticket(&ticket)), Err(Refusal::UnknownJob));
    assert_eq!(queue.inspect(operator), Err(Refusal::UnknownJob));
}

/// The longest sleep of the event loop is far below that.
#[test]
fn a_gap_of_five_seconds_between_two_events_is_no_suspension() {
    let (mut queue, ticket) = one_job_waiting();
    for seconds in [5; 6] {
        queue.pause_process(seconds);
    }
    queue.assert_unknown(&ticket);
}

#[test]
fn time_in_which_the_process_was_suspended_is_no_silence() {
    let mut queue = one_server(1, &[]);
    let patient = queue.enqueue("patient", "linux", 1);
    let silent = queue.enqueue("silent", "linux", 1);
    queue.advance(20);
    queue.pause_process(120);
    queue.advance(29);
    queue.assert_waiting(&patient);
    queue.advance(1);
    queue.assert_unknown(&silent);
    queue.assert_waiting(&patient);
}

#[test]
fn a_job_is_assigned_between_two_polls_of_its_client() {
    let (mut queue, ticket) = one_job_waiting();
    queue.advance(10);
    queue.report("a", linux(1, &[1]));
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    queue.advance(10);
    assert_eq!(queue.take_runners(&ticket), [1]);
}

#[test]
fn a_reserved_runner_is_released_when_its_client_falls_silent() {
    let mut queue = one_server(1, &[1]);
    let silent = queue.enqueue("silent", "linux", 1);
    let forward = queue.expect_forward("silent", "a");
    queue.grant(&forward, &[1]);
    queue.report("a", linux(1, &[1]).holds("silent", &[1], &forward));
    let other = queue.enqueue("other", "linux", 1);
    queue.take_held(&other, 60);
    queue.advance(30);
    let release = queue.expect_release("silent", "a");
    assert_eq!(release.token, forward.token);
    queue.assert_unknown(&silent);
    // The runner is not idle before the server has confirmed the release.
    queue.assert_no_effects();
    queue.confirm(&release);
    queue.expect_forward("other", "a");
}

#[test]
fn a_requested_runner_is_released_when_its_client_falls_silent() {
    let mut queue = one_server(1, &[]);
    queue.enqueue("silent", "linux", 1);
    queue.advance(25);
    queue.report("a", linux(1, &[1]));
    let forward = queue.expect_forward("silent", "a");
    queue.advance(5);
    let release = queue.expect_release("silent", "a");
    queue.grant(&forward, &[1]);
    queue.confirm(&release);
}

#[test]
fn a_delivered_runner_is_not_released_when_its_client_is_silent() {
    let (mut queue, ticket, forward) = one_job_delivered();
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    queue.advance(300);
    assert_eq!(queue.take_runners(&ticket), [1]);
}

#[test]
fn an_undelivered_answer_is_given_to_the_next_take() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 60);
    queue.report("a", linux(1, &[1]));
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.expect_runners(call), [1]);
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    queue.fail_delivery(&ticket);
    queue.advance(29);
    assert_eq!(queue.take_runners(&ticket), [1]);
    queue.advance(60);
}

#[test]
fn an_undelivered_answer_does_not_undo_an_earlier_one() {
    let (mut queue, ticket, forward) = one_job_forwarded();
    queue.grant(&forward, &[1]);
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    assert_eq!(queue.take_runners(&ticket), [1]);
    assert_eq!(queue.take_runners(&ticket), [1]);
    queue.fail_delivery(&ticket);
    queue.advance(60);
    assert_eq!(queue.take_runners(&ticket), [1]);
}

#[test]
fn an_undelivered_answer_without_another_take_is_released() {
    let (mut queue, ticket, forward) = one_job_forwarded();
    let first = queue.take_held(&ticket, 60);
    let second = queue.take_held(&ticket, 60);
    queue.grant(&forward, &[1]);
    assert_eq!(
        (queue.expect_runners(first), queue.expect_runners(second)),
        (vec![1], vec![1])
    );
    queue.fail_delivery(&ticket);
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    // One of the two answers was delivered.
    queue.advance(60);
    assert_eq!(queue.take_runners(&ticket), [1]);
    queue.fail_delivery(&ticket);
    queue.fail_delivery(&ticket);
    queue.advance(30);
    queue.expect_release("job", "a");
}
