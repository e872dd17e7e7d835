//! Reservations that another queue made, or this one before its restart, and may have delivered.
//! A server keeps a reservation until every queue that was granted it has released it, so this queue
//! releases only its own part.

use super::harness::{MadeBy, TestQueue, linux, no_profiles, one_job_waiting, one_server};
use crate::{Forward, TicketContent};

/// A job that was granted runner 1 of `a` before the queue was restarted.
fn job_granted_before_restart() -> (TestQueue, TicketContent, Forward) {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    let ticket = queue.enqueue("job", "linux", 1);
    let before = queue.expect_forward("job", "a");
    queue.grant(&before, &[1]);
    queue.restart();
    queue.report("a", linux(1, &[]).holds("job", &[1], &before));
    (queue, ticket, before)
}

/// The same, and the queue is adopting the runner.
fn adopting() -> (TestQueue, TicketContent, Forward) {
    let (mut queue, ticket, _) = job_granted_before_restart();
    queue.assert_waiting(&ticket);
    let forward = queue.expect_forward("job", "a");
    (queue, ticket, forward)
}

#[test]
fn an_adopted_reservation_is_released_when_its_client_falls_silent() {
    let (mut queue, ticket, forward) = adopting();
    queue.grant(&forward, &[1]);
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    queue.advance(30);
    let release = queue.expect_release("job", "a");
    assert_eq!(release.token, forward.token);
    queue.confirm(&release);
    queue.assert_unknown(&ticket);
}

#[test]
fn a_reservation_that_was_not_adopted_yet_is_destroyed_when_its_job_is_withdrawn() {
    let (mut queue, ticket, before) = job_granted_before_restart();
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
fn a_partial_reservation_is_destroyed_when_its_job_is_withdrawn() {
    let mut queue = one_server(2, &[]);
    let large = queue.enqueue("large", "linux", 2);
    queue.restart();
    queue.report("a", linux(2, &[]).holds("large", &[1], &large));
    for is_back_in_line in [false, true] {
        if is_back_in_line {
            queue.restart();
            queue.report("a", linux(2, &[]).holds("large", &[1], &large));
            queue.assert_waiting(&large);
        }
        queue.withdraw(&large);
        let release = queue.expect_destruction("large", "a");
        queue.confirm(&release);
    }
}

#[test]
fn withdrawing_an_unknown_job_forwards_nothing() {
    let (mut queue, ticket) = one_job_waiting();
    queue.restart();
    queue.end_startup_grace();
    queue.report("a", linux(1, &[1]));
    queue.withdraw(&ticket);
    queue.assert_unknown(&ticket);
}

#[test]
fn a_server_with_a_partial_reservation_is_not_asked_for_the_job() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(4, &[]));
    queue.report("b", linux(4, &[]));
    let large = queue.enqueue("large", "linux", 3);
    let single = queue.enqueue("single", "linux", 1);
    queue.restart();
    queue.report("a", linux(4, &[3]).holds("large", &[1, 2], &large));
    queue.report("b", linux(4, &[5, 6]));
    let calls = [queue.take_held(&large, 60), queue.take_held(&single, 60)];
    // The job cannot be assigned while that part is reserved, so the jobs behind it are.
    queue.end_startup_grace();
    let forward = queue.expect_forward("single", "b");
    queue.grant(&forward, &[5]);
    assert_eq!(queue.expect_runners(calls[1]), [5]);
    queue.report("b", linux(4, &[6, 7, 8]).holds("single", &[5], &forward));
    assert_eq!(queue.expect_forward("large", "b").count.get(), 3);
}

#[test]
fn adoption_is_repeated_with_a_pause_when_its_answer_is_lost() {
    let (mut queue, ticket, mut forward) = adopting();
    let call = queue.take_held(&ticket, 60);
    for _ in 0..3 {
        queue.lose_answer(&forward);
        let release = queue.expect_release("job", "a");
        assert_eq!(release.token, forward.token);
        let held = linux(1, &[]).holds("job", &[1], &forward);
        queue.report("a", held.clone());
        // The pending release is sent as soon as the server answers again.
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
fn a_job_whose_reservation_is_on_an_unreachable_server_is_assigned_elsewhere() {
    let (mut queue, ticket, forward) = adopting();
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
fn a_server_that_refuses_a_reservation_it_reports_is_asked_again_after_a_pause() {
    let (mut queue, ticket, mut forward) = adopting();
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
fn a_reservation_that_its_server_refuses_to_assign_is_adopted_again_only_after_its_next_report() {
    let (mut queue, ticket, forward) = adopting();
    queue.refuse(&forward);
    queue.take_held(&ticket, 60);
    queue.advance(59);
    queue.assert_no_effects();
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    queue.expect_forward("job", "a");
}

#[test]
fn a_server_that_refuses_a_reservation_it_reports_is_asked_for_its_idle_runners() {
    let (mut queue, ticket, forward) = adopting();
    queue.assert_waiting(&ticket);
    queue.end_startup_grace();
    queue.report("a", linux(2, &[2]).holds("job", &[1], &forward));
    queue.refuse(&forward);
    queue.enqueue("other", "linux", 1);
    queue.expect_forward("other", "a");
}

#[test]
fn a_reservation_is_adopted_when_its_server_answers_again_without_a_change() {
    let (mut queue, ticket, _) = job_granted_before_restart();
    queue.stop_answering("a");
    queue.advance(16);
    queue.take_held(&ticket, 60);
    queue.assert_no_effects();
    queue.report_unchanged("a");
    queue.expect_forward("job", "a");
}

#[test]
fn a_reservation_for_an_unknown_job_is_ignored() {
    let mut queue = TestQueue::with(&["a"]);
    let other = MadeBy::queue_at(queue.now);
    queue.report("a", linux(1, &[]).holds("other", &[1], other));
    queue.report("a", no_profiles().has_finished("other", &[1], other));
}

#[test]
fn of_two_complete_reservations_one_is_adopted() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("b", linux(2, &[]));
    let large = queue.enqueue("large", "linux", 2);
    queue.restart();
    queue.report("a", linux(2, &[]).holds("large", &[1, 2], &large));
    queue.report("b", linux(2, &[]).holds("large", &[3, 4], &large));
    queue.assert_waiting(&large);
    let forward = queue.expect_forward("large", "a");
    assert_eq!(forward.count.get(), 2);
    queue.grant(&forward, &[1, 2]);
    assert_eq!(queue.take_runners(&large), [1, 2]);
}

#[test]
fn a_reservation_without_a_proof_counts_against_capacity_and_changes_nothing_else() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[]));
    queue.report("b", linux(1, &[]));
    let ticket = queue.enqueue("job", "linux", 1);
    let report = |state: &str| {
        let by = MadeBy::queue_at(ticket.enqueued_at);
        match state {
            "held" => linux(1, &[]).holds("job", &[1], by),
            "used" => linux(1, &[]).runs("job", &[1], by),
            _ => linux(1, &[]).has_finished("job", &[1], by),
        }
    };
    for state in ["held", "used", "finished"] {
        queue.report("a", report(state).without_proof());
        queue.assert_no_effects();
        queue.assert_waiting(&ticket);
        // Nor does one that another server was asked for.
        queue.report("a", report(state).proven_for(1));
        queue.assert_no_effects();
        queue.assert_waiting(&ticket);
    }
    // Withdrawing the job releases nothing there.
    queue.withdraw(&ticket);
}

#[test]
fn a_grant_of_this_queue_needs_no_proof() {
    let mut queue = one_server(1, &[1]);
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);
    let report = linux(1, &[]).holds("job", &[1], &forward);
    queue.report("a", report.without_proof());
    queue.advance(1);
    assert_eq!(queue.take_runners(&ticket), [1]);
    let report = linux(1, &[]).has_finished("job", &[1], &forward);
    queue.report("a", report.without_proof());
    queue.assert_unknown(&ticket);
}
