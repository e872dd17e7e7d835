//! Who is served before whom, and by which server.

use super::harness::{TestQueue, linux, one_server, request};
use crate::TicketContent;

#[test]
fn jobs_are_served_in_the_order_they_were_enqueued() {
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
fn jobs_of_the_same_moment_are_served_by_name() {
    let mut queue = one_server(4, &[]);
    let enqueued_at = queue.now;
    for job in ["b", "c", "a"] {
        let ticket = TicketContent {
            request: request(job, "linux", 1),
            enqueued_at,
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
fn who_asks_first_does_not_jump_the_line() {
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
fn of_fifty_jobs_that_all_ask_in_another_order_nobody_is_overtaken() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(25, &[]));
    queue.report("b", linux(25, &[]));
    // Enqueued in one order, named in another, asking in a third.
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
fn a_job_for_several_runners_is_not_starved_by_those_behind_it() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[]));
    queue.report("b", linux(2, &[]));
    queue.enqueue("gang", "linux", 3);
    queue.enqueue("single", "linux", 1);
    queue.report("a", linux(2, &[1]));
    queue.report("a", linux(2, &[1, 2]));
    queue.assert_no_effects();
    queue.report("b", linux(2, &[3]));
    assert_eq!(queue.expect_forward("gang", "a").count.get(), 2);
    assert_eq!(queue.expect_forward("gang", "b").count.get(), 1);
    queue.report("b", linux(2, &[3, 4]));
    queue.expect_forward("single", "b");
}

#[test]
fn a_job_is_passed_only_while_the_servers_that_answer_can_never_have_enough() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[]));
    queue.report("b", linux(2, &[]));
    queue.enqueue("gang", "linux", 3);
    queue.enqueue("first", "linux", 1);
    queue.enqueue("second", "linux", 1);
    queue.report("a", linux(2, &[1]));
    queue.assert_no_effects();
    // Without b there can be no more than two runners: the one that is idle helps nobody else.
    queue.become_unreachable("b");
    let forward = queue.expect_forward("first", "a");
    queue.grant(&forward, &[1]);
    queue.report("a", linux(2, &[]).holds("first", &[1], &forward));
    // With b back the gang gathers again.
    queue.report("b", linux(2, &[2]));
    queue.report("a", linux(2, &[3]).holds("first", &[1], &forward));
    queue.assert_no_effects();
    queue.report("b", linux(2, &[2, 4]));
    queue.expect_forward("gang", "b");
    queue.expect_forward("gang", "a");
}

#[test]
fn a_server_that_falls_silent_lets_those_behind_pass() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[1]));
    queue.report("b", linux(2, &[]));
    let gang = queue.enqueue("gang", "linux", 3);
    let single = queue.enqueue("single", "linux", 1);
    for ticket in [&gang, &single] {
        queue.take_held(ticket, 60);
    }
    queue.stop_answering("b");
    queue.advance(15);
    queue.assert_no_effects();
    queue.advance(1);
    queue.expect_forward("single", "a");
}

#[test]
fn profiles_do_not_disturb_each_other() {
    let mut queue = TestQueue::with(&["a"]);
    queue.report("a", linux(1, &[]).and("windows", 3, &[]));
    queue.enqueue("gang", "windows", 3);
    queue.enqueue("single", "linux", 1);
    queue.report("a", linux(1, &[1]).and("windows", 3, &[2, 3]));
    let forward = queue.expect_forward("single", "a");
    queue.refuse(&forward);
    // The refusal of one profile says nothing of another.
    queue.report("a", linux(1, &[1]).and("windows", 3, &[2, 3, 4]));
    queue.expect_forward("gang", "a");
}

#[test]
fn the_server_with_most_idle_runners_is_asked_first_and_ties_go_by_name() {
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
fn an_idle_runner_beyond_the_target_is_given_out_too() {
    let mut queue = one_server(1, &[]);
    queue.enqueue("job", "linux", 1);
    queue.report("a", linux(0, &[1]));
    queue.expect_forward("job", "a");
}
