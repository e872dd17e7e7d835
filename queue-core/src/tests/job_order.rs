//! The order in which jobs are assigned, and the servers that are asked.

use super::harness::{TestQueue, linux, one_server, request};
use crate::TicketContent;

#[test]
fn jobs_are_assigned_in_the_order_of_enqueueing() {
    let mut queue = one_server(4, &[]);
    let jobs = ["c", "a", "d", "b"];
    let tickets = jobs.map(|job| queue.enqueue(job, "linux", 1));
    for (runner, (job, ticket)) in (1..).zip(jobs.iter().zip(&tickets)) {
        queue.report("a", linux(4, &[runner]));
        let forward = queue.expect_forward(job, "a");
        queue.grant(&forward, &[runner]);
        assert_eq!(queue.take_runners(ticket), [runner]);
    }
}

#[test]
fn jobs_of_the_same_microsecond_are_assigned_by_name() {
    let mut queue = one_server(4, &[]);
    let enqueued_at = queue.now;
    for job in ["b", "c", "a"] {
        let ticket = TicketContent {
            request: request(job, "linux", 1),
            enqueued_at,
            queued_at: enqueued_at,
            lane: None,
            nonce: 0,
        };
        queue.assert_waiting(&ticket);
    }
    queue.report("a", linux(4, &[1, 2, 3]));
    for job in ["a", "b", "c"] {
        queue.expect_forward(job, "a");
    }
}

#[test]
fn polling_earlier_does_not_change_the_order() {
    let mut queue = one_server(4, &[]);
    let first = queue.enqueue("first", "linux", 1);
    let second = queue.enqueue("second", "linux", 1);
    queue.take_held(&second, 60);
    queue.advance(20);
    queue.assert_waiting(&second);
    queue.report("a", linux(4, &[1]));
    let forward = queue.expect_forward("first", "a");
    queue.grant(&forward, &[1]);
    queue.assert_waiting(&second);
    assert_eq!(queue.take_runners(&first), [1]);
}

#[test]
fn fifty_jobs_that_poll_in_another_order_are_assigned_in_their_order() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(25, &[]));
    queue.report("b", linux(25, &[]));
    // The orders of enqueueing, of names and of polls all differ.
    let jobs: Vec<String> = (0..50)
        .map(|job| format!("job-{:02}", job * 7 % 50))
        .collect();
    let tickets: Vec<TicketContent> = jobs
        .iter()
        .map(|job| queue.enqueue(job, "linux", 1))
        .collect();
    for ticket in tickets.iter().rev() {
        queue.take_held(ticket, 60);
    }
    for (runner, job) in (1..).zip(&jobs) {
        let server = if runner % 3 == 0 { "a" } else { "b" };
        queue.report(server, linux(25, &[runner]));
        let forward = queue.expect_forward(job, server);
        queue.grant(&forward, &[runner]);
        assert_eq!(queue.expect_runners(50 + 50 - runner + 1), [runner]);
    }
}

#[test]
fn a_job_for_several_runners_is_not_starved_by_jobs_behind_it() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[]));
    queue.report("b", linux(2, &[]));
    queue.enqueue("large", "linux", 3);
    queue.enqueue("single", "linux", 1);
    queue.report("a", linux(2, &[1]));
    queue.report("a", linux(2, &[1, 2]));
    queue.assert_no_effects();
    queue.report("b", linux(2, &[3]));
    assert_eq!(queue.expect_forward("large", "a").count.get(), 2);
    assert_eq!(queue.expect_forward("large", "b").count.get(), 1);
    queue.report("b", linux(2, &[3, 4]));
    queue.expect_forward("single", "b");
}

#[test]
fn a_job_is_skipped_only_while_the_servers_that_answer_can_never_have_enough() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[]));
    queue.report("b", linux(2, &[]));
    queue.enqueue("large", "linux", 3);
    queue.enqueue("first", "linux", 1);
    queue.enqueue("second", "linux", 1);
    queue.report("a", linux(2, &[1]));
    queue.assert_no_effects();
    // Without b there can be no more than two runners, so waiting does not help the first job.
    queue.become_unreachable("b");
    let forward = queue.expect_forward("first", "a");
    queue.grant(&forward, &[1]);
    queue.report("a", linux(2, &[]).holds("first", &[1], &forward));
    // With b the first job gathers runners again.
    queue.report("b", linux(2, &[2]));
    queue.report("a", linux(2, &[3]).holds("first", &[1], &forward));
    queue.assert_no_effects();
    queue.report("b", linux(2, &[2, 4]));
    queue.expect_forward("large", "b");
    queue.expect_forward("large", "a");
}

#[test]
fn a_job_that_needs_a_stale_server_does_not_block_those_behind_it() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[1]));
    queue.report("b", linux(2, &[]));
    let large = queue.enqueue("large", "linux", 3);
    let single = queue.enqueue("single", "linux", 1);
    for ticket in [&large, &single] {
        queue.take_held(ticket, 60);
    }
    queue.stop_answering("b");
    queue.advance(15);
    queue.assert_no_effects();
    queue.advance(1);
    queue.expect_forward("single", "a");
}

#[test]
fn profiles_are_independent() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(1, &[]).and("windows", 3, &[]));
    queue.enqueue("large", "windows", 3);
    queue.enqueue("single", "linux", 1);
    queue.report("a", linux(1, &[1]).and("windows", 3, &[2, 3]));
    let forward = queue.expect_forward("single", "a");
    queue.refuse(&forward);
    // A refusal concerns one profile only.
    queue.report("a", linux(1, &[1]).and("windows", 3, &[2, 3, 4]));
    queue.expect_forward("large", "a");
}

#[test]
fn the_server_with_the_most_idle_runners_is_asked_first_and_ties_go_by_name() {
    for (idle, expected) in [
        ([&[1, 2][..], &[3], &[4, 5]], ["a", "c", "a", "b", "c"]),
        ([&[1], &[2, 3, 4], &[5]], ["b", "b", "a", "b", "c"]),
        ([&[], &[1, 2], &[3, 4, 5]], ["c", "b", "c", "b", "c"]),
    ] {
        let mut queue = TestQueue::with(&["a", "b", "c"]);
        for (server, idle) in ["a", "b", "c"].iter().zip(idle) {
            queue.report(server, linux(3, idle));
        }
        for (index, server) in expected.iter().enumerate() {
            let job = format!("job-{index}");
            queue.enqueue(&job, "linux", 1);
            queue.expect_forward(&job, server);
        }
        queue.enqueue("last", "linux", 1);
        queue.assert_no_effects();
    }
}

#[test]
fn an_idle_runner_beyond_the_target_is_assigned_too() {
    let mut queue = one_server(1, &[]);
    queue.enqueue("job", "linux", 1);
    queue.report("a", linux(0, &[1]));
    queue.expect_forward("job", "a");
}
