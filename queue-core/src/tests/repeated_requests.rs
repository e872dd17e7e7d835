//! Requests that are repeated, and messages that are repeated, late or reordered.

use std::time::Duration;

use super::harness::{
    TestQueue, by_ticket, linux, one_job_delivered, one_job_waiting, one_server, request,
};
use crate::{Answer, Input, JobReference, Refusal};

#[test]
fn a_repeated_enqueue_returns_the_same_ticket_and_changes_nothing() {
    let (mut queue, ticket) = one_job_waiting();
    queue.enqueue("other", "linux", 1);
    queue.advance(1);
    assert_eq!(queue.enqueue("job", "linux", 1), ticket);
    assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
    queue.report("a", linux(1, &[1]));
    let forward = queue.expect_forward("job", "a");
    assert_eq!(queue.enqueue("job", "linux", 1), ticket);
    queue.grant(&forward, &[1]);
    assert_eq!(queue.enqueue("job", "linux", 1), ticket);
    assert_eq!(queue.take_runners(&ticket), [1]);
    assert_eq!(queue.enqueue("job", "linux", 1), ticket);
}

#[test]
fn a_repeated_take_returns_the_same_runners() {
    let mut queue = one_server(2, &[1, 2]);
    let ticket = queue.enqueue("job", "linux", 2);
    let forward = queue.expect_forward("job", "a");
    let held = [queue.take_held(&ticket, 20), queue.take_held(&ticket, 30)];
    queue.grant(&forward, &[1, 2]);
    for call in held {
        assert_eq!(queue.expect_runners(call), [1, 2]);
    }
    for _ in 0..3 {
        assert_eq!(queue.take_runners(&ticket), [1, 2]);
    }
    let held = queue.take_held(&ticket, 60);
    assert_eq!(
        queue.expect_runners(held),
        [1, 2],
        "there is nothing to wait for"
    );
}

#[test]
fn four_takes_of_a_job_are_held_at_once() {
    let (mut queue, ticket) = one_job_waiting();
    let other = queue.enqueue("other", "linux", 1);
    let mut held: Vec<_> = (0..4).map(|_| queue.take_held(&ticket, 60)).collect();
    let further = queue.call(|call| Input::Take {
        call,
        ticket: ticket.clone(),
        hold: Some(Duration::from_secs(60)),
    });
    assert_eq!(queue.expect_waiting(further).ahead, 0);
    // Those of another job are not affected.
    queue.take_held(&other, 60);
    // A client that disconnects, even if that is reported twice, makes room for one.
    let gone = held.remove(1);
    queue.disconnect(gone, &ticket);
    queue.disconnect(gone, &ticket);
    held.push(queue.take_held(&ticket, 30));
    let further = queue.call(|call| Input::Take {
        call,
        ticket: ticket.clone(),
        hold: Some(Duration::from_secs(60)),
    });
    queue.expect_waiting(further);
    // So does the end of a hold.
    queue.advance(30);
    queue.expect_waiting(held.pop().unwrap());
    held.push(queue.take_held(&ticket, 20));
    queue.report("a", linux(2, &[1]));
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    for call in held {
        assert_eq!(queue.expect_runners(call), [1]);
    }
    // A job that has its runners is answered, however many takes are held.
    assert_eq!(queue.take_runners(&ticket), [1]);
}

#[test]
fn the_form_of_the_answer_is_that_of_the_enqueue() {
    for (is_array, job) in [(true, "array"), (false, "object")] {
        let mut queue = one_server(1, &[1]);
        let mut request = request(job, "linux", 1);
        request.is_array = is_array;
        let ticket = queue.try_enqueue(request).unwrap();
        let forward = queue.expect_forward(job, "a");
        assert_eq!(forward.request.is_array, is_array);
        queue.grant(&forward, &[1]);
        match queue.take(&ticket) {
            Answer::Runners { is_array: sent, .. } => assert_eq!(sent, is_array),
            other => panic!("expected runners, not {other:?}"),
        }
    }
}

#[test]
fn a_job_needs_no_label_of_its_own_only_if_every_request_for_it_states_so() {
    let not_read = |job| {
        let mut request = request(job, "linux", 1);
        request.labels_from_response = false;
        request
    };
    let mut queue = one_server(9, &[]);
    let both = queue.enqueue("both", "linux", 1);
    let first = queue.try_enqueue(not_read("first")).unwrap();
    let second = queue.enqueue("second", "linux", 1);
    // The same jobs, enqueued again by a client or a queue that does not know the parameter, or
    // restored by such a ticket.
    assert_eq!(queue.enqueue("both", "linux", 1), both);
    assert_eq!(queue.enqueue("first", "linux", 1), first);
    let again = queue.try_enqueue(not_read("second")).unwrap();
    assert_eq!(again.position(), second.position());
    let third = queue.enqueue("third", "linux", 1);
    let mut older = third.clone();
    older.request.labels_from_response = false;
    queue.assert_waiting(&older);
    let fourth = queue.enqueue("fourth", "linux", 1);
    let mut earlier = fourth.clone();
    earlier.request.labels_from_response = false;
    earlier.enqueued_at = third.enqueued_at + Duration::from_micros(1);
    queue.assert_waiting(&earlier);
    queue.assert_waiting(&fourth);
    queue.report("a", linux(9, &[1, 2, 3, 4, 5]));
    for (job, labels_from_response) in [
        ("both", true),
        ("first", false),
        ("second", false),
        ("third", false),
        ("fourth", false),
    ] {
        let forward = queue.expect_forward(job, "a");
        assert_eq!(
            forward.request.labels_from_response, labels_from_response,
            "{job}"
        );
    }
}

#[test]
fn a_repeated_withdrawal_is_confirmed_again() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 60);
    queue.withdraw_with_held_take(&ticket, call);
    queue.withdraw(&ticket);
    queue.withdraw(&ticket);
    queue.assert_unknown(&ticket);
    assert_eq!(
        queue.try_withdraw(JobReference::Operator("job".parse().unwrap())),
        Err(Refusal::UnknownJob)
    );
}

#[test]
fn the_runners_of_a_job_withdrawn_after_delivery_are_destroyed() {
    for by_operator in [false, true] {
        let mut queue = one_server(1, &[1]);
        let ticket = queue.enqueue("job", "linux", 1);
        let forward = queue.expect_forward("job", "a");
        queue.grant(&forward, &[1]);
        assert_eq!(queue.take_runners(&ticket), [1]);
        let by = if by_operator {
            JobReference::Operator("job".parse().unwrap())
        } else {
            by_ticket(&ticket)
        };
        queue.try_withdraw(by).unwrap();
        let release = queue.expect_destruction("job", "a");
        assert_eq!(release.token, forward.token);
        queue.confirm(&release);
        queue.assert_unknown(&ticket);
    }
}

#[test]
fn a_destroyed_runner_is_not_idle_although_the_last_report_shows_it() {
    let (mut queue, ticket, _) = one_job_delivered();
    queue.withdraw(&ticket);
    let release = queue.expect_destruction("job", "a");
    queue.confirm(&release);
    queue.enqueue("other", "linux", 1);
    queue.assert_no_effects();
    queue.report("a", linux(1, &[2]));
    queue.expect_forward("other", "a");
}

#[test]
fn a_confirmation_of_an_earlier_release_does_not_confirm_a_later_one() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.lose_answer(&forward);
    let earlier = queue.expect_release("job", "a");
    // The server has reserved the runner after all, and is asked for it again with a later token.
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    let again = queue.expect_forward("job", "a");
    assert!(again.token > forward.token);
    queue.grant(&again, &[1]);
    queue.withdraw(&ticket);
    let later = queue.expect_release("job", "a");
    assert_eq!(later.token, again.token);
    queue.confirm(&earlier);
    queue.advance_by_backoff(1);
    assert_eq!(queue.expect_release("job", "a"), later);
    queue.confirm(&later);
    queue.advance(60);
}

#[test]
fn repeated_answers_of_a_server_change_nothing() {
    let mut queue = one_server(2, &[1, 2]);
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    queue.grant(&forward, &[2]);
    queue.refuse(&forward);
    queue.lose_answer(&forward);
    assert_eq!(queue.take_runners(&ticket), [1]);
    queue.grant(&forward, &[2]);
    assert_eq!(queue.take_runners(&ticket), [1]);
}

#[test]
fn a_client_that_lost_its_ticket_gets_it_by_enqueueing_again() {
    let mut queue = one_server(1, &[1]);
    let lost = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    let found = queue.enqueue("job", "linux", 1);
    assert_eq!(found, lost);
    assert_eq!(queue.take_runners(&found), [1]);
}
