//! Servers that refuse the API token: their runners are not assigned, and not shown as idle.

use super::harness::{TestQueue, linux, one_server, request};
use crate::{ForwardOutcome, Health, Input, WaitReason};

fn refuse_token(queue: &mut TestQueue, server: &str, by_poll: bool) {
    let server = queue.server(server);
    queue.handle(Input::TokenRefused { server, by_poll });
}

fn shown_idle(queue: &TestQueue) -> (usize, usize) {
    let view = queue.core.view(queue.now);
    (view.profiles[0].idle, view.servers[0].profiles[0].idle)
}

#[test]
fn a_server_that_refuses_the_token_in_a_take_is_asked_again_after_a_growing_pause() {
    let mut queue = one_server(1, &[1]);
    assert_eq!(shown_idle(&queue), (1, 1));
    let ticket = queue.enqueue("job", "linux", 1);
    let mut forward = queue.expect_forward("job", "a");
    let held = queue.take_held(&ticket, 600);
    for pause in [5, 10, 20, 40, 60, 60] {
        queue.end_forward(&forward, ForwardOutcome::TokenRefused);
        assert_eq!(
            queue.core.fleet().health(0, queue.now),
            Health::Unauthorised
        );
        assert_eq!(shown_idle(&queue), (0, 0));
        let job = queue.core.jobs().next().unwrap();
        assert_eq!(
            queue.core.wait_reason(queue.now, job),
            WaitReason::TokenRefused
        );
        queue.advance_by_backoff(pause);
        forward = queue.expect_forward("job", "a");
    }
    // It is still shown as refusing while it is asked.
    assert_eq!(
        queue.core.fleet().health(0, queue.now),
        Health::Unauthorised
    );
    queue.grant(&forward, &[1]);
    assert_eq!(queue.expect_runners(held), [1]);
    assert_eq!(queue.core.fleet().health(0, queue.now), Health::Fresh);
}

#[test]
fn a_refusal_for_want_of_runners_shows_that_the_token_is_accepted() {
    let mut queue = one_server(1, &[1]);
    queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.end_forward(&forward, ForwardOutcome::TokenRefused);
    queue.advance_by_backoff(5);
    let forward = queue.expect_forward("job", "a");
    queue.refuse(&forward);
    assert_eq!(queue.core.fleet().health(0, queue.now), Health::Fresh);
    queue.advance_by_backoff(1);
    queue.expect_forward("job", "a");
}

#[test]
fn a_monitor_that_checks_the_token_in_polls_is_used_once_it_answers_one() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    queue.report("b", linux(1, &[]));
    let server = queue.stop_answering("a");
    refuse_token(&mut queue, "a", true);
    queue.enqueue("job", "linux", 1);
    queue.advance(4);
    queue.handle(Input::Unchanged {
        server,
        // The poll was sent before the refusal.
        asked_at: queue.now - std::time::Duration::from_secs(6),
    });
    queue.assert_no_effects();
    queue.report("a", linux(1, &[1]));
    queue.expect_forward("job", "a");
}

#[test]
fn an_older_monitor_that_answers_a_poll_has_not_accepted_the_token() {
    let mut queue = one_server(1, &[1]);
    refuse_token(&mut queue, "a", false);
    queue.report("a", linux(1, &[1]).of_older_monitor());
    assert_eq!(
        queue.core.fleet().health(0, queue.now),
        Health::Unauthorised
    );
    queue.enqueue("job", "linux", 1);
    queue.advance_by_backoff(5);
    queue.expect_forward("job", "a");
}

#[test]
fn while_one_server_refuses_the_token_jobs_get_the_runners_of_others() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    queue.report("b", linux(1, &[2]));
    refuse_token(&mut queue, "a", false);
    queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "b");
    queue.grant(&forward, &[2]);
    // A job that needs both does not block others, and is accepted: the token will be corrected.
    queue.enqueue("both", "linux", 2);
    queue.enqueue("other", "linux", 1);
    queue.report("b", linux(1, &[3]));
    queue.expect_forward("other", "b");
    assert!(queue.try_enqueue(request("third", "linux", 3)).is_err());
}

/// Some monitors check the token in takes only, so that an answered poll shows nothing.
#[test]
fn a_refusal_is_shown_until_a_minute_has_passed_in_which_a_job_would_have_shown_another_one() {
    let mut queue = one_server(1, &[1]);
    refuse_token(&mut queue, "a", false);
    let mut health_after = |seconds| {
        queue.advance(seconds);
        queue.report("a", linux(1, &[1]));
        queue.core.fleet().health(0, queue.now)
    };
    assert_eq!(health_after(60), Health::Unauthorised);
    assert_eq!(health_after(10), Health::Fresh);
}
