//! Reservations that another queue made, or this one before its restart, and whose clients may
//! have been told of them. A server knows which queues it gave them to, and ends them only when
//! the last of those has given them back; so this queue gives back no more than its own part.

use super::harness::{MadeBy, TestQueue, linux, no_profiles, one_job_waiting, one_server};
use crate::{Forward, TicketContent};

/// A job that has runner 1 of `a` since before the queue was restarted.
fn restarted() -> (TestQueue, TicketContent, Forward) {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    let ticket = queue.enqueue("job", "linux", 1);
    let before = queue.expect_forward("job", "a");
    queue.grant(&before, &[1]);
    queue.restart();
    queue.report("a", linux(1, &[]).holds("job", &[1], &before));
    (queue, ticket, before)
}

/// The same, and the queue asks for the runner again.
fn asking_again() -> (TestQueue, TicketContent, Forward) {
    let (mut queue, ticket, _) = restarted();
    queue.assert_waiting(&ticket);
    let forward = queue.expect_forward("job", "a");
    (queue, ticket, forward)
}

#[test]
fn what_this_queue_was_given_of_it_is_given_back_when_its_client_falls_silent() {
    let (mut queue, ticket, forward) = asking_again();
    queue.grant(&forward, &[1]);
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    queue.advance(30);
    let release = queue.expect_release("job", "a");
    assert_eq!(release.token, forward.token);
    queue.confirm(&release);
    queue.assert_unknown(&ticket);
}

#[test]
fn it_is_destroyed_when_its_job_is_withdrawn_before_it_was_asked_for() {
    let (mut queue, ticket, before) = restarted();
    queue.withdraw(&ticket);
    let release = queue.expect_destruction("job", "a");
    assert!(release.token.instance > before.token.instance);
    queue.lose_release(&release);
    queue.advance_by_backoff(1);
    assert_eq!(queue.expect_destruction("job", "a"), release);
    queue.confirm(&release);
    queue.assert_unknown(&ticket);
    queue.withdraw(&ticket);
}

#[test]
fn a_part_of_it_is_destroyed_when_its_job_is_withdrawn() {
    let mut queue = one_server(2, &[]);
    let gang = queue.enqueue("gang", "linux", 2);
    queue.restart();
    queue.report("a", linux(2, &[]).holds("gang", &[1], &gang));
    for is_back_in_line in [false, true] {
        if is_back_in_line {
            queue.restart();
            queue.report("a", linux(2, &[]).holds("gang", &[1], &gang));
            queue.assert_waiting(&gang);
        }
        queue.withdraw(&gang);
        let release = queue.expect_destruction("gang", "a");
        queue.confirm(&release);
    }
}

#[test]
fn withdrawing_an_unknown_job_asks_nobody_for_runners() {
    let (mut queue, ticket) = one_job_waiting();
    queue.restart();
    queue.end_startup_grace();
    queue.report("a", linux(1, &[1]));
    queue.withdraw(&ticket);
    queue.assert_unknown(&ticket);
}

#[test]
fn a_gang_is_not_asked_for_where_a_part_of_it_is_held_already() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(4, &[]));
    queue.report("b", linux(4, &[]));
    let gang = queue.enqueue("gang", "linux", 3);
    let single = queue.enqueue("single", "linux", 1);
    queue.restart();
    queue.report("a", linux(4, &[3]).holds("gang", &[1, 2], &gang));
    queue.report("b", linux(4, &[5, 6]));
    let calls = [queue.take_held(&gang, 60), queue.take_held(&single, 60)];
    // Its needs cannot be met for as long as that part stands. Those behind it do not wait.
    queue.end_startup_grace();
    let forward = queue.expect_forward("single", "b");
    queue.grant(&forward, &[5]);
    assert_eq!(queue.expect_runners(calls[1]), [5]);
    queue.report("b", linux(4, &[6, 7, 8]).holds("single", &[5], &forward));
    assert_eq!(queue.expect_forward("gang", "b").count.get(), 3);
}

#[test]
fn when_its_answer_is_lost_it_is_asked_for_again_and_not_in_a_hurry() {
    let (mut queue, ticket, mut forward) = asking_again();
    let call = queue.take_held(&ticket, 60);
    for _ in 0..3 {
        queue.lose_answer(&forward);
        let release = queue.expect_release("job", "a");
        assert_eq!(release.token, forward.token);
        let held = linux(1, &[]).holds("job", &[1], &forward);
        queue.report("a", held.clone());
        // The server is reminded of what it owes as soon as it answers again.
        assert_eq!(queue.expect_release("job", "a"), release);
        for _ in 0..5 {
            queue.report("a", held.clone());
        }
        queue.advance_until_effect();
        forward = queue.expect_forward("job", "a");
    }
    queue.grant(&forward, &[1]);
    assert_eq!(queue.expect_runners(call), [1]);
}

#[test]
fn when_its_server_is_down_the_job_is_served_elsewhere() {
    let (mut queue, ticket, forward) = asking_again();
    let call = queue.take_held(&ticket, 60);
    queue.report("b", linux(1, &[2]));
    queue.end_startup_grace();
    queue.assert_no_effects();
    queue.become_unreachable("a");
    queue.lose_answer(&forward);
    queue.expect_release("job", "a");
    let elsewhere = queue.expect_forward("job", "b");
    queue.grant(&elsewhere, &[2]);
    assert_eq!(queue.expect_runners(call), [2]);
}

#[test]
fn a_server_that_refuses_what_it_says_it_holds_is_not_asked_for_it_in_every_step() {
    let (mut queue, ticket, mut forward) = asking_again();
    let lie = linux(1, &[]).holds("job", &[1], &forward);
    queue.take_held(&ticket, 600);
    for _ in 0..3 {
        queue.refuse(&forward);
        for _ in 0..5 {
            queue.report("a", lie.clone());
        }
        queue.advance(29);
        queue.report("a", lie.clone());
        queue.assert_no_effects();
        queue.advance(1);
        forward = queue.expect_forward("job", "a");
    }
}

#[test]
fn a_server_that_refuses_what_it_says_it_holds_may_be_right_about_what_is_idle() {
    let (mut queue, ticket, forward) = asking_again();
    queue.assert_waiting(&ticket);
    queue.end_startup_grace();
    queue.report("a", linux(2, &[2]).holds("job", &[1], &forward));
    queue.refuse(&forward);
    queue.enqueue("other", "linux", 1);
    queue.expect_forward("other", "a");
}

#[test]
fn it_is_asked_for_when_its_server_comes_back_with_nothing_new_to_say() {
    let (mut queue, ticket, _) = restarted();
    queue.stop_answering("a");
    queue.advance(16);
    queue.take_held(&ticket, 60);
    queue.assert_no_effects();
    queue.report_unchanged("a");
    queue.expect_forward("job", "a");
}

#[test]
fn what_is_held_for_nobody_known_is_left_alone() {
    let mut queue = TestQueue::with(&["a"]);
    let other = MadeBy::queue_at(queue.now);
    queue.report("a", linux(1, &[]).holds("other", &[1], other));
    queue.report("a", no_profiles().has_finished("other", &[1], other));
}

#[test]
fn a_job_that_two_servers_hold_runners_for_takes_those_of_one() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("b", linux(2, &[]));
    let gang = queue.enqueue("gang", "linux", 2);
    queue.restart();
    queue.report("a", linux(2, &[]).holds("gang", &[1, 2], &gang));
    queue.report("b", linux(2, &[]).holds("gang", &[3, 4], &gang));
    queue.assert_waiting(&gang);
    let forward = queue.expect_forward("gang", "a");
    assert_eq!(forward.count.get(), 2);
    queue.grant(&forward, &[1, 2]);
    assert_eq!(queue.take_runners(&gang), [1, 2]);
}
