//! One monitor under several URLs.

use super::harness::{ReportBuilder, TestQueue, linux, one_server};
use crate::Guest;

fn target_and_idle(queue: &TestQueue) -> (usize, usize) {
    let view = queue.core.view(queue.now);
    (view.profiles[0].target, view.profiles[0].idle)
}

fn guest(id: u64, name: &str) -> Guest {
    Guest {
        id,
        created_time: "1".to_owned(),
        registration_id: id,
        name: name.to_owned(),
    }
}

/// A report of an older monitor with one idle runner, which has a guest.
fn older(id: u64, name: &str) -> ReportBuilder {
    let report = linux(2, &[id]).of_older_monitor();
    report.with_guests([guest(id, name)])
}

#[test]
fn a_monitor_that_is_listed_twice_is_used_once() {
    let mut queue = TestQueue::with(&["a", "b", "c"]);
    queue.report("b", linux(2, &[1, 2]).of_instance("one"));
    queue.report("a", linux(2, &[1, 2]).of_instance("one"));
    queue.report("c", linux(2, &[1]).of_instance("other"));
    assert_eq!(target_and_idle(&queue), (4, 3));
    assert!(
        queue
            .try_enqueue(super::harness::request("five", "linux", 5))
            .is_err()
    );
    // A job for all of them gathers; it is not given the same runners twice.
    queue.enqueue("four", "linux", 4);
    queue.assert_no_effects();
    queue.report("c", linux(2, &[1, 2]).of_instance("other"));
    queue.expect_forward("four", "a");
    queue.expect_forward("four", "c");
}

#[test]
fn if_one_url_fails_the_other_is_used() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]).of_instance("one"));
    queue.report("b", linux(1, &[1]).of_instance("one"));
    queue.become_unreachable("a");
    assert_eq!(target_and_idle(&queue), (1, 1));
    queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "b");
    queue.grant(&forward, &[1]);
    assert_eq!(target_and_idle(&queue), (1, 0));
}

#[test]
fn a_restart_that_is_seen_under_one_url_first_does_not_make_two_servers_of_one() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]).of_instance("one"));
    queue.report("b", linux(1, &[1]).of_instance("one"));
    queue.stop_answering("a");
    queue.advance(1);
    queue.report("b", linux(1, &[1]).of_instance("two"));
    assert_eq!(target_and_idle(&queue), (1, 1));
    queue.report("a", linux(1, &[1]).of_instance("two"));
    assert_eq!(target_and_idle(&queue), (1, 1));
}

#[test]
fn a_url_that_leads_to_another_monitor_later_is_another_server() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]).of_instance("one"));
    queue.report("b", linux(1, &[1]).of_instance("one"));
    queue.advance(1);
    queue.report("b", linux(1, &[7]).of_instance("two"));
    queue.advance(1);
    assert_eq!(target_and_idle(&queue), (2, 2));
}

/// Only the next answer of the first URL shows that the second one is another server.
#[test]
fn a_job_gets_the_runner_of_a_server_that_turns_out_to_be_another_one() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[]).of_instance("one"));
    queue.report("b", linux(1, &[]).of_instance("one"));
    queue.enqueue("job", "linux", 1);
    queue.advance(1);
    queue.report("b", linux(1, &[7]).of_instance("two"));
    queue.assert_no_effects();
    assert_eq!(queue.advance_until_effect(), 1);
    queue.expect_forward("job", "b");
}

#[test]
fn older_monitors_are_recognised_by_a_runner() {
    let mut queue = TestQueue::with(&["a", "b", "c"]);
    queue.report("a", older(1, "linux.1@host"));
    queue.report("b", older(1, "linux.1@host"));
    queue.report("c", older(1, "linux.1@other"));
    assert_eq!(target_and_idle(&queue), (4, 2));
    // All its runners are replaced, which is seen under one URL first, or there are none.
    queue.advance(1);
    queue.report("b", older(2, "linux.2@host"));
    assert_eq!(target_and_idle(&queue).0, 4);
    queue.report("a", older(2, "linux.2@host"));
    queue.report("b", linux(2, &[]).of_older_monitor());
    queue.advance(2);
    assert_eq!(target_and_idle(&queue).0, 4);
}

#[test]
fn older_monitors_that_have_different_runners_at_the_same_time_are_two() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", older(1, "linux.1@host"));
    queue.report("b", older(1, "linux.1@host"));
    assert_eq!(target_and_idle(&queue).0, 2);
    queue.advance(1);
    queue.report("b", older(7, "linux.7@other"));
    assert_eq!(target_and_idle(&queue).0, 2, "`a` may show the same soon");
    queue.advance(1);
    assert_eq!(target_and_idle(&queue).0, 4);
}

/// The monitor was replaced by a current one, which is seen under one URL first.
#[test]
fn a_current_monitor_and_an_older_one_are_two_once_both_were_seen_at_the_same_time() {
    for current in ["a", "b"] {
        let mut queue = TestQueue::with(&["a", "b"]);
        queue.report("a", older(1, "linux.1@host"));
        queue.report("b", older(1, "linux.1@host"));
        queue.advance(1);
        queue.report(current, linux(2, &[1]).of_instance("new"));
        assert_eq!(
            target_and_idle(&queue).0,
            2,
            "the other may show the same soon"
        );
        queue.advance(1);
        assert_eq!(target_and_idle(&queue).0, 4);
    }
}

/// A monitor in use reports at every change.
#[test]
fn a_monitor_keeps_its_identity_while_its_runners_change() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]).of_instance("one"));
    queue.report("b", linux(1, &[1]).of_instance("one"));
    queue.stop_answering("a");
    queue.advance(1);
    queue.report("b", linux(1, &[7]).of_instance("two"));
    assert_eq!(target_and_idle(&queue).0, 1, "`a` may show the same soon");
    queue.advance(1);
    let changed = linux(1, &[2]).with_guests([guest(2, "linux.2@host")]);
    queue.report("a", changed.of_instance("one"));
    assert_eq!(target_and_idle(&queue).0, 2);
}

#[test]
fn servers_without_a_sign_of_their_identity_are_different() {
    let mut queue = TestQueue::with(&["a", "b"]);
    for server in ["a", "b"] {
        // The same runners, but not of an older monitor.
        queue.report(
            server,
            linux(1, &[1]).with_guests([guest(1, "linux.1@test")]),
        );
    }
    assert_eq!(target_and_idle(&queue), (2, 2));
    for server in ["a", "b"] {
        queue.report(server, linux(1, &[1]).of_older_monitor());
    }
    assert_eq!(target_and_idle(&queue), (2, 2));
}

#[test]
fn a_reservation_that_is_reported_under_two_urls_is_adopted_once() {
    let mut queue = one_server(4, &[1, 2]);
    let ticket = queue.enqueue("job", "linux", 4);
    queue.restart();
    let mut queue = {
        drop(queue);
        TestQueue::with(&["a", "b"])
    };
    let report = || {
        linux(4, &[])
            .holds("job", &[1, 2], &ticket)
            .of_instance("one")
    };
    queue.report("a", report());
    queue.report("b", report());
    queue.assert_waiting(&ticket);
    queue.assert_no_effects();
}
