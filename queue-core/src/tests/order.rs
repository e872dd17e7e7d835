//! Who is served before whom, and by which server.

use super::{
    scene::{Scene, request},
    word::linux,
};
use crate::job::Claims;

#[test]
fn jobs_are_served_in_the_order_they_were_enqueued() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(4, &[]));
    let jobs = ["c", "a", "d", "b"];
    let tickets = jobs.map(|job| scene.enqueue(job, "linux", 1));
    for (runner, (job, ticket)) in (1..).zip(jobs.iter().zip(&tickets)) {
        scene.report("a", linux(4, &[runner]));
        let forward = scene.forwarded(job, "a");
        scene.grant(&forward, &[runner]);
        assert_eq!(scene.get(ticket), [runner]);
    }
}

#[test]
fn jobs_of_the_same_moment_are_served_by_name() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(4, &[]));
    let enqueued_at = scene.now;
    for job in ["b", "c", "a"] {
        let claims = Claims {
            request: request(job, "linux", 1),
            enqueued_at,
            nonce: 0,
        };
        scene.wait(&claims);
    }
    scene.report("a", linux(4, &[1, 2, 3]));
    for job in ["a", "b", "c"] {
        scene.forwarded(job, "a");
    }
}

#[test]
fn who_asks_first_does_not_jump_the_line() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(4, &[]));
    let first = scene.enqueue("first", "linux", 1);
    let second = scene.enqueue("second", "linux", 1);
    scene.take_held(&second, 60);
    scene.pass(20);
    scene.wait(&second);
    scene.report("a", linux(4, &[1]));
    let forward = scene.forwarded("first", "a");
    scene.grant(&forward, &[1]);
    scene.wait(&second);
    assert_eq!(scene.get(&first), [1]);
}

#[test]
fn of_fifty_jobs_that_all_ask_in_another_order_nobody_is_overtaken() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(25, &[]));
    scene.report("b", linux(25, &[]));
    // Enqueued in one order, named in another, asking in a third.
    let jobs: Vec<String> = (0..50)
        .map(|job| format!("job-{:02}", job * 7 % 50))
        .collect();
    let tickets: Vec<Claims> = jobs
        .iter()
        .map(|job| scene.enqueue(job, "linux", 1))
        .collect();
    for ticket in tickets.iter().rev() {
        scene.take_held(ticket, 60);
    }
    for (runner, job) in (1..).zip(&jobs) {
        let server = if runner % 3 == 0 { "a" } else { "b" };
        scene.report(server, linux(25, &[runner]));
        let forward = scene.forwarded(job, server);
        scene.grant(&forward, &[runner]);
        assert_eq!(scene.got(50 + 50 - runner + 1), [runner]);
    }
}

#[test]
fn a_job_for_several_runners_is_not_starved_by_those_behind_it() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(2, &[]));
    scene.report("b", linux(2, &[]));
    scene.enqueue("gang", "linux", 3);
    scene.enqueue("single", "linux", 1);
    scene.report("a", linux(2, &[1]));
    scene.report("a", linux(2, &[1, 2]));
    scene.assert_quiet();
    scene.report("b", linux(2, &[3]));
    assert_eq!(scene.forwarded("gang", "a").count.get(), 2);
    assert_eq!(scene.forwarded("gang", "b").count.get(), 1);
    scene.report("b", linux(2, &[3, 4]));
    scene.forwarded("single", "b");
}

#[test]
fn a_job_is_passed_only_while_the_servers_that_answer_can_never_have_enough() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(2, &[]));
    scene.report("b", linux(2, &[]));
    scene.enqueue("gang", "linux", 3);
    scene.enqueue("first", "linux", 1);
    scene.enqueue("second", "linux", 1);
    scene.report("a", linux(2, &[1]));
    scene.assert_quiet();
    // Without b there can be no more than two runners: the one that is idle helps nobody else.
    scene.go_down("b");
    let forward = scene.forwarded("first", "a");
    scene.grant(&forward, &[1]);
    scene.report("a", linux(2, &[]).holds("first", &[1], forward.attempt));
    // With b back the gang gathers again.
    scene.report("b", linux(2, &[2]));
    scene.report("a", linux(2, &[3]).holds("first", &[1], forward.attempt));
    scene.assert_quiet();
    scene.report("b", linux(2, &[2, 4]));
    scene.forwarded("gang", "b");
    scene.forwarded("gang", "a");
}

#[test]
fn a_server_that_falls_silent_lets_those_behind_pass() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(2, &[1]));
    scene.report("b", linux(2, &[]));
    let gang = scene.enqueue("gang", "linux", 3);
    let single = scene.enqueue("single", "linux", 1);
    for ticket in [&gang, &single] {
        scene.take_held(ticket, 60);
    }
    scene.fall_silent("b");
    scene.pass(15);
    scene.assert_quiet();
    scene.pass(1);
    scene.forwarded("single", "a");
}

#[test]
fn profiles_do_not_disturb_each_other() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]).and("windows", 3, &[]));
    scene.enqueue("gang", "windows", 3);
    scene.enqueue("single", "linux", 1);
    scene.report("a", linux(1, &[1]).and("windows", 3, &[2, 3]));
    let forward = scene.forwarded("single", "a");
    scene.refuse(&forward);
    // The refusal of one profile says nothing of another.
    scene.report("a", linux(1, &[1]).and("windows", 3, &[2, 3, 4]));
    scene.forwarded("gang", "a");
}

#[test]
fn the_server_with_most_idle_runners_is_asked_first_and_ties_go_by_name() {
    for (idle, expected) in [
        ([&[1, 2][..], &[3], &[4, 5]], ["a", "c", "a", "b", "c"]),
        ([&[1], &[2, 3, 4], &[5]], ["b", "b", "a", "b", "c"]),
        ([&[], &[1, 2], &[3, 4, 5]], ["c", "b", "c", "b", "c"]),
    ] {
        let mut scene = Scene::with(&["a", "b", "c"]);
        for (server, idle) in ["a", "b", "c"].iter().zip(idle) {
            scene.report(server, linux(3, idle));
        }
        for (index, server) in expected.iter().enumerate() {
            let job = format!("job-{index}");
            scene.enqueue(&job, "linux", 1);
            scene.forwarded(&job, server);
        }
        scene.enqueue("last", "linux", 1);
        scene.assert_quiet();
    }
}

#[test]
fn an_idle_runner_beyond_the_target_is_given_out_too() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    scene.enqueue("job", "linux", 1);
    scene.report("a", linux(0, &[1]));
    scene.forwarded("job", "a");
}
