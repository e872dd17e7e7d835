//! What servers say, and how long it counts.

use super::harness::{MadeBy, TestQueue, linux, no_profiles, one_server, request};
use crate::Refusal;

#[test]
fn what_a_server_said_counts_for_fifteen_seconds() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("b", linux(1, &[]));
    queue.report("a", linux(1, &[1]));
    queue.stop_answering("a");
    queue.advance(15);
    queue.enqueue("job", "linux", 1);
    queue.expect_forward("job", "a");

    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("b", linux(1, &[]));
    queue.report("a", linux(1, &[1]));
    queue.stop_answering("a");
    queue.advance(16);
    let ticket = queue.enqueue("job", "linux", 1);
    queue.take_held(&ticket, 60);
    queue.advance(5);
    queue.assert_no_effects();
    queue.report_unchanged("a");
    queue.expect_forward("job", "a");
}

#[test]
fn a_server_that_says_that_nothing_changed_is_as_good_as_one_that_repeats_itself() {
    let mut queue = one_server(1, &[1]);
    queue.advance(300);
    queue.enqueue("job", "linux", 1);
    queue.expect_forward("job", "a");
}

#[test]
fn a_server_that_says_that_nothing_changed_since_nothing_has_not_said_anything() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report_unchanged("a");
    assert_eq!(
        queue.try_enqueue(request("job", "linux", 1)),
        Err(Refusal::NotReady)
    );
}

#[test]
fn a_server_that_is_down_is_not_asked_and_one_that_is_back_is() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    queue.report("b", linux(1, &[]));
    queue.become_unreachable("a");
    let ticket = queue.enqueue("job", "linux", 1);
    queue.take_held(&ticket, 60);
    queue.advance(5);
    queue.assert_no_effects();
    // The answer to a question from before says nothing.
    queue.report("a", linux(1, &[1]).asked_seconds_ago(6));
    queue.assert_no_effects();
    queue.report("a", linux(1, &[1]));
    queue.expect_forward("job", "a");
}

#[test]
fn an_older_report_that_arrives_later_is_ignored() {
    let mut queue = TestQueue::with(&["a"]);
    queue.advance(5);
    queue.report("a", linux(1, &[]));
    queue.enqueue("job", "linux", 1);
    queue.report("a", linux(1, &[1]).asked_seconds_ago(1));
    queue.assert_no_effects();
    queue.report("a", linux(1, &[1]));
    queue.expect_forward("job", "a");
}

#[test]
fn a_server_that_is_back_is_reminded_at_once_of_what_it_owes() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    queue.report("b", linux(1, &[]));
    let ticket = queue.enqueue("job", "linux", 1);
    queue.expect_forward("job", "a");
    queue.become_unreachable("a");
    queue.withdraw(&ticket);
    let mut release = queue.expect_release("job", "a");
    for pause in [1, 2, 4, 8, 16] {
        queue.lose_release(&release);
        queue.advance_by_backoff(pause);
        release = queue.expect_release("job", "a");
    }
    queue.advance(10);
    queue.report("a", linux(1, &[1]));
    assert_eq!(queue.expect_release("job", "a"), release);
    queue.advance_by_backoff(1);
    assert_eq!(queue.expect_release("job", "a"), release);
    queue.confirm(&release);
    queue.advance(60);
}

#[test]
fn what_makes_no_sense_does_no_harm() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", no_profiles());
    queue.report("a", linux(0, &[]));
    queue.report(
        "a",
        linux(usize::MAX / 2, &[u64::MAX]).and("windows", 1, &[u64::MAX]),
    );
    let ticket = queue.enqueue("job", "linux", 64);
    queue.report("a", linux(64, &[1]).holds("job", &[], &ticket));
    queue.report("a", linux(64, &[1]).runs("job", &[1, 1, 1], &ticket));
    queue.report(
        "a",
        linux(64, &[1]).has_finished("job", &[], MadeBy::no_queue()),
    );
    assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
}
