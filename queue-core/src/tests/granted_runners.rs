//! Granted runners: they belong to one job, until a report shows that the grant has ended.

use super::harness::{TestQueue, linux, one_job_delivered, one_job_forwarded, one_server};

#[test]
fn a_granted_runner_is_not_idle_whatever_an_older_report_shows() {
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
fn a_runner_that_was_granted_to_one_job_is_not_accepted_for_another() {
    // Older monitors do that when GitHub's list of runners lags.
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
fn a_grant_that_lists_a_runner_twice_is_not_accepted() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(4, &[1, 2, 3, 4]));
    queue.report("b", linux(1, &[1]));
    // Runner ids are per server: runner 1 of another server is another runner.
    let large = queue.enqueue("large", "linux", 5);
    let at_a = queue.expect_forward("large", "a");
    let at_b = queue.expect_forward("large", "b");
    queue.grant(&at_b, &[1]);
    queue.grant(&at_a, &[1, 2, 3, 4]);
    assert_eq!(queue.take_runners(&large), [1, 2, 3, 4, 1]);

    let mut queue = one_server(2, &[1, 2]);
    queue.enqueue("large", "linux", 2);
    let forward = queue.expect_forward("large", "a");
    queue.grant(&forward, &[1, 1]);
    queue.expect_release("large", "a");
}

#[test]
fn a_runner_of_a_partly_granted_job_is_not_accepted_for_another() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(3, &[1, 2, 3]));
    queue.report("b", linux(1, &[1]));
    queue.enqueue("large", "linux", 4);
    let at_a = queue.expect_forward("large", "a");
    queue.expect_forward("large", "b");
    queue.grant(&at_a, &[1, 2, 3]);
    queue.enqueue("single", "linux", 1);
    queue.report("a", linux(4, &[4]).holds("large", &[1, 2, 3], &at_a));
    let forward = queue.expect_forward("single", "a");
    queue.grant(&forward, &[3]);
    queue.expect_release("single", "a");
}

#[test]
fn a_job_whose_runners_are_used_and_gone_is_finished() {
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
fn a_job_that_ran_before_delivery_is_finished() {
    let (mut queue, ticket, forward) = one_job_forwarded();
    queue.grant(&forward, &[1]);
    queue.report("a", linux(1, &[]).has_finished("job", &[1], &forward));
    queue.assert_unknown(&ticket);
}

#[test]
fn a_grant_that_is_newer_than_a_report_has_not_ended() {
    let (mut queue, ticket, forward) = one_job_forwarded();
    queue.advance(5);
    queue.grant(&forward, &[1]);
    queue.report("a", linux(1, &[1]));
    queue.report("a", linux(1, &[]).holds("job", &[1], &forward));
    assert_eq!(queue.take_runners(&ticket), [1]);
}

#[test]
fn a_grant_that_is_missing_in_a_report_ends_once_the_report_is_confirmed() {
    let (mut queue, ticket, forward) = one_job_forwarded();
    queue.grant(&forward, &[1]);
    // The poll was sent before the grant, and answered after the runner had died.
    queue.report("a", linux(1, &[]));
    queue.advance(1);
    queue.assert_waiting(&ticket);
}

#[test]
fn a_job_whose_first_runner_died_before_the_last_grant_waits_again() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    queue.report("b", linux(1, &[2]));
    let ticket = queue.enqueue("large", "linux", 2);
    let at_a = queue.expect_forward("large", "a");
    let at_b = queue.expect_forward("large", "b");
    let call = queue.take_held(&ticket, 60);
    queue.grant(&at_a, &[1]);
    queue.advance(1);
    queue.report("a", linux(1, &[]));
    queue.grant(&at_b, &[2]);
    let release = queue.expect_release("large", "b");
    queue.confirm(&release);
    queue.report("a", linux(1, &[3]));
    let at_a = queue.expect_forward("large", "a");
    let at_b = queue.expect_forward("large", "b");
    queue.grant(&at_a, &[3]);
    queue.grant(&at_b, &[2]);
    assert_eq!(queue.expect_runners(call), [3, 2]);
}

#[test]
fn at_an_older_monitor_a_job_whose_runner_is_gone_is_finished() {
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
fn a_late_confirmation_does_not_make_a_granted_runner_idle() {
    let mut queue = one_server(2, &[1]);
    let first = queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    queue.grant(&forward, &[1]);
    queue.withdraw(&first);
    let release = queue.expect_release("first", "a");
    // The release has been performed, and its confirmation is under way.
    queue.report("a", linux(2, &[]));
    queue.report("a", linux(2, &[1]));
    queue.enqueue("second", "linux", 1);
    let forward = queue.expect_forward("second", "a");
    queue.grant(&forward, &[1]);
    // The last report still shows the runner as idle.
    queue.confirm(&release);
    queue.enqueue("third", "linux", 1);
}

#[test]
fn a_runner_that_was_released_by_hand_is_given_to_the_next_job() {
    for is_delivered in [false, true] {
        let mut queue = one_server(1, &[1]);
        let first = queue.enqueue("first", "linux", 1);
        let forward = queue.expect_forward("first", "a");
        queue.grant(&forward, &[1]);
        if is_delivered {
            assert_eq!(queue.take_runners(&first), [1]);
        }
        queue.enqueue("second", "linux", 1);
        queue.advance(1);
        // The reservation is gone, and the runner is idle.
        queue.report("a", linux(1, &[1]));
        // Its client may not know its runners, so the job waits again, before the other.
        let next = if is_delivered { "second" } else { "first" };
        queue.expect_forward(next, "a");
    }
}

#[test]
fn a_granted_runner_that_its_reservation_holds_is_not_idle_even_if_it_is_listed_so() {
    let mut queue = one_server(1, &[1]);
    let first = queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&first), [1]);
    queue.enqueue("second", "linux", 1);
    queue.report("a", linux(1, &[1]).holds("first", &[1], &forward));
    queue.advance(5);
    queue.assert_no_effects();
}

#[test]
fn a_grant_with_a_label_that_cannot_be_its_own_is_not_accepted_and_is_a_problem() {
    let longest = "l".repeat(256);
    let too_long = "l".repeat(257);
    for (label, is_accepted) in [
        ("runner:1", true),
        ("\u{e4} label", true),
        (longest.as_str(), true),
        ("reserved-for:second", true),
        ("Reserved-For:SECOND", true),
        ("", false),
        (too_long.as_str(), false),
        ("a,b", false),
        (" a", false),
        ("a\nb", false),
        ("a\u{0}", false),
        ("a\u{202e}b", false),
        ("a\u{2028}b", false),
        ("reserved-for:first", false),
        ("reserved-for:", false),
        // The label of another job's runner, on whatever server.
        ("of-first", false),
        ("OF-First", false),
    ] {
        let mut queue = TestQueue::with(&["a", "b"]);
        queue.report("a", linux(1, &[1]));
        queue.enqueue("first", "linux", 1);
        let forward = queue.expect_forward("first", "a");
        queue.grant_labelled(&forward, &[(1, "of-first")]);
        let second = queue.enqueue("second", "linux", 1);
        queue.report("a", linux(1, &[]).holds("first", &[1], &forward));
        queue.report("b", linux(1, &[1]));
        let forward = queue.expect_forward("second", "b");
        queue.grant_labelled(&forward, &[(1, label)]);
        let codes = queue.core.problems(queue.now).into_iter().map(|it| it.code);
        let is_problem = codes
            .into_iter()
            .any(|it| it == "server_grants_invalid_labels");
        assert_eq!(is_problem, !is_accepted, "{label:?}");
        if is_accepted {
            assert_eq!(queue.take_runners(&second), [1], "{label:?}");
        } else {
            queue.expect_release("second", "b");
            queue.assert_waiting(&second);
        }
    }
}

#[test]
fn two_runners_of_a_job_have_one_label_only_if_it_is_that_of_the_reservation() {
    for (labels, is_accepted) in [
        (["x", "y"], true),
        (["reserved-for:large"; 2], true),
        (["x"; 2], false),
        (["x", "X"], false),
    ] {
        let mut queue = one_server(2, &[1, 2]);
        let large = queue.enqueue("large", "linux", 2);
        let forward = queue.expect_forward("large", "a");
        queue.grant_labelled(&forward, &[(1, labels[0]), (2, labels[1])]);
        if is_accepted {
            assert_eq!(queue.take_runners(&large), [1, 2]);
        } else {
            queue.expect_release("large", "a");
        }
    }
}

#[test]
fn the_problem_of_a_server_that_granted_an_invalid_label_ends_with_a_valid_one() {
    let mut queue = one_server(2, &[1]);
    queue.enqueue("first", "linux", 1);
    let forward = queue.expect_forward("first", "a");
    queue.grant_labelled(&forward, &[(1, "a,b")]);
    let release = queue.expect_release("first", "a");
    queue.confirm(&release);
    queue.report("a", linux(2, &[1, 2]));
    let forward = queue.expect_forward("first", "a");
    assert_eq!(queue.core.problems(queue.now).len(), 1);
    queue.grant_labelled(&forward, &[(2, "x")]);
    assert!(queue.core.problems(queue.now).is_empty());
}
