//! Jobs that a server refuses whatever is idle, because it knows another job of that name.

use super::harness::{TestQueue, linux, one_job_forwarded, one_server};

#[test]
fn a_job_that_every_server_refuses_does_not_block_those_behind_it() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(3, &[1, 2, 3]));
    queue.report("b", linux(2, &[4, 5]));
    let unwanted = queue.enqueue("unwanted", "linux", 1);
    let forward = queue.expect_forward("unwanted", "a");
    queue.refuse_this_job(&forward);
    // Another server may accept the job.
    let forward = queue.expect_forward("unwanted", "b");
    queue.refuse_this_job(&forward);
    for (runner, job) in (1..).zip(["first", "second", "third"]) {
        let ticket = queue.enqueue(job, "linux", 1);
        let forward = queue.expect_forward(job, if runner == 3 { "b" } else { "a" });
        queue.grant(&forward, &[runner]);
        assert_eq!(queue.take_runners(&ticket), [runner]);
    }
    assert_eq!(queue.assert_waiting(&unwanted).ahead, 0);
}

#[test]
fn a_server_that_refused_a_job_is_asked_again_after_half_a_minute() {
    let (mut queue, ticket, mut forward) = one_job_forwarded();
    let call = queue.take_held(&ticket, 600);
    for _ in 0..3 {
        queue.refuse_this_job(&forward);
        queue.report("a", linux(1, &[1]));
        queue.advance(29);
        queue.assert_no_effects();
        queue.advance(1);
        forward = queue.expect_forward("job", "a");
    }
    queue.grant(&forward, &[1]);
    assert_eq!(queue.expect_runners(call), [1]);
}

#[test]
fn a_job_that_is_refused_because_it_has_finished_is_assigned_no_second_set() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.report("b", linux(1, &[2]));
    queue.report("a", linux(1, &[]).has_finished("job", &[1], &forward));
    queue.refuse_this_job(&forward);
    queue.assert_unknown(&ticket);
}

#[test]
fn at_most_64_jobs_are_passed_over_in_one_scheduling_pass() {
    let mut queue = one_server(66, &[]);
    for job in 0..66 {
        queue.enqueue(&format!("job-{job}"), "linux", 1);
    }
    queue.report("a", linux(66, &[1]));
    for job in 0..=64 {
        let forward = queue.expect_forward(&format!("job-{job}"), "a");
        queue.refuse_this_job(&forward);
    }
    // Job 65 is not considered: that many refusals are a fault of the server, and each pass over
    // the jobs takes time.
    queue.assert_no_effects();
}
