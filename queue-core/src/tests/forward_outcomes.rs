//! A job is asked for at a server: granted, refused, nobody knows, too late.

use super::harness::{TestQueue, linux, one_job_forwarded, one_job_waiting, one_server};
use crate::ForwardOutcome;

#[test]
fn a_job_keeps_its_place_while_it_is_forwarded_and_when_it_is_refused() {
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
fn a_held_take_is_answered_when_the_server_grants() {
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
fn an_answer_that_is_lost_is_released_and_another_server_is_asked_at_once() {
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
fn a_server_that_does_not_answer_in_time_counts_as_one_whose_answer_was_lost() {
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
    // What arrives after all is too late, whatever it says; only the release counts.
    queue.grant(&forward, &[1]);
    queue.lose_answer(&forward);
    queue.refuse(&forward);
    queue.grant(&again, &[2]);
    assert_eq!(queue.take_runners(&ticket), [2]);
    queue.confirm(&release);
    queue.advance(60);
}

#[test]
fn fewer_or_more_runners_than_asked_for_are_as_good_as_none() {
    for runners in [&[1][..], &[1, 2, 3], &[]] {
        let mut queue = one_server(4, &[1, 2, 3]);
        let ticket = queue.enqueue("gang", "linux", 2);
        let forward = queue.expect_forward("gang", "a");
        queue.grant(&forward, runners);
        let release = queue.expect_release("gang", "a");
        queue.assert_waiting(&ticket);
        queue.confirm(&release);
        // Of these only the new one is trusted at first, and it is not enough.
        queue.report("a", linux(4, &[1, 2, 3, 4]));
        queue.advance_by_backoff(1);
        queue.expect_forward("gang", "a");
    }
}

#[test]
fn a_server_that_owes_a_release_is_asked_for_others_only() {
    let mut queue = one_server(2, &[1, 2]);
    queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    queue.enqueue("second", "linux", 1);
    let second = queue.expect_forward("second", "a");
    queue.enqueue("third", "linux", 1);
    queue.lose_answer(&forward);
    let release = queue.expect_release("first", "a");
    queue.lose_release(&release);
    // Older than the server's trouble, and so no sign that it is over.
    queue.report("a", linux(4, &[1, 2, 3, 4]).asked_seconds_ago(1));
    queue.assert_no_effects();
    queue.report("a", linux(4, &[1, 2, 3, 4]));
    // Now that the server answers again it is reminded at once.
    let reminder = queue.expect_release("first", "a");
    assert_eq!(reminder, release);
    queue.expect_forward("third", "a");
    queue.grant(&second, &[1]);
    queue.confirm(&reminder);
    queue.expect_forward("first", "a");
}

#[test]
fn a_release_is_repeated_ever_more_slowly_until_it_is_confirmed() {
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
fn a_runner_that_shows_as_idle_and_cannot_be_had_is_asked_for_ever_more_rarely() {
    let (mut queue, ticket, mut forward) = one_job_forwarded();
    let call = queue.take_held(&ticket, 600);
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        queue.refuse(&forward);
        // However often the server says so.
        queue.report("a", linux(1, &[1]));
        queue.advance(pause - 1);
        queue.report("a", linux(1, &[1]));
        queue.assert_no_effects();
        assert!(queue.advance_until_effect() <= 1 + pause.div_ceil(4));
        forward = queue.expect_forward("job", "a");
    }
    queue.grant(&forward, &[1]);
    assert_eq!(queue.expect_runners(call), [1]);
    // Whoever has given a runner is trusted again.
    queue.report("a", linux(1, &[2]));
    queue.enqueue("other", "linux", 1);
    let forward = queue.expect_forward("other", "a");
    queue.refuse(&forward);
    queue.advance_by_backoff(1);
    queue.expect_forward("other", "a");
}

#[test]
fn of_a_server_that_refused_other_runners_are_asked_for_at_once() {
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
fn one_server_that_never_gives_anything_stops_nobody() {
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
fn no_server_is_asked_for_more_than_it_has_left() {
    let mut queue = one_server(3, &[1, 2]);
    queue.enqueue("first", "linux", 1);
    let first = queue.expect_forward("first", "a");
    queue.enqueue("second", "linux", 1);
    let second = queue.expect_forward("second", "a");
    queue.enqueue("third", "linux", 1);
    queue.assert_no_effects();
    // An old report still shows what has been granted meanwhile.
    queue.grant(&first, &[1]);
    queue.grant(&second, &[2]);
    queue.report("a", linux(3, &[1, 2]));
    queue.assert_no_effects();
    queue.report("a", linux(3, &[3]));
    queue.expect_forward("third", "a");
}

#[test]
fn a_runner_is_given_out_as_soon_as_it_is_clear_that_the_last_one_was_another() {
    let mut queue = one_server(2, &[1, 2]);
    queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    // The report overtakes the answer to the take, as it may: the server then seems to have one
    // runner less than it has.
    queue.report("a", linux(2, &[2]).holds("first", &[1], &forward));
    queue.enqueue("second", "linux", 1);
    queue.assert_no_effects();
    queue.grant(&forward, &[1]);
    queue.expect_forward("second", "a");
}

#[test]
fn a_runner_is_given_out_as_soon_as_a_late_answer_says_that_the_last_one_was_another() {
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
fn a_failed_forward_to_a_server_that_cannot_be_reached_leaves_nothing_behind() {
    let mut queue = one_server(1, &[1]);
    queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.become_unreachable("a");
    queue.end_forward(&forward, ForwardOutcome::Refused);
    queue.report("a", linux(1, &[1]));
    queue.advance_by_backoff(1);
    queue.expect_forward("job", "a");
}
