//! How long reports are used, and what happens when a server does not answer.

use super::harness::{
    MadeBy, TestQueue, linux, no_profiles, not_ready, one_job_forwarded, one_server, request,
};

#[test]
fn a_report_is_used_for_fifteen_seconds() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("b", linux(1, &[]));
    queue.report("a", linux(1, &[1]));
    queue.stop_answering("a");
    queue.advance(15);
    assert_eq!(queue.core.view(queue.now).servers[0].health, "fresh");
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
fn a_confirmed_report_is_as_fresh_as_a_repeated_one() {
    let mut queue = one_server(1, &[1]);
    queue.advance(300);
    queue.enqueue("job", "linux", 1);
    queue.expect_forward("job", "a");
}

#[test]
fn a_confirmation_without_a_report_is_ignored() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report_unchanged("a");
    assert_eq!(
        queue.try_enqueue(request("job", "linux", 1)),
        Err(not_ready(
            "a does not answer (not seen since the queue started)"
        ))
    );
}

#[test]
fn a_server_is_asked_for_runners_again_once_it_reports_again() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    queue.report("b", linux(1, &[]));
    queue.become_unreachable("a");
    let ticket = queue.enqueue("job", "linux", 1);
    queue.take_held(&ticket, 60);
    queue.advance(5);
    queue.assert_no_effects();
    // The poll was sent before the failure.
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
fn pending_releases_are_sent_at_once_to_a_server_that_answers_again() {
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
fn absurd_reports_do_no_harm() {
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

#[test]
fn a_server_may_be_asked_for_a_job_unless_it_has_refused_it() {
    let (mut queue, _, forward) = one_job_forwarded();
    let unique_id = &forward.request.spec.unique_id;
    assert!(queue.core.can_forward(queue.now, forward.server, unique_id));
    queue.refuse_this_job(&forward);
    assert!(!queue.core.can_forward(queue.now, forward.server, unique_id));
}

#[test]
fn each_server_has_one_timer_for_the_age_of_its_report() {
    let mut queue = one_server(1, &[1]);
    let before = queue.core.state.timers.count();
    for _ in 0..10 {
        queue.advance(1);
        queue.report("a", linux(1, &[1]));
    }
    assert_eq!(queue.core.state.timers.count(), before);
}

#[test]
fn a_server_is_not_expected_to_return_once_it_has_not_answered_for_more_than_an_hour() {
    let mut queue = TestQueue::starting(&["a"]);
    queue.advance(3600);
    assert!(queue.core.fleet().uncertain(queue.now).next().is_some());
    queue.advance(1);
    assert!(queue.core.fleet().uncertain(queue.now).next().is_none());
}
