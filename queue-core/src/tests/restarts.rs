//! A queue that knows nothing any more, and clients that still have their tickets.

use std::time::Duration;

use super::harness::{
    MadeBy, TestQueue, by_ticket, config, linux, no_profiles, one_job_forwarded, one_job_waiting,
    one_server,
};
use crate::{Input, Refusal, TicketContent};

#[test]
fn jobs_come_back_to_their_old_places_in_whatever_order_they_ask() {
    let mut queue = one_server(3, &[]);
    let jobs = ["first", "second", "third"];
    let tickets = jobs.map(|job| queue.enqueue(job, "linux", 1));
    queue.restart();
    for ticket in tickets.iter().rev() {
        queue.assert_waiting(ticket);
    }
    queue.report("a", linux(3, &[1, 2, 3]));
    queue.end_startup_grace();
    for job in jobs {
        queue.expect_forward(job, "a");
    }
}

#[test]
fn nothing_is_given_out_before_everybody_had_time_to_come_back() {
    let mut queue = one_server(2, &[]);
    let first = queue.enqueue("first", "linux", 1);
    let second = queue.enqueue("second", "linux", 1);
    queue.restart();
    queue.report("a", linux(2, &[1]));
    queue.assert_waiting(&second);
    queue.advance(4);
    queue.assert_waiting(&first);
    queue.assert_no_effects();
    queue.advance(1);
    queue.expect_forward("first", "a");
}

#[test]
fn the_longest_pause_that_clients_are_told_is_over_before_anything_is_given_out() {
    let mut queue = one_server(1, &[]);
    let tickets: Vec<_> = (0..451)
        .map(|job| queue.enqueue(&format!("job-{job}"), "linux", 1))
        .collect();
    let pauses = tickets
        .iter()
        .map(|ticket| queue.assert_waiting(ticket).retry_after_seconds);
    let pauses: Vec<u64> = pauses.collect();
    assert_eq!(
        (pauses[0], pauses[99], pauses[100], pauses[450]),
        (1, 1, 2, 5)
    );
    assert_eq!(pauses.iter().max(), Some(&config().startup_grace.as_secs()));
}

#[test]
fn a_new_job_of_a_new_queue_stands_behind_those_that_came_back() {
    let mut queue = one_server(2, &[]);
    let old = queue.enqueue("old", "linux", 1);
    queue.restart_with_clock_set_back(3600);
    queue.report("a", linux(2, &[]));
    queue.assert_waiting(&old);
    let new = queue.enqueue("new", "linux", 1);
    assert!(new.enqueued_at > old.enqueued_at);
    queue.end_startup_grace();
    queue.report("a", linux(2, &[1]));
    queue.expect_forward("old", "a");
    assert_eq!(queue.assert_waiting(&new).ahead, 1);
}

#[test]
fn a_job_that_has_its_runners_already_gets_the_same_ones_again() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    let ticket = queue.enqueue("job", "linux", 1);
    let before = queue.expect_forward("job", "a");
    queue.grant(&before, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);

    queue.restart();
    queue.report("b", linux(1, &[2]));
    queue.report("a", linux(1, &[]).holds("job", &[1], &before));
    // No need to settle: nobody else can have these.
    queue.assert_waiting(&ticket);
    let again = queue.expect_forward("job", "a");
    assert!(again.token > before.token);
    queue.grant(&again, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);
}

#[test]
fn a_reservation_that_is_heard_of_later_than_its_job_is_taken_up_too() {
    let (mut queue, ticket, before) = one_job_forwarded();
    queue.grant(&before, &[1]);

    queue.restart();
    let call = queue.take_held(&ticket, 20);
    queue.report("a", linux(1, &[]).runs("job", &[1], &before));
    let again = queue.expect_forward("job", "a");
    queue.grant(&again, &[1]);
    assert_eq!(queue.expect_runners(call), [1]);
}

#[test]
fn a_gang_that_has_its_runners_already_gets_the_same_ones_again() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[1, 2]));
    queue.report("b", linux(1, &[3]));
    let ticket = queue.enqueue("gang", "linux", 3);
    let before = [
        queue.expect_forward("gang", "a"),
        queue.expect_forward("gang", "b"),
    ];

    queue.restart();
    let call = queue.take_held(&ticket, 20);
    queue.report("a", linux(2, &[]).holds("gang", &[1, 2], &before[0]));
    queue.assert_no_effects();
    queue.report("b", linux(1, &[]).holds("gang", &[3], &before[1]));
    let at_a = queue.expect_forward("gang", "a");
    let at_b = queue.expect_forward("gang", "b");
    assert_eq!((at_a.count.get(), at_b.count.get()), (2, 1));
    queue.grant(&at_a, &[1, 2]);
    queue.grant(&at_b, &[3]);
    assert_eq!(queue.expect_runners(call), [1, 2, 3]);
}

#[test]
fn a_job_that_was_served_is_gone() {
    let (mut queue, ticket, before) = one_job_forwarded();
    queue.grant(&before, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);
    for hears_first in [true, false] {
        queue.restart();
        if !hears_first {
            queue.assert_waiting(&ticket);
        }
        queue.report("a", linux(1, &[2]).has_finished("job", &[1], &before));
        queue.assert_unknown(&ticket);
        queue.assert_unknown(&ticket);
    }
    queue.end_startup_grace();
}

#[test]
fn a_job_that_turns_out_to_be_served_lets_those_behind_it_go() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[]));
    queue.report("b", linux(2, &[]));
    let gang = queue.enqueue("gang", "linux", 3);
    let single = queue.enqueue("single", "linux", 1);
    queue.restart();
    let calls = [queue.take_held(&gang, 60), queue.take_held(&single, 60)];
    queue.report("b", linux(4, &[5]));
    queue.end_startup_grace();
    queue.assert_no_effects();
    // The server that served it has no more to do with the profile.
    queue.report("a", no_profiles().has_finished("gang", &[1, 2, 3], &gang));
    queue.expect_refusal(calls[0]);
    queue.expect_forward("single", "b");
}

#[test]
fn a_ticket_that_has_expired_is_of_no_use() {
    let (mut queue, ticket) = one_job_waiting();
    queue.pause_process(24 * 3600 - 2);
    queue.restart();
    queue.assert_waiting(&ticket);
    queue.restart();
    queue.assert_unknown(&ticket);
}

#[test]
fn a_job_that_is_over_does_not_come_back_for_as_long_as_its_ticket_is_valid() {
    let mut queue = one_server(1, &[]);
    let withdrawn = queue.enqueue("withdrawn", "linux", 1);
    let abandoned = queue.enqueue("abandoned", "linux", 1);
    queue.withdraw(&withdrawn);
    queue.advance(30);
    for _ in 0..25 {
        queue.assert_unknown(&withdrawn);
        queue.assert_unknown(&abandoned);
        queue.pause_process(3600);
    }
    assert!(queue.core.state.jobs.retired_is_empty());
    queue.assert_unknown(&withdrawn);
}

#[test]
fn the_ticket_of_a_job_that_is_over_is_not_the_ticket_of_a_later_one_of_its_name() {
    let (mut queue, earlier) = one_job_waiting();
    queue.withdraw(&earlier);
    let later = queue.enqueue("job", "linux", 1);
    assert_ne!(earlier, later);
    queue.assert_unknown(&earlier);
    queue.withdraw(&earlier);
    assert_eq!(queue.assert_waiting(&later).ahead, 0);
}

#[test]
fn the_ticket_of_a_job_whose_name_another_has_taken_is_of_no_use() {
    let mut queue = one_server(2, &[]);
    let earlier = queue.enqueue("job", "linux", 1);
    queue.restart();
    queue.report("a", linux(2, &[]));
    let later = queue.enqueue("job", "linux", 2);
    queue.assert_unknown(&earlier);
    assert_eq!(
        queue.try_withdraw(by_ticket(&earlier)),
        Err(Refusal::UnknownJob)
    );
    assert_eq!(queue.assert_waiting(&later).ahead, 0);
    assert_eq!(queue.core.jobs().count(), 1);
}

#[test]
fn two_tickets_of_two_queues_for_the_same_request_are_for_one_job() {
    let (mut queue, lost) = one_job_waiting();
    queue.restart();
    queue.report("a", linux(1, &[]));
    let found = queue.enqueue("job", "linux", 1);
    assert_ne!(lost, found);
    queue.assert_waiting(&lost);
    queue.assert_waiting(&found);
    assert_eq!(queue.core.jobs().count(), 1);
    // And once it is over it is over for both.
    queue.withdraw(&lost);
    queue.assert_unknown(&lost);
    queue.assert_unknown(&found);
}

#[test]
fn of_two_tickets_for_one_job_the_older_one_says_where_it_stands() {
    let mut queue = one_server(1, &[]);
    let older = queue.enqueue("job", "linux", 1);
    let between = queue.enqueue("between", "linux", 1);
    queue.restart();
    queue.report("a", linux(1, &[]));
    // The first of several tries to enqueue it was under way all the time.
    let newer = queue.enqueue("job", "linux", 1);
    assert_eq!(queue.assert_waiting(&between).ahead, 0);
    assert_eq!(queue.assert_waiting(&newer).ahead, 1);
    assert_eq!(queue.assert_waiting(&older).ahead, 0);
    assert_eq!(queue.assert_waiting(&between).ahead, 1);
    assert_eq!(queue.assert_waiting(&newer).ahead, 0, "it is the same job");
    queue.end_startup_grace();
    queue.report("a", linux(1, &[1]));
    let forward = queue.expect_forward("job", "a");
    assert_eq!(queue.assert_waiting(&older).ahead, 0);
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&older), [1]);
    assert_eq!(queue.take_runners(&newer), [1]);
    queue.assert_no_effects();
}

/// Two jobs enqueued one after the other at a queue that was then restarted. An enqueue of the
/// first one, sent before the restart, arrives after the second one's ticket.
fn first_job_recreated_behind_second() -> (TestQueue, TicketContent, TicketContent) {
    let mut queue = one_server(1, &[]);
    let first = queue.enqueue("first", "linux", 1);
    let second = queue.enqueue("second", "linux", 1);
    queue.restart();
    queue.report("a", linux(1, &[]));
    queue.assert_waiting(&second);
    let recreated = queue.enqueue("first", "linux", 1);
    assert!(recreated.enqueued_at > second.enqueued_at);
    (queue, first, second)
}

#[test]
fn order_follows_the_oldest_ticket_that_the_queue_has_seen() {
    // The older ticket arrives before the first runner: its job is first.
    let (mut queue, first, _) = first_job_recreated_behind_second();
    queue.assert_waiting(&first);
    queue.end_startup_grace();
    queue.report("a", linux(1, &[1]));
    queue.expect_forward("first", "a");

    // It arrives after the first runner was assigned: the queue could not know of it.
    let (mut queue, first, second) = first_job_recreated_behind_second();
    queue.end_startup_grace();
    queue.report("a", linux(1, &[1]));
    queue.expect_forward("second", "a");
    assert_eq!(queue.assert_waiting(&second).ahead, 0);
    assert_eq!(queue.assert_waiting(&first).ahead, 0);
    assert_eq!(queue.assert_waiting(&second).ahead, 1);
}

#[test]
fn a_job_that_is_being_forwarded_takes_the_place_of_an_older_ticket() {
    let (mut queue, first, second) = first_job_recreated_behind_second();
    queue.end_startup_grace();
    queue.report("a", linux(2, &[1, 2]));
    let of_second = queue.expect_forward("second", "a");
    let of_first = queue.expect_forward("first", "a");
    assert_eq!(queue.assert_waiting(&first).ahead, 0);
    assert_eq!(queue.assert_waiting(&second).ahead, 1);
    queue.refuse(&of_second);
    queue.refuse(&of_first);
    assert_eq!(queue.assert_waiting(&second).ahead, 1);
    queue.report("a", linux(2, &[3]));
    let of_first = queue.expect_forward("first", "a");
    queue.grant(&of_first, &[3]);
    assert_eq!(queue.take_runners(&first), [3]);
}

#[test]
fn a_job_whose_runner_died_before_delivery_returns_to_the_place_of_an_older_ticket() {
    let (mut queue, first, second) = first_job_recreated_behind_second();
    queue.end_startup_grace();
    queue.report("a", linux(2, &[1, 2]));
    queue.expect_forward("second", "a");
    let of_first = queue.expect_forward("first", "a");
    queue.grant(&of_first, &[2]);
    // The older ticket is answered with the runners, but its client had hung up.
    assert_eq!(queue.take_runners(&first), [2]);
    queue.handle(Input::Undelivered {
        unique_id: "first".parse().unwrap(),
    });
    queue.advance(1);
    queue.report("a", linux(2, &[]));
    assert_eq!(queue.assert_waiting(&second).ahead, 1);
    assert_eq!(queue.assert_waiting(&first).ahead, 0);
}

#[test]
fn a_reservation_of_an_earlier_job_of_the_same_name_is_not_taken_up() {
    let (mut queue, ticket) = one_job_waiting();
    let earlier = ticket.enqueued_at - Duration::from_micros(1);
    // A fencing token of any size says nothing about which of them is meant.
    for sequence in [1, u64::MAX] {
        let by = MadeBy::queue_at(earlier).with_sequence(sequence);
        queue.report("a", linux(1, &[]).holds("job", &[1], by));
        queue.assert_no_effects();
        queue.report("a", linux(1, &[]).has_finished("job", &[1], by));
        assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
    }
}

#[test]
fn a_reservation_of_the_same_job_is_known_by_when_it_was_enqueued() {
    for sequence in [1, u64::MAX] {
        let mut queue = one_server(1, &[]);
        let ticket = queue.enqueue("job", "linux", 1);
        let by = MadeBy::from(&ticket).with_sequence(sequence);
        queue.report("a", linux(1, &[]).holds("job", &[1], by));
        let forward = queue.expect_forward("job", "a");
        assert_eq!(forward.enqueued_at, ticket.enqueued_at);
    }
}

#[test]
fn a_reservation_of_unknown_enqueueing_is_of_this_job_if_a_queue_made_it() {
    let (mut queue, ticket) = one_job_waiting();
    let by = MadeBy::no_queue();
    queue.report("a", linux(1, &[]).holds("job", &[1], by));
    queue.assert_no_effects();
    queue.report("a", linux(1, &[]).has_finished("job", &[1], by));
    assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
    let by = MadeBy::older_queue();
    queue.report("a", linux(1, &[]).holds("job", &[1], by));
    queue.expect_forward("job", "a");
}

#[test]
fn runners_that_went_unused_are_replaced_and_the_job_has_its_old_place() {
    let mut queue = one_server(2, &[1]);
    let unlucky = queue.enqueue("unlucky", "linux", 1);
    let forward = queue.expect_forward("unlucky", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&unlucky), [1]);
    let other = queue.enqueue("other", "linux", 1);
    queue.advance(1);
    queue.report("a", linux(2, &[]));
    assert_eq!(queue.assert_waiting(&unlucky).ahead, 0);
    assert_eq!(queue.assert_waiting(&other).ahead, 1);
    queue.report("a", linux(2, &[2]));
    let forward = queue.expect_forward("unlucky", "a");
    queue.grant(&forward, &[2]);
    assert_eq!(queue.take_runners(&unlucky), [2]);
}

#[test]
fn a_runner_that_died_before_its_client_was_told_is_replaced() {
    let mut queue = one_server(2, &[1]);
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    queue.advance(1);
    queue.report("a", linux(2, &[]));
    assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
    queue.report("a", linux(2, &[2]));
    queue.expect_forward("job", "a");
}
