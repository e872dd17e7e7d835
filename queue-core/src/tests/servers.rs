//! What servers say, and how long it counts.

use super::{
    scene::Scene,
    word::{linux, nothing},
};
use crate::events::Refusal;

#[test]
fn what_a_server_said_counts_for_fifteen_seconds() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("b", linux(1, &[]));
    scene.report("a", linux(1, &[1]));
    scene.fall_silent("a");
    scene.pass(15);
    scene.enqueue("job", "linux", 1);
    scene.forwarded("job", "a");

    let mut scene = Scene::with(&["a", "b"]);
    scene.report("b", linux(1, &[]));
    scene.report("a", linux(1, &[1]));
    scene.fall_silent("a");
    scene.pass(16);
    let ticket = scene.enqueue("job", "linux", 1);
    scene.take_held(&ticket, 60);
    scene.pass(5);
    scene.assert_quiet();
    scene.come_back_unchanged("a");
    scene.forwarded("job", "a");
}

#[test]
fn a_server_that_says_that_nothing_changed_is_as_good_as_one_that_repeats_itself() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    scene.pass(300);
    scene.enqueue("job", "linux", 1);
    scene.forwarded("job", "a");
}

#[test]
fn a_server_that_says_that_nothing_changed_since_nothing_has_not_said_anything() {
    let mut scene = Scene::with(&["a"]);
    scene.come_back_unchanged("a");
    assert_eq!(
        scene.try_enqueue(super::scene::request("job", "linux", 1)),
        Err(Refusal::NotReady)
    );
}

#[test]
fn a_server_that_is_down_is_not_asked_and_one_that_is_back_is() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(1, &[1]));
    scene.report("b", linux(1, &[]));
    scene.go_down("a");
    let ticket = scene.enqueue("job", "linux", 1);
    scene.take_held(&ticket, 60);
    scene.pass(5);
    scene.assert_quiet();
    // The answer to a question from before says nothing.
    scene.report("a", linux(1, &[1]).asked_seconds_ago(6));
    scene.assert_quiet();
    scene.report("a", linux(1, &[1]));
    scene.forwarded("job", "a");
}

#[test]
fn an_older_report_that_arrives_later_is_ignored() {
    let mut scene = Scene::with(&["a"]);
    scene.pass(5);
    scene.report("a", linux(1, &[]));
    scene.enqueue("job", "linux", 1);
    scene.report("a", linux(1, &[1]).asked_seconds_ago(1));
    scene.assert_quiet();
    scene.report("a", linux(1, &[1]));
    scene.forwarded("job", "a");
}

#[test]
fn a_server_that_is_back_is_reminded_at_once_of_what_it_owes() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(1, &[1]));
    scene.report("b", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    scene.forwarded("job", "a");
    scene.go_down("a");
    scene.withdraw(&ticket);
    let mut release = scene.released("job", "a");
    for pause in [1, 2, 4, 8, 16] {
        scene.lose_release(&release);
        scene.pass(pause);
        release = scene.released("job", "a");
    }
    scene.pass(10);
    scene.report("a", linux(1, &[1]));
    assert_eq!(scene.released("job", "a"), release);
    scene.pass(1);
    assert_eq!(
        scene.released("job", "a"),
        release,
        "it is asked often again"
    );
    scene.confirm(&release);
    scene.pass(60);
}

#[test]
fn what_makes_no_sense_does_no_harm() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", nothing());
    scene.report("a", linux(0, &[]));
    scene.report(
        "a",
        linux(usize::MAX / 2, &[u64::MAX]).and("windows", 1, &[u64::MAX]),
    );
    let ticket = scene.enqueue("job", "linux", 64);
    scene.report("a", linux(64, &[1]).holds("job", &[], u64::MAX));
    scene.report("a", linux(64, &[1]).runs("job", &[1, 1, 1], u64::MAX));
    scene.report("a", linux(64, &[1]).has_served("job", &[], 0));
    assert_eq!(scene.wait(&ticket).ahead, 0);
}
