//! Jobs that need several runners, possibly of several servers: they get all or none.

use super::harness::{ReportBuilder, TestQueue, linux};
use crate::Forward;

/// A job for three runners that is being forwarded: two runners of `a`, one of `b`.
fn job_for_three_forwarded(queue: &mut TestQueue) -> (Forward, Forward) {
    queue.report("a", linux(2, &[1, 2]));
    queue.report("b", linux(1, &[3]));
    queue.enqueue("large", "linux", 3);
    let asks = (
        queue.expect_forward("large", "a"),
        queue.expect_forward("large", "b"),
    );
    assert_eq!((asks.0.count.get(), asks.1.count.get()), (2, 1));
    assert_eq!(asks.0.token, asks.1.token);
    asks
}

fn nothing_idle() -> ReportBuilder {
    linux(2, &[])
}

#[test]
fn a_job_gets_all_its_runners_in_one_answer() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = job_for_three_forwarded(&mut queue);
    let ticket = queue.enqueue("large", "linux", 3);
    let call = queue.take_held(&ticket, 20);
    queue.grant(&at_b, &[3]);
    queue.assert_no_effects();
    queue.grant(&at_a, &[1, 2]);
    assert_eq!(queue.expect_runners(call), [1, 2, 3]);
}

#[test]
fn after_a_refusal_what_other_servers_granted_is_released() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = job_for_three_forwarded(&mut queue);
    queue.grant(&at_a, &[1, 2]);
    queue.refuse(&at_b);
    let release = queue.expect_release("large", "a");
    assert_eq!(release.token, at_a.token);
    let ticket = queue.enqueue("large", "linux", 3);
    assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
    // Released runners can be assigned again at once.
    queue.confirm(&release);
    queue.report("b", linux(2, &[3, 4]));
    queue.expect_forward("large", "a");
    queue.expect_forward("large", "b");
}

/// Each server numbers its runners from zero.
#[test]
fn runners_of_different_servers_may_have_one_number() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[2]));
    queue.report("b", linux(1, &[1]));
    queue.enqueue("large", "linux", 2);
    let at_a = queue.expect_forward("large", "a");
    let at_b = queue.expect_forward("large", "b");
    queue.grant(&at_a, &[2]);
    queue.grant(&at_b, &[1]);
    let ticket = queue.enqueue("single", "linux", 1);
    queue.report("a", linux(2, &[1]).holds("large", &[2], &at_a));
    let forward = queue.expect_forward("single", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);
    // What a server has granted is forgotten with the jobs.
    let at_a = linux(2, &[])
        .has_finished("large", &[2], &at_a)
        .has_finished("single", &[1], &forward);
    queue.report("a", at_a);
    queue.report("b", linux(1, &[]).has_finished("large", &[1], &at_b));
    queue.report("a", linux(2, &[]));
    let jobs = &queue.core.state.jobs;
    assert!((0..2).all(|server| jobs.granted_by(server).is_empty()));
}

/// The last report still shows the job's reservation.
#[test]
fn a_server_that_has_confirmed_a_release_is_asked_again_at_once() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = job_for_three_forwarded(&mut queue);
    queue.grant(&at_a, &[1, 2]);
    queue.report("a", linux(3, &[5]).holds("large", &[1, 2], &at_a));
    queue.refuse(&at_b);
    let release = queue.expect_release("large", "a");
    queue.report("b", linux(3, &[3, 4, 6]));
    queue.assert_no_effects();
    queue.confirm(&release);
    queue.expect_forward("large", "b");
    queue.expect_forward("large", "a");
}

#[test]
fn after_a_refusal_what_other_servers_may_still_grant_is_released() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = job_for_three_forwarded(&mut queue);
    queue.refuse(&at_b);
    let release = queue.expect_release("large", "a");
    queue.grant(&at_a, &[1, 2]);
    let ticket = queue.enqueue("large", "linux", 3);
    queue.assert_waiting(&ticket);
    queue.confirm(&release);
}

#[test]
fn after_a_lost_answer_everything_is_released() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = job_for_three_forwarded(&mut queue);
    queue.grant(&at_b, &[3]);
    queue.lose_answer(&at_a);
    let at_a = queue.expect_release("large", "a");
    let at_b = queue.expect_release("large", "b");
    queue.confirm(&at_a);
    queue.confirm(&at_b);
    queue.report("a", nothing_idle());
    queue.report("b", nothing_idle());
    queue.advance(20);
}

#[test]
fn released_runners_are_assigned_to_jobs_behind_the_failed_one() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = job_for_three_forwarded(&mut queue);
    let single = queue.enqueue("single", "linux", 1);
    queue.grant(&at_a, &[1, 2]);
    // Without b there can be no three runners.
    queue.become_unreachable("b");
    queue.refuse(&at_b);
    let release = queue.expect_release("large", "a");
    queue.confirm(&release);
    let forward = queue.expect_forward("single", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&single), [1]);
}

#[test]
fn everything_is_released_when_a_partly_granted_job_is_withdrawn() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = job_for_three_forwarded(&mut queue);
    queue.grant(&at_a, &[1, 2]);
    let ticket = queue.enqueue("large", "linux", 3);
    queue.withdraw(&ticket);
    let given = queue.expect_release("large", "a");
    let asked = queue.expect_release("large", "b");
    queue.grant(&at_b, &[3]);
    queue.confirm(&given);
    queue.confirm(&asked);
    queue.assert_unknown(&ticket);
}

#[test]
fn a_job_whose_runner_dies_before_delivery_gets_all_its_runners_anew() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = job_for_three_forwarded(&mut queue);
    let ticket = queue.enqueue("large", "linux", 3);
    queue.grant(&at_a, &[1, 2]);
    queue.grant(&at_b, &[3]);
    queue.report("a", nothing_idle().holds("large", &[1, 2], &at_a));
    queue.report("b", nothing_idle().holds("large", &[3], &at_b));
    queue.advance(1);
    queue.report("b", nothing_idle());
    let release = queue.expect_release("large", "a");
    queue.confirm(&release);
    queue.report("a", linux(2, &[1, 2]));
    queue.report("b", linux(1, &[4]));
    let at_a = queue.expect_forward("large", "a");
    let at_b = queue.expect_forward("large", "b");
    queue.grant(&at_a, &[1, 2]);
    queue.grant(&at_b, &[4]);
    assert_eq!(queue.take_runners(&ticket), [1, 2, 4]);
}

#[test]
fn a_delivered_job_keeps_its_runners_while_any_of_them_is_there() {
    let mut queue = TestQueue::with(&["a", "b"]);
    let (at_a, at_b) = job_for_three_forwarded(&mut queue);
    let ticket = queue.enqueue("large", "linux", 3);
    queue.grant(&at_a, &[1, 2]);
    queue.grant(&at_b, &[3]);
    assert_eq!(queue.take_runners(&ticket), [1, 2, 3]);
    queue.report("a", nothing_idle().holds("large", &[1, 2], &at_a));
    queue.report("b", nothing_idle().holds("large", &[3], &at_b));
    queue.advance(1);
    queue.report("b", nothing_idle());
    assert_eq!(queue.take_runners(&ticket), [1, 2, 3]);
    queue.report("a", nothing_idle().has_finished("large", &[1, 2], &at_a));
    queue.assert_unknown(&ticket);
}

#[test]
fn a_target_that_its_host_does_not_reach_makes_no_job_gather_for_ever() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(5, &[1, 2]).with_existing(3));
    for (job, count) in [("four", 4), ("one", 1)] {
        let ticket = queue.enqueue(job, "linux", count);
        queue.take_held(&ticket, 3600);
    }
    // The others may still be made.
    queue.advance(899);
    queue.assert_no_effects();
    queue.advance(1);
    queue.expect_forward("one", "a");
    // Once there are as many, it gathers again.
    queue.report("a", linux(5, &[2, 3]).with_existing(4));
    queue.enqueue("another", "linux", 1);
    queue.assert_no_effects();
    queue.report("a", linux(5, &[2, 3, 4, 5, 6]).with_existing(5));
    queue.expect_forward("four", "a");
}
