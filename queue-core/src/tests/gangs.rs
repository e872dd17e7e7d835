//! Jobs that need several runners at once, perhaps from several servers: all or none.

use super::{
    scene::Scene,
    word::{Word, linux},
};
use crate::events::Forward;

/// A gang of three that is being forwarded: two runners of `a`, one of `b`.
fn forwarded_gang(scene: &mut Scene) -> (Forward, Forward) {
    scene.report("a", linux(2, &[1, 2]));
    scene.report("b", linux(1, &[3]));
    scene.enqueue("gang", "linux", 3);
    let asks = (scene.forwarded("gang", "a"), scene.forwarded("gang", "b"));
    assert_eq!((asks.0.count.get(), asks.1.count.get()), (2, 1));
    assert_eq!(asks.0.attempt, asks.1.attempt);
    asks
}

fn nothing_idle() -> Word {
    linux(2, &[])
}

#[test]
fn a_gang_gets_all_its_runners_in_one_answer() {
    let mut scene = Scene::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut scene);
    let ticket = scene.enqueue("gang", "linux", 3);
    let call = scene.take_held(&ticket, 20);
    scene.grant(&at_b, &[3]);
    scene.assert_quiet();
    scene.grant(&at_a, &[1, 2]);
    assert_eq!(scene.got(call), [1, 2, 3]);
}

#[test]
fn when_one_server_refuses_what_the_others_gave_is_released() {
    let mut scene = Scene::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut scene);
    scene.grant(&at_a, &[1, 2]);
    scene.refuse(&at_b);
    let release = scene.released("gang", "a");
    assert_eq!(release.attempt, at_a.attempt);
    let ticket = scene.enqueue("gang", "linux", 3);
    assert_eq!(scene.wait(&ticket).ahead, 0);
    // What was given back can be given out again at once.
    scene.confirm(&release);
    scene.report("b", linux(2, &[3, 4]));
    scene.forwarded("gang", "a");
    scene.forwarded("gang", "b");
}

#[test]
fn when_one_server_refuses_what_the_others_may_still_give_is_released_too() {
    let mut scene = Scene::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut scene);
    scene.refuse(&at_b);
    let release = scene.released("gang", "a");
    scene.grant(&at_a, &[1, 2]);
    let ticket = scene.enqueue("gang", "linux", 3);
    scene.wait(&ticket);
    scene.confirm(&release);
}

#[test]
fn when_one_answer_is_lost_everything_is_released() {
    let mut scene = Scene::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut scene);
    scene.grant(&at_b, &[3]);
    scene.lose_answer(&at_a);
    let at_a = scene.released("gang", "a");
    let at_b = scene.released("gang", "b");
    scene.confirm(&at_a);
    scene.confirm(&at_b);
    scene.report("a", nothing_idle());
    scene.report("b", nothing_idle());
    scene.pass(20);
}

#[test]
fn the_runners_of_a_gang_that_failed_serve_those_behind_it() {
    let mut scene = Scene::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut scene);
    let single = scene.enqueue("single", "linux", 1);
    scene.grant(&at_a, &[1, 2]);
    // b is gone, and with it any hope of three runners.
    scene.go_down("b");
    scene.refuse(&at_b);
    let release = scene.released("gang", "a");
    scene.confirm(&release);
    let forward = scene.forwarded("single", "a");
    scene.grant(&forward, &[1]);
    assert_eq!(scene.get(&single), [1]);
}

#[test]
fn a_gang_that_is_withdrawn_halfway_gives_everything_back() {
    let mut scene = Scene::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut scene);
    scene.grant(&at_a, &[1, 2]);
    let ticket = scene.enqueue("gang", "linux", 3);
    scene.withdraw(&ticket);
    let given = scene.released("gang", "a");
    let asked = scene.released("gang", "b");
    scene.grant(&at_b, &[3]);
    scene.confirm(&given);
    scene.confirm(&asked);
    scene.be_unknown(&ticket);
}

#[test]
fn a_gang_whose_runner_dies_before_it_is_told_starts_anew() {
    let mut scene = Scene::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut scene);
    let ticket = scene.enqueue("gang", "linux", 3);
    scene.grant(&at_a, &[1, 2]);
    scene.grant(&at_b, &[3]);
    scene.report("a", nothing_idle().holds("gang", &[1, 2], at_a.attempt));
    scene.report("b", nothing_idle().holds("gang", &[3], at_b.attempt));
    scene.pass(1);
    scene.report("b", nothing_idle());
    let release = scene.released("gang", "a");
    scene.confirm(&release);
    scene.report("a", linux(2, &[1, 2]));
    scene.report("b", linux(1, &[4]));
    let at_a = scene.forwarded("gang", "a");
    let at_b = scene.forwarded("gang", "b");
    scene.grant(&at_a, &[1, 2]);
    scene.grant(&at_b, &[4]);
    assert_eq!(scene.get(&ticket), [1, 2, 4]);
}

#[test]
fn a_gang_that_was_told_keeps_its_answer_while_any_of_it_stands() {
    let mut scene = Scene::with(&["a", "b"]);
    let (at_a, at_b) = forwarded_gang(&mut scene);
    let ticket = scene.enqueue("gang", "linux", 3);
    scene.grant(&at_a, &[1, 2]);
    scene.grant(&at_b, &[3]);
    assert_eq!(scene.get(&ticket), [1, 2, 3]);
    scene.report("a", nothing_idle().holds("gang", &[1, 2], at_a.attempt));
    scene.report("b", nothing_idle().holds("gang", &[3], at_b.attempt));
    scene.pass(1);
    scene.report("b", nothing_idle());
    assert_eq!(scene.get(&ticket), [1, 2, 3]);
    scene.report(
        "a",
        nothing_idle().has_served("gang", &[1, 2], at_a.attempt),
    );
    scene.be_unknown(&ticket);
}
