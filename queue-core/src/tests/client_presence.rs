//! Whether a client is still there, and what becomes of its job when it is not.

use super::harness::{
    by_ticket, linux, one_job_delivered, one_job_forwarded, one_job_waiting, one_server,
};
use crate::{JobReference, Refusal};

#[test]
fn a_client_that_is_silent_for_thirty_seconds_has_given_its_job_up() {
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
fn whoever_asks_is_there() {
    let (mut queue, ticket) = one_job_waiting();
    for _ in 0..4 {
        queue.advance(29);
        queue.assert_waiting(&ticket);
    }
    // An enqueue that is repeated is a sign of life too.
    queue.advance(29);
    assert_eq!(queue.enqueue("job", "linux", 1), ticket);
    queue.advance(29);
    queue.assert_waiting(&ticket);
}

#[test]
fn an_open_take_counts_as_being_there_and_its_end_as_the_last_word() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 60);
    queue.advance(60);
    queue.expect_waiting(call);
    queue.advance(29);
    assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
}

#[test]
fn after_an_open_take_has_ended_silence_counts_from_its_end() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 60);
    queue.advance(60);
    queue.expect_waiting(call);
    queue.advance(30);
    queue.assert_unknown(&ticket);
}

#[test]
fn a_short_open_take_counts_up_to_its_end_too() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 20);
    queue.advance(20);
    queue.expect_waiting(call);
    queue.advance(29);
    queue.assert_waiting(&ticket);
}

#[test]
fn a_client_that_hangs_up_is_gone_thirty_seconds_later() {
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
fn one_of_two_open_takes_is_enough_to_be_there() {
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
fn looking_at_a_job_does_not_keep_it() {
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

#[test]
fn the_silence_of_a_queue_that_was_stopped_is_not_its_clients() {
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
fn a_job_whose_client_is_between_two_polls_gets_its_runner() {
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
fn a_runner_whose_client_fell_silent_before_it_was_told_is_idle_again() {
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
    // Not before the server has confirmed it.
    queue.assert_no_effects();
    queue.confirm(&release);
    queue.expect_forward("other", "a");
}

#[test]
fn a_runner_whose_client_fell_silent_while_it_was_asked_for_is_released() {
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
fn a_runner_that_was_handed_over_is_not_released_when_its_client_is_silent() {
    let (mut queue, ticket, forward) = one_job_delivered();
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    queue.advance(300);
    assert_eq!(queue.take_runners(&ticket), [1]);
}

#[test]
fn an_answer_that_never_left_is_given_to_the_next_who_asks() {
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
fn an_answer_that_never_left_does_not_undo_an_earlier_one() {
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
fn an_answer_that_never_left_and_that_nobody_asks_for_again_is_released() {
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
    // One of the two answers arrived.
    queue.advance(60);
    assert_eq!(queue.take_runners(&ticket), [1]);
    queue.fail_delivery(&ticket);
    queue.fail_delivery(&ticket);
    queue.advance(30);
    queue.expect_release("job", "a");
}
