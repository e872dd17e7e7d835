//! Whether a client is still there, and what becomes of its job when it is not.

use super::{
    scene::{Scene, ticket},
    word::linux,
};
use crate::events::{JobReference, Refusal};

#[test]
fn a_client_that_is_silent_for_thirty_seconds_has_given_its_job_up() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let silent = scene.enqueue("silent", "linux", 1);
    let other = scene.enqueue("other", "linux", 1);
    scene.pass(29);
    assert_eq!(scene.wait(&other).ahead, 1);
    scene.pass(1);
    assert_eq!(scene.wait(&other).ahead, 0);
    scene.be_unknown(&silent);
    scene.report("a", linux(1, &[1]));
    scene.forwarded("other", "a");
}

#[test]
fn whoever_asks_is_there() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    for _ in 0..4 {
        scene.pass(29);
        scene.wait(&ticket);
    }
    // An enqueue that is repeated is a sign of life too.
    scene.pass(29);
    assert_eq!(scene.enqueue("job", "linux", 1), ticket);
    scene.pass(29);
    scene.wait(&ticket);
}

#[test]
fn an_open_take_counts_as_being_there_and_its_end_as_the_last_word() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    let call = scene.take_held(&ticket, 60);
    scene.pass(60);
    scene.must_wait(call);
    scene.pass(29);
    assert_eq!(scene.wait(&ticket).ahead, 0);
}

#[test]
fn after_an_open_take_has_ended_silence_counts_from_its_end() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    let call = scene.take_held(&ticket, 60);
    scene.pass(60);
    scene.must_wait(call);
    scene.pass(30);
    scene.be_unknown(&ticket);
}

#[test]
fn a_short_open_take_counts_up_to_its_end_too() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    let call = scene.take_held(&ticket, 20);
    scene.pass(20);
    scene.must_wait(call);
    scene.pass(29);
    scene.wait(&ticket);
}

#[test]
fn a_client_that_hangs_up_is_gone_thirty_seconds_later() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    let call = scene.take_held(&ticket, 60);
    scene.pass(40);
    scene.hang_up(call, &ticket);
    scene.hang_up(call, &ticket);
    scene.pass(29);
    assert!(scene.queue.jobs().count() == 1);
    scene.pass(1);
    scene.be_unknown(&ticket);
}

#[test]
fn one_of_two_open_takes_is_enough_to_be_there() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    let first = scene.take_held(&ticket, 60);
    let second = scene.take_held(&ticket, 60);
    scene.hang_up(first, &ticket);
    scene.pass(45);
    scene.report("a", linux(1, &[1]));
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    assert_eq!(scene.got(second), [1]);
}

#[test]
fn looking_at_a_job_does_not_keep_it() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let claims = scene.enqueue("job", "linux", 1);
    let operator = JobReference::Operator("job".parse().unwrap());
    for _ in 0..29 {
        scene.pass(1);
        scene.inspect(ticket(&claims)).unwrap();
        scene.inspect(operator.clone()).unwrap();
    }
    scene.pass(1);
    assert_eq!(scene.inspect(ticket(&claims)), Err(Refusal::UnknownJob));
    assert_eq!(scene.inspect(operator), Err(Refusal::UnknownJob));
}

#[test]
fn the_silence_of_a_queue_that_was_stopped_is_not_its_clients() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let patient = scene.enqueue("patient", "linux", 1);
    let silent = scene.enqueue("silent", "linux", 1);
    scene.pass(20);
    scene.be_stopped_for(120);
    scene.pass(29);
    scene.wait(&patient);
    scene.pass(1);
    scene.be_unknown(&silent);
    scene.wait(&patient);
}

#[test]
fn a_job_whose_client_is_between_two_polls_gets_its_runner() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    scene.pass(10);
    scene.report("a", linux(1, &[1]));
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    scene.report("a", linux(1, &[]).holds("job", &[1], forward.attempt));
    scene.pass(10);
    assert_eq!(scene.get(&ticket), [1]);
}

#[test]
fn a_runner_whose_client_fell_silent_before_it_was_told_is_idle_again() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let silent = scene.enqueue("silent", "linux", 1);
    let forward = scene.forwarded("silent", "a");
    scene.grant(&forward, &[1]);
    scene.report("a", linux(1, &[1]).holds("silent", &[1], forward.attempt));
    let other = scene.enqueue("other", "linux", 1);
    scene.take_held(&other, 60);
    scene.pass(30);
    let release = scene.released("silent", "a");
    assert_eq!(release.attempt, forward.attempt);
    scene.be_unknown(&silent);
    // Not before the server has confirmed it.
    scene.assert_quiet();
    scene.confirm(&release);
    scene.forwarded("other", "a");
}

#[test]
fn a_runner_whose_client_fell_silent_while_it_was_asked_for_is_released() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    scene.enqueue("silent", "linux", 1);
    scene.pass(25);
    scene.report("a", linux(1, &[1]));
    let forward = scene.forwarded("silent", "a");
    scene.pass(5);
    let release = scene.released("silent", "a");
    scene.grant(&forward, &[1]);
    scene.confirm(&release);
}

#[test]
fn a_runner_that_was_handed_over_is_not_released_when_its_client_is_silent() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    assert_eq!(scene.get(&ticket), [1]);
    scene.report("a", linux(1, &[]).holds("job", &[1], forward.attempt));
    scene.pass(300);
    assert_eq!(scene.get(&ticket), [1]);
}

#[test]
fn an_answer_that_never_left_is_given_to_the_next_who_asks() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    let call = scene.take_held(&ticket, 60);
    scene.report("a", linux(1, &[1]));
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    assert_eq!(scene.got(call), [1]);
    scene.report("a", linux(1, &[]).holds("job", &[1], forward.attempt));
    scene.lose_delivery(&ticket);
    scene.pass(29);
    assert_eq!(scene.get(&ticket), [1]);
    scene.pass(60);
}

#[test]
fn an_answer_that_never_left_does_not_undo_an_earlier_one() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    scene.report("a", linux(1, &[]).holds("job", &[1], forward.attempt));
    assert_eq!(scene.get(&ticket), [1]);
    assert_eq!(scene.get(&ticket), [1]);
    scene.lose_delivery(&ticket);
    scene.pass(60);
    assert_eq!(scene.get(&ticket), [1]);
}

#[test]
fn an_answer_that_never_left_and_that_nobody_asks_for_again_is_released() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    let first = scene.take_held(&ticket, 60);
    let second = scene.take_held(&ticket, 60);
    scene.grant(&forward, &[1]);
    assert_eq!((scene.got(first), scene.got(second)), (vec![1], vec![1]));
    scene.lose_delivery(&ticket);
    scene.report("a", linux(1, &[]).holds("job", &[1], forward.attempt));
    // One of the two answers arrived.
    scene.pass(60);
    assert_eq!(scene.get(&ticket), [1]);
    scene.lose_delivery(&ticket);
    scene.lose_delivery(&ticket);
    scene.pass(30);
    scene.released("job", "a");
}
