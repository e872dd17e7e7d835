//! Runners that were given to a job: to no other, and for as long as their server says so.

use super::harness::{TestQueue, linux, one_job_delivered, one_job_forwarded, one_server};

#[test]
fn a_runner_that_was_granted_is_not_idle_whatever_an_older_report_says() {
    let mut queue = one_server(2, &[1]);
    queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    queue.grant(&forward, &[1]);
    queue.enqueue("second", "linux", 1);
    queue.report("a", linux(2, &[1]));
    queue.assert_no_effects();
    queue.report("a", linux(2, &[1, 2]));
    queue.expect_forward("second", "a");
}

#[test]
fn a_runner_that_was_given_to_one_job_is_not_given_to_another() {
    // An older monitor that looks at a list that lags gives the same runner twice.
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(2, &[1, 2]).of_older_monitor());
    let first = queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    queue.grant(&forward, &[1]);
    let second = queue.enqueue("second", "linux", 1);
    let forward = queue.expect_forward("second", "a");
    queue.grant(&forward, &[1]);
    queue.expect_release("second", "a");
    assert_eq!(queue.take_runners(&first), [1]);
    queue.assert_waiting(&second);
}

#[test]
fn a_gang_is_not_given_the_same_runner_twice() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(4, &[1, 2, 3, 4]));
    queue.report("b", linux(1, &[1]));
    // Numbers are a server's own: runner 1 of another server is another runner.
    let gang = queue.enqueue("gang", "linux", 5);
    let at_a = queue.expect_forward("gang", "a");
    let at_b = queue.expect_forward("gang", "b");
    queue.grant(&at_b, &[1]);
    queue.grant(&at_a, &[1, 2, 3, 4]);
    assert_eq!(queue.take_runners(&gang), [1, 2, 3, 4, 1]);

    let mut queue = one_server(2, &[1, 2]);
    queue.enqueue("gang", "linux", 2);
    let forward = queue.expect_forward("gang", "a");
    queue.grant(&forward, &[1, 1]);
    queue.expect_release("gang", "a");
}

#[test]
fn a_runner_of_a_gang_that_is_not_complete_yet_is_not_given_to_another() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(3, &[1, 2, 3]));
    queue.report("b", linux(1, &[1]));
    queue.enqueue("gang", "linux", 4);
    let at_a = queue.expect_forward("gang", "a");
    queue.expect_forward("gang", "b");
    queue.grant(&at_a, &[1, 2, 3]);
    queue.enqueue("single", "linux", 1);
    queue.report("a", linux(4, &[4]).holds("gang", &[1, 2, 3], &at_a));
    let forward = queue.expect_forward("single", "a");
    queue.grant(&forward, &[3]);
    queue.expect_release("single", "a");
}

#[test]
fn a_job_whose_runners_are_used_and_gone_is_over() {
    let (mut queue, ticket, forward) = one_job_delivered();
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    queue.advance(60);
    queue.report("a", linux(1, &[]).runs("job", &[1], &forward));
    assert_eq!(queue.take_runners(&ticket), [1]);
    queue.report("a", linux(1, &[2]).has_finished("job", &[1], &forward));
    queue.assert_unknown(&ticket);
    assert_eq!(queue.core.jobs().count(), 0);
}

#[test]
fn a_job_that_turns_out_to_have_run_before_its_client_was_told_is_over() {
    let (mut queue, ticket, forward) = one_job_forwarded();
    queue.grant(&forward, &[1]);
    queue.report("a", linux(1, &[]).has_finished("job", &[1], &forward));
    queue.assert_unknown(&ticket);
}

#[test]
fn what_a_report_does_not_mention_is_not_gone_if_it_came_about_later() {
    let (mut queue, ticket, forward) = one_job_forwarded();
    queue.advance(5);
    queue.grant(&forward, &[1]);
    queue.report("a", linux(1, &[1]));
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    assert_eq!(queue.take_runners(&ticket), [1]);
}

#[test]
fn what_a_report_did_not_mention_is_gone_once_the_server_says_that_this_still_holds() {
    let (mut queue, ticket, forward) = one_job_forwarded();
    queue.grant(&forward, &[1]);
    // Asked before the runner was granted, answered after it had died.
    queue.report("a", linux(1, &[]));
    queue.advance(1);
    queue.assert_waiting(&ticket);
}

#[test]
fn a_gang_whose_first_runner_died_before_the_last_was_granted_starts_anew() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    queue.report("b", linux(1, &[2]));
    let ticket = queue.enqueue("gang", "linux", 2);
    let at_a = queue.expect_forward("gang", "a");
    let at_b = queue.expect_forward("gang", "b");
    let call = queue.take_held(&ticket, 60);
    queue.grant(&at_a, &[1]);
    queue.advance(1);
    queue.report("a", linux(1, &[]));
    queue.grant(&at_b, &[2]);
    let release = queue.expect_release("gang", "b");
    queue.confirm(&release);
    queue.report("a", linux(1, &[3]));
    let at_a = queue.expect_forward("gang", "a");
    let at_b = queue.expect_forward("gang", "b");
    queue.grant(&at_a, &[3]);
    queue.grant(&at_b, &[2]);
    assert_eq!(queue.expect_runners(call), [3, 2]);
}

#[test]
fn an_older_monitor_is_taken_to_have_served_a_job_whose_runner_is_gone() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(1, &[1]).of_older_monitor());
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);
    queue.advance(1);
    queue.report("a", linux(1, &[]).and_runners(&[1]).of_older_monitor());
    queue.advance(60);
    assert_eq!(queue.take_runners(&ticket), [1]);
    queue.report("a", linux(1, &[2]).of_older_monitor());
    queue.assert_unknown(&ticket);
}

#[test]
fn a_late_confirmation_does_not_take_a_runner_from_who_has_it_now() {
    let mut queue = one_server(2, &[1]);
    let first = queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    queue.grant(&forward, &[1]);
    queue.withdraw(&first);
    let release = queue.expect_release("first", "a");
    // The release has been carried out, and its confirmation is on its way.
    queue.report("a", linux(2, &[]));
    queue.report("a", linux(2, &[1]));
    queue.enqueue("second", "linux", 1);
    let forward = queue.expect_forward("second", "a");
    queue.grant(&forward, &[1]);
    // The last report still shows it as idle.
    queue.confirm(&release);
    queue.enqueue("third", "linux", 1);
}
