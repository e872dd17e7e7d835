//! Jobs that need several runners at once, perhaps from several servers: all or none.

use super::harness::{ReportBuilder, TestQueue, linux};
use crate::Forward;

/// A gang of three that is being forwarded: two runners of `a`, one of `b`.
fn forwarded_gang(queue: &mut TestQueue) -> (Forward, Forward) {
    queue.report("a", linux(2, &[1, 2]));
    queue.report("b", linux(1, &[3]));
    queue.enqueue("gang", "linux", 3);
    let asks = (
        queue.expect_forward("gang", "a"),
        queue.expect_forward("gang", "b"),
    );
    assert_eq!((asks.0.count.get(), asks.1.count.get()), (2, 1));
    assert_eq!(asks.0.token, asks.1.token);
    asks
}

fn nothing_idle() -> ReportBuilder {
    linux(2, &[])
}

#[test]
fn a_gang_gets_all_its_runners_in_one_answer() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut queue);
    let ticket = queue.enqueue("gang", "linux", 3);
    let call = queue.take_held(&ticket, 20);
    queue.grant(&at_b, &[3]);
    queue.assert_no_effects();
    queue.grant(&at_a, &[1, 2]);
    assert_eq!(queue.expect_runners(call), [1, 2, 3]);
}

#[test]
fn when_one_server_refuses_what_the_others_gave_is_released() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut queue);
    queue.grant(&at_a, &[1, 2]);
    queue.refuse(&at_b);
    let release = queue.expect_release("gang", "a");
    assert_eq!(release.token, at_a.token);
    let ticket = queue.enqueue("gang", "linux", 3);
    assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
    // What was given back can be given out again at once.
    queue.confirm(&release);
    queue.report("b", linux(2, &[3, 4]));
    queue.expect_forward("gang", "a");
    queue.expect_forward("gang", "b");
}

#[test]
fn when_one_server_refuses_what_the_others_may_still_give_is_released_too() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut queue);
    queue.refuse(&at_b);
    let release = queue.expect_release("gang", "a");
    queue.grant(&at_a, &[1, 2]);
    let ticket = queue.enqueue("gang", "linux", 3);
    queue.assert_waiting(&ticket);
    queue.confirm(&release);
}

#[test]
fn when_one_answer_is_lost_everything_is_released() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut queue);
    queue.grant(&at_b, &[3]);
    queue.lose_answer(&at_a);
    let at_a = queue.expect_release("gang", "a");
    let at_b = queue.expect_release("gang", "b");
    queue.confirm(&at_a);
    queue.confirm(&at_b);
    queue.report("a", nothing_idle());
    queue.report("b", nothing_idle());
    queue.advance(20);
}

#[test]
fn the_runners_of_a_gang_that_failed_serve_those_behind_it() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut queue);
    let single = queue.enqueue("single", "linux", 1);
    queue.grant(&at_a, &[1, 2]);
    // b is gone, and with it any hope of three runners.
    queue.become_unreachable("b");
    queue.refuse(&at_b);
    let release = queue.expect_release("gang", "a");
    queue.confirm(&release);
    let forward = queue.expect_forward("single", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&single), [1]);
}

#[test]
fn a_gang_that_is_withdrawn_halfway_gives_everything_back() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut queue);
    queue.grant(&at_a, &[1, 2]);
    let ticket = queue.enqueue("gang", "linux", 3);
    queue.withdraw(&ticket);
    let given = queue.expect_release("gang", "a");
    let asked = queue.expect_release("gang", "b");
    queue.grant(&at_b, &[3]);
    queue.confirm(&given);
    queue.confirm(&asked);
    queue.assert_unknown(&ticket);
}

#[test]
fn a_gang_whose_runner_dies_before_it_is_told_starts_anew() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut queue);
    let ticket = queue.enqueue("gang", "linux", 3);
    queue.grant(&at_a, &[1, 2]);
    queue.grant(&at_b, &[3]);
    queue.report("a", nothing_idle().holds("gang", &[1, 2], &at_a));
    queue.report("b", nothing_idle().holds("gang", &[3], &at_b));
    queue.advance(1);
    queue.report("b", nothing_idle());
    let release = queue.expect_release("gang", "a");
    queue.confirm(&release);
    queue.report("a", linux(2, &[1, 2]));
    queue.report("b", linux(1, &[4]));
    let at_a = queue.expect_forward("gang", "a");
    let at_b = queue.expect_forward("gang", "b");
    queue.grant(&at_a, &[1, 2]);
    queue.grant(&at_b, &[4]);
    assert_eq!(queue.take_runners(&ticket), [1, 2, 4]);
}

#[test]
fn a_gang_that_was_told_keeps_its_answer_while_any_of_it_stands() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut queue);
    let ticket = queue.enqueue("gang", "linux", 3);
    queue.grant(&at_a, &[1, 2]);
    queue.grant(&at_b, &[3]);
    assert_eq!(queue.take_runners(&ticket), [1, 2, 3]);
    queue.report("a", nothing_idle().holds("gang", &[1, 2], &at_a));
    queue.report("b", nothing_idle().holds("gang", &[3], &at_b));
    queue.advance(1);
    queue.report("b", nothing_idle());
    assert_eq!(queue.take_runners(&ticket), [1, 2, 3]);
    queue.report("a", nothing_idle().has_finished("gang", &[1, 2], &at_a));
    queue.assert_unknown(&ticket);
}
