//! A job is asked for at a server: granted, refused, nobody knows, too late.

use super::{scene::Scene, word::linux};
use crate::events::ForwardOutcome;

#[test]
fn a_job_keeps_its_place_while_it_is_forwarded_and_when_it_is_refused() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1]));
    let first = scene.enqueue("first", "linux", 1);
    let forward = scene.forwarded("first", "a");
    let second = scene.enqueue("second", "linux", 1);
    assert_eq!(scene.wait(&first).ahead, 0);
    assert_eq!(scene.wait(&second).ahead, 1);
    scene.refuse(&forward);
    assert_eq!(scene.wait(&first).ahead, 0);
    assert_eq!(scene.wait(&second).ahead, 1);
    scene.report("a", linux(2, &[1, 2]));
    scene.forwarded("first", "a");
}

#[test]
fn a_held_take_is_answered_when_the_server_grants() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    let call = scene.take_held(&ticket, 20);
    scene.pass(10);
    scene.report("a", linux(1, &[1]));
    let forward = scene.forwarded("job", "a");
    assert_eq!(forward.count.get(), 1);
    scene.grant(&forward, &[1]);
    assert_eq!(scene.got(call), [1]);
    scene.pass(20);
}

#[test]
fn an_answer_that_is_lost_is_released_and_another_server_is_asked_at_once() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(1, &[1]));
    scene.report("b", linux(1, &[2]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.lose_answer(&forward);
    let release = scene.released("job", "a");
    assert_eq!(release.attempt, forward.attempt);
    let again = scene.forwarded("job", "b");
    assert!(again.attempt > forward.attempt);
    scene.grant(&again, &[2]);
    scene.confirm(&release);
    assert_eq!(scene.get(&ticket), [2]);
}

#[test]
fn a_server_that_does_not_answer_in_time_counts_as_one_whose_answer_was_lost() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(1, &[1]));
    scene.report("b", linux(1, &[2]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.pass(9);
    scene.assert_quiet();
    scene.fall_silent("a");
    scene.pass(1);
    let release = scene.released("job", "a");
    let again = scene.forwarded("job", "b");
    // What arrives after all is too late, whatever it says; only the release counts.
    scene.grant(&forward, &[1]);
    scene.lose_answer(&forward);
    scene.refuse(&forward);
    scene.grant(&again, &[2]);
    assert_eq!(scene.get(&ticket), [2]);
    scene.confirm(&release);
    scene.pass(60);
}

#[test]
fn fewer_or_more_runners_than_asked_for_are_as_good_as_none() {
    for runners in [&[1][..], &[1, 2, 3], &[]] {
        let mut scene = Scene::with(&["a"]);
        scene.report("a", linux(4, &[1, 2, 3]));
        let ticket = scene.enqueue("gang", "linux", 2);
        let forward = scene.forwarded("gang", "a");
        scene.grant(&forward, runners);
        let release = scene.released("gang", "a");
        scene.wait(&ticket);
        scene.confirm(&release);
        // Of these only the new one is trusted at first, and it is not enough.
        scene.report("a", linux(4, &[1, 2, 3, 4]));
        scene.pass(1);
        scene.forwarded("gang", "a");
    }
}

#[test]
fn a_server_that_owes_a_release_is_asked_for_others_only() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1, 2]));
    scene.enqueue("first", "linux", 1);
    let forward = scene.forwarded("first", "a");
    scene.enqueue("second", "linux", 1);
    let second = scene.forwarded("second", "a");
    scene.enqueue("third", "linux", 1);
    scene.lose_answer(&forward);
    let release = scene.released("first", "a");
    scene.lose_release(&release);
    // Older than the server's trouble, and so no sign that it is over.
    scene.report("a", linux(4, &[1, 2, 3, 4]).asked_seconds_ago(1));
    scene.assert_quiet();
    scene.report("a", linux(4, &[1, 2, 3, 4]));
    // Now that the server answers again it is reminded at once.
    let reminder = scene.released("first", "a");
    assert_eq!(reminder, release);
    scene.forwarded("third", "a");
    scene.grant(&second, &[1]);
    scene.confirm(&reminder);
    scene.forwarded("first", "a");
}

#[test]
fn a_release_is_repeated_ever_more_slowly_until_it_is_confirmed() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.withdraw(&ticket);
    let release = scene.released("job", "a");
    assert_eq!(release.attempt, forward.attempt);
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        scene.lose_release(&release);
        scene.pass(pause - 1);
        scene.assert_quiet();
        scene.pass(1);
        assert_eq!(scene.released("job", "a"), release);
    }
    scene.confirm(&release);
    scene.confirm(&release);
    scene.pass(60);
}

#[test]
fn a_runner_that_shows_as_idle_and_cannot_be_had_is_asked_for_ever_more_rarely() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let mut forward = scene.forwarded("job", "a");
    let call = scene.take_held(&ticket, 600);
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        scene.refuse(&forward);
        // However often the server says so.
        scene.report("a", linux(1, &[1]));
        scene.pass(pause - 1);
        scene.report("a", linux(1, &[1]));
        scene.assert_quiet();
        scene.pass(1);
        forward = scene.forwarded("job", "a");
    }
    scene.grant(&forward, &[1]);
    assert_eq!(scene.got(call), [1]);
    // Whoever has given a runner is trusted again.
    scene.report("a", linux(1, &[2]));
    scene.enqueue("other", "linux", 1);
    let forward = scene.forwarded("other", "a");
    scene.refuse(&forward);
    scene.pass(1);
    scene.forwarded("other", "a");
}

#[test]
fn of_a_server_that_refused_other_runners_are_asked_for_at_once() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1]));
    scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.refuse(&forward);
    scene.report("a", linux(2, &[1, 2]));
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[2]);
}

#[test]
fn after_a_refusal_another_server_is_asked_at_once() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(2, &[1, 2]));
    scene.report("b", linux(1, &[3]));
    scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.refuse(&forward);
    scene.forwarded("job", "b");
}

#[test]
fn one_server_that_never_gives_anything_stops_nobody() {
    let mut scene = Scene::with(&["honest", "liar"]);
    scene.report("liar", linux(9, &[1, 2, 3]));
    scene.report("honest", linux(9, &[]));
    for job in 0..5 {
        let name = format!("job-{job}");
        let ticket = scene.enqueue(&name, "linux", 1);
        if job == 0 {
            let forward = scene.forwarded(&name, "liar");
            scene.refuse(&forward);
        }
        let runner = 10 + job;
        scene.report("honest", linux(9, &[runner]));
        let forward = scene.forwarded(&name, "honest");
        scene.grant(&forward, &[runner]);
        assert_eq!(scene.get(&ticket), [runner]);
    }
}

#[test]
fn no_server_is_asked_for_more_than_it_has_left() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(3, &[1, 2]));
    scene.enqueue("first", "linux", 1);
    let first = scene.forwarded("first", "a");
    scene.enqueue("second", "linux", 1);
    let second = scene.forwarded("second", "a");
    scene.enqueue("third", "linux", 1);
    scene.assert_quiet();
    // An old report still shows what has been granted meanwhile.
    scene.grant(&first, &[1]);
    scene.grant(&second, &[2]);
    scene.report("a", linux(3, &[1, 2]));
    scene.assert_quiet();
    scene.report("a", linux(3, &[3]));
    scene.forwarded("third", "a");
}

#[test]
fn a_runner_is_given_out_as_soon_as_it_is_clear_that_the_last_one_was_another() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1, 2]));
    scene.enqueue("first", "linux", 1);
    let forward = scene.forwarded("first", "a");
    // The report overtakes the answer to the take, as it may: the server then seems to have one
    // runner less than it has.
    scene.report("a", linux(2, &[2]).holds("first", &[1], forward.attempt));
    scene.enqueue("second", "linux", 1);
    scene.assert_quiet();
    scene.grant(&forward, &[1]);
    scene.forwarded("second", "a");
}

#[test]
fn a_runner_is_given_out_as_soon_as_a_late_answer_says_that_the_last_one_was_another() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1, 2]));
    let first = scene.enqueue("first", "linux", 1);
    let forward = scene.forwarded("first", "a");
    scene.withdraw(&first);
    let release = scene.released("first", "a");
    scene.report("a", linux(2, &[2]).holds("first", &[1], forward.attempt));
    scene.confirm(&release);
    scene.enqueue("second", "linux", 1);
    scene.assert_quiet();
    scene.grant(&forward, &[1]);
    scene.forwarded("second", "a");
}

#[test]
fn a_failed_forward_to_a_server_that_cannot_be_reached_leaves_nothing_behind() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.go_down("a");
    scene.end_forward(&forward, ForwardOutcome::Refused);
    scene.report("a", linux(1, &[1]));
    scene.pass(1);
    scene.forwarded("job", "a");
}
