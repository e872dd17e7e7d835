//! Forwards that are granted, refused, ambiguous or late.

use super::harness::{TestQueue, linux, one_job_forwarded, one_job_waiting, one_server};
use crate::ForwardOutcome;

#[test]
fn a_job_keeps_its_position_while_it_is_forwarded_and_when_it_is_refused() {
    let mut queue = one_server(2, &[1]);
    let first = queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    let second = queue.enqueue("second", "linux", 1);
    assert_eq!(queue.assert_waiting(&first).ahead, 0);
    assert_eq!(queue.assert_waiting(&second).ahead, 1);
    queue.refuse(&forward);
    assert_eq!(queue.assert_waiting(&first).ahead, 0);
    assert_eq!(queue.assert_waiting(&second).ahead, 1);
    queue.report("a", linux(2, &[1, 2]));
    queue.expect_forward("first", "a");
}

#[test]
fn a_held_take_is_answered_when_the_server_grants_the_runners() {
    let (mut queue, ticket) = one_job_waiting();
    let call = queue.take_held(&ticket, 20);
    queue.advance(10);
    queue.report("a", linux(1, &[1]));
    let forward = queue.expect_forward("job", "a");
    assert_eq!(forward.count.get(), 1);
    queue.grant(&forward, &[1]);
    assert_eq!(queue.expect_runners(call), [1]);
    queue.advance(20);
}

#[test]
fn after_a_lost_answer_a_release_is_sent_and_another_server_is_asked() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    queue.report("b", linux(1, &[2]));
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.lose_answer(&forward);
    let release = queue.expect_release("job", "a");
    assert_eq!(release.token, forward.token);
    let again = queue.expect_forward("job", "b");
    assert!(again.token > forward.token);
    queue.grant(&again, &[2]);
    queue.confirm(&release);
    assert_eq!(queue.take_runners(&ticket), [2]);
}

#[test]
fn a_forward_without_an_answer_in_time_is_ambiguous() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    queue.report("b", linux(1, &[2]));
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.advance(9);
    queue.assert_no_effects();
    queue.stop_answering("a");
    queue.advance(1);
    let release = queue.expect_release("job", "a");
    let again = queue.expect_forward("job", "b");
    // Any answer is too late now; only the release counts.
    queue.grant(&forward, &[1]);
    queue.lose_answer(&forward);
    queue.refuse(&forward);
    queue.grant(&again, &[2]);
    assert_eq!(queue.take_runners(&ticket), [2]);
    queue.confirm(&release);
    queue.advance(60);
}

#[test]
fn a_grant_of_a_wrong_number_of_runners_is_ambiguous() {
    for runners in [&[1][..], &[1, 2, 3], &[]] {
        let mut queue = one_server(4, &[1, 2, 3]);
        let ticket = queue.enqueue("large", "linux", 2);
        let forward = queue.expect_forward("large", "a");
        queue.grant(&forward, runners);
        let release = queue.expect_release("large", "a");
        queue.assert_waiting(&ticket);
        queue.confirm(&release);
        // At first only runner 4 is not in quarantine, which is not enough.
        queue.report("a", linux(4, &[1, 2, 3, 4]));
        queue.advance_by_backoff(1);
        queue.expect_forward("large", "a");
    }
}

#[test]
fn a_server_with_a_pending_release_is_asked_for_other_jobs_only() {
    let mut queue = one_server(2, &[1, 2]);
    queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    queue.enqueue("second", "linux", 1);
    let second = queue.expect_forward("second", "a");
    queue.enqueue("third", "linux", 1);
    queue.lose_answer(&forward);
    let release = queue.expect_release("first", "a");
    queue.lose_release(&release);
    // The poll was sent before the failure, so the report is no sign of health.
    queue.report("a", linux(4, &[1, 2, 3, 4]).asked_seconds_ago(1));
    queue.assert_no_effects();
    queue.report("a", linux(4, &[1, 2, 3, 4]));
    // Now the server answers again, and the release is sent at once.
    let reminder = queue.expect_release("first", "a");
    assert_eq!(reminder, release);
    queue.expect_forward("third", "a");
    queue.grant(&second, &[1]);
    queue.confirm(&reminder);
    queue.expect_forward("first", "a");
}

#[test]
fn a_release_is_repeated_with_back_off_until_it_is_confirmed() {
    let (mut queue, ticket, forward) = one_job_forwarded();
    queue.withdraw(&ticket);
    let release = queue.expect_release("job", "a");
    assert_eq!(release.token, forward.token);
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        queue.lose_release(&release);
        queue.advance_by_backoff(pause);
        assert_eq!(queue.expect_release("job", "a"), release);
    }
    queue.confirm(&release);
    queue.confirm(&release);
    queue.advance(60);
}

#[test]
fn a_runner_that_is_refused_again_and_again_stays_in_quarantine_for_longer() {
    let (mut queue, ticket, mut forward) = one_job_forwarded();
    let call = queue.take_held(&ticket, 600);
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        queue.refuse(&forward);
        // A report does not end the quarantine.
        queue.report("a", linux(1, &[1]));
        queue.advance(pause - 1);
        queue.report("a", linux(1, &[1]));
        queue.assert_no_effects();
        assert!(queue.advance_until_effect() <= 1 + pause.div_ceil(4));
        forward = queue.expect_forward("job", "a");
    }
    queue.grant(&forward, &[1]);
    assert_eq!(queue.expect_runners(call), [1]);
    // A grant ends the series of failures.
    queue.report("a", linux(1, &[2]));
    queue.enqueue("other", "linux", 1);
    let forward = queue.expect_forward("other", "a");
    queue.refuse(&forward);
    queue.advance_by_backoff(1);
    queue.expect_forward("other", "a");
}

#[test]
fn a_quarantine_does_not_concern_runners_that_become_idle_later() {
    let mut queue = one_server(2, &[1]);
    queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.refuse(&forward);
    queue.report("a", linux(2, &[1, 2]));
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[2]);
}

#[test]
fn after_a_refusal_another_server_is_asked_at_once() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[1, 2]));
    queue.report("b", linux(1, &[3]));
    queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.refuse(&forward);
    queue.expect_forward("job", "b");
}

#[test]
fn a_server_that_always_refuses_blocks_no_job() {
    let mut queue = TestQueue::with(&["honest", "liar"]);
    queue.report("liar", linux(9, &[1, 2, 3]));
    queue.report("honest", linux(9, &[]));
    for job in 0..5 {
        let name = format!("job-{job}");
        let ticket = queue.enqueue(&name, "linux", 1);
        if job == 0 {
            let forward = queue.expect_forward(&name, "liar");
            queue.refuse(&forward);
        }
        let runner = 10 + job;
        queue.report("honest", linux(9, &[runner]));
        let forward = queue.expect_forward(&name, "honest");
        queue.grant(&forward, &[runner]);
        assert_eq!(queue.take_runners(&ticket), [runner]);
    }
}

#[test]
fn no_server_is_asked_for_more_runners_than_are_idle() {
    let mut queue = one_server(3, &[1, 2]);
    queue.enqueue("first", "linux", 1);
    let first = queue.expect_forward("first", "a");
    queue.enqueue("second", "linux", 1);
    let second = queue.expect_forward("second", "a");
    queue.enqueue("third", "linux", 1);
    queue.assert_no_effects();
    // The report is from before the grants.
    queue.grant(&first, &[1]);
    queue.grant(&second, &[2]);
    queue.report("a", linux(3, &[1, 2]));
    queue.assert_no_effects();
    queue.report("a", linux(3, &[3]));
    queue.expect_forward("third", "a");
}

#[test]
fn a_runner_is_assigned_once_a_grant_tells_that_another_one_was_requested() {
    let mut queue = one_server(2, &[1, 2]);
    queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    // The report overtakes the answer to the take: the server then seems to have one idle runner less
    // than it has.
    queue.report("a", linux(2, &[2]).holds("first", &[1], &forward));
    queue.enqueue("second", "linux", 1);
    queue.assert_no_effects();
    queue.grant(&forward, &[1]);
    queue.expect_forward("second", "a");
}

#[test]
fn a_runner_is_assigned_once_a_late_grant_tells_that_another_one_was_requested() {
    let mut queue = one_server(2, &[1, 2]);
    let first = queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    queue.withdraw(&first);
    let release = queue.expect_release("first", "a");
    queue.report("a", linux(2, &[2]).holds("first", &[1], &forward));
    queue.confirm(&release);
    queue.enqueue("second", "linux", 1);
    queue.assert_no_effects();
    queue.grant(&forward, &[1]);
    queue.expect_forward("second", "a");
}

#[test]
fn a_forward_to_an_unreachable_server_leaves_nothing_behind() {
    let mut queue = one_server(1, &[1]);
    queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.become_unreachable("a");
    queue.end_forward(&forward, ForwardOutcome::Refused(String::new()));
    queue.report("a", linux(1, &[1]));
    queue.advance_by_backoff(1);
    queue.expect_forward("job", "a");
}
