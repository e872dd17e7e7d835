//! Reservations that another queue made, or this one before its restart, and whose clients may
//! have been told of them. A server knows which queues it gave them to, and ends them only when
//! the last of those has given them back; so this queue gives back no more than its own part.

use super::{
    scene::Scene,
    word::{linux, nothing},
};
use crate::{events::Forward, job::Claims};

/// A job that has runner 1 of `a` since before the queue was restarted.
fn restarted() -> (Scene, Claims, u64) {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(1, &[1]));
    let claims = scene.enqueue("job", "linux", 1);
    let before = scene.forwarded("job", "a");
    scene.grant(&before, &[1]);
    scene.restart();
    scene.report("a", linux(1, &[]).holds("job", &[1], before.attempt));
    (scene, claims, before.attempt)
}

/// The same, and the queue asks for the runner again.
fn asking_again() -> (Scene, Claims, Forward) {
    let (mut scene, claims, _) = restarted();
    scene.wait(&claims);
    let forward = scene.forwarded("job", "a");
    (scene, claims, forward)
}

#[test]
fn what_this_queue_was_given_of_it_is_given_back_when_its_client_falls_silent() {
    let (mut scene, claims, forward) = asking_again();
    scene.grant(&forward, &[1]);
    scene.report("a", linux(1, &[]).holds("job", &[1], forward.attempt));
    scene.pass(30);
    let release = scene.released("job", "a");
    assert_eq!(release.attempt, forward.attempt);
    scene.confirm(&release);
    scene.be_unknown(&claims);
}

#[test]
fn it_is_destroyed_when_its_job_is_withdrawn_before_it_was_asked_for() {
    let (mut scene, claims, before) = restarted();
    scene.withdraw(&claims);
    let release = scene.destroyed("job", "a");
    assert!(release.attempt > before);
    scene.lose_release(&release);
    scene.pass(1);
    assert_eq!(scene.destroyed("job", "a"), release);
    scene.confirm(&release);
    scene.be_unknown(&claims);
    scene.withdraw(&claims);
}

#[test]
fn a_part_of_it_is_destroyed_when_its_job_is_withdrawn() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[]));
    let gang = scene.enqueue("gang", "linux", 2);
    scene.restart();
    let attempt = gang.enqueued_at.as_micros();
    scene.report("a", linux(2, &[]).holds("gang", &[1], attempt));
    for is_back_in_line in [false, true] {
        if is_back_in_line {
            scene.restart();
            scene.report("a", linux(2, &[]).holds("gang", &[1], attempt));
            scene.wait(&gang);
        }
        scene.withdraw(&gang);
        let release = scene.destroyed("gang", "a");
        assert!(release.attempt > attempt);
        scene.confirm(&release);
    }
}

#[test]
fn withdrawing_an_unknown_job_asks_nobody_for_runners() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let claims = scene.enqueue("job", "linux", 1);
    scene.restart();
    scene.settle();
    scene.report("a", linux(1, &[1]));
    scene.withdraw(&claims);
    scene.be_unknown(&claims);
}

#[test]
fn a_gang_is_not_asked_for_where_a_part_of_it_is_held_already() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(4, &[]));
    scene.report("b", linux(4, &[]));
    let gang = scene.enqueue("gang", "linux", 3);
    let single = scene.enqueue("single", "linux", 1);
    scene.restart();
    let attempt = gang.enqueued_at.as_micros();
    scene.report("a", linux(4, &[3]).holds("gang", &[1, 2], attempt));
    scene.report("b", linux(4, &[5, 6]));
    let calls = [scene.take_held(&gang, 60), scene.take_held(&single, 60)];
    // Its needs cannot be met for as long as that part stands. Those behind it do not wait.
    scene.settle();
    let forward = scene.forwarded("single", "b");
    scene.grant(&forward, &[5]);
    assert_eq!(scene.got(calls[1]), [5]);
    scene.report(
        "b",
        linux(4, &[6, 7, 8]).holds("single", &[5], forward.attempt),
    );
    assert_eq!(scene.forwarded("gang", "b").count.get(), 3);
}

#[test]
fn when_its_answer_is_lost_it_is_asked_for_again_and_not_in_a_hurry() {
    let (mut scene, claims, mut forward) = asking_again();
    let call = scene.take_held(&claims, 60);
    for _ in 0..3 {
        scene.lose_answer(&forward);
        let release = scene.released("job", "a");
        assert_eq!(release.attempt, forward.attempt);
        let held = linux(1, &[]).holds("job", &[1], forward.attempt);
        scene.report("a", held.clone());
        // The server is reminded of what it owes as soon as it answers again.
        assert_eq!(scene.released("job", "a"), release);
        for _ in 0..5 {
            scene.report("a", held.clone());
        }
        scene.pass(1);
        assert_eq!(scene.released("job", "a"), release);
        forward = scene.forwarded("job", "a");
    }
    scene.grant(&forward, &[1]);
    assert_eq!(scene.got(call), [1]);
}

#[test]
fn when_its_server_is_down_the_job_is_served_elsewhere() {
    let (mut scene, claims, forward) = asking_again();
    let call = scene.take_held(&claims, 60);
    scene.report("b", linux(1, &[2]));
    scene.settle();
    scene.assert_quiet();
    scene.go_down("a");
    scene.lose_answer(&forward);
    scene.released("job", "a");
    let elsewhere = scene.forwarded("job", "b");
    scene.grant(&elsewhere, &[2]);
    assert_eq!(scene.got(call), [2]);
}

#[test]
fn a_server_that_refuses_what_it_says_it_holds_is_not_asked_for_it_in_every_step() {
    let (mut scene, claims, mut forward) = asking_again();
    let lie = linux(1, &[]).holds("job", &[1], forward.attempt);
    scene.take_held(&claims, 600);
    for _ in 0..3 {
        scene.refuse(&forward);
        for _ in 0..5 {
            scene.report("a", lie.clone());
        }
        scene.pass(29);
        scene.report("a", lie.clone());
        scene.assert_quiet();
        scene.pass(1);
        forward = scene.forwarded("job", "a");
    }
}

#[test]
fn a_server_that_refuses_what_it_says_it_holds_may_be_right_about_what_is_idle() {
    let (mut scene, claims, forward) = asking_again();
    scene.wait(&claims);
    scene.settle();
    scene.report("a", linux(2, &[2]).holds("job", &[1], forward.attempt));
    scene.refuse(&forward);
    scene.enqueue("other", "linux", 1);
    scene.forwarded("other", "a");
}

#[test]
fn it_is_asked_for_when_its_server_comes_back_with_nothing_new_to_say() {
    let (mut scene, claims, _) = restarted();
    scene.fall_silent("a");
    scene.pass(16);
    scene.take_held(&claims, 60);
    scene.assert_quiet();
    scene.come_back_unchanged("a");
    scene.forwarded("job", "a");
}

#[test]
fn what_is_held_for_nobody_known_is_left_alone() {
    let mut scene = Scene::with(&["a"]);
    let attempt = scene.now.as_micros();
    scene.report("a", linux(1, &[]).holds("stranger", &[1], attempt));
    scene.report("a", nothing().has_served("stranger", &[1], attempt));
}

#[test]
fn a_job_that_two_servers_hold_runners_for_takes_those_of_one() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("b", linux(2, &[]));
    let gang = scene.enqueue("gang", "linux", 2);
    scene.restart();
    let attempt = gang.enqueued_at.as_micros();
    scene.report("a", linux(2, &[]).holds("gang", &[1, 2], attempt));
    scene.report("b", linux(2, &[]).holds("gang", &[3, 4], attempt));
    scene.wait(&gang);
    let forward = scene.forwarded("gang", "a");
    assert_eq!(forward.count.get(), 2);
    scene.grant(&forward, &[1, 2]);
    assert_eq!(scene.get(&gang), [1, 2]);
}
