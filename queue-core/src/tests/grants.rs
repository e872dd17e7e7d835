//! Runners that were given to a job: to no other, and for as long as their server says so.

use super::{scene::Scene, word::linux};

#[test]
fn a_runner_that_was_granted_is_not_idle_whatever_an_older_report_says() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1]));
    scene.enqueue("first", "linux", 1);
    let forward = scene.forwarded("first", "a");
    scene.grant(&forward, &[1]);
    scene.enqueue("second", "linux", 1);
    scene.report("a", linux(2, &[1]));
    scene.assert_quiet();
    scene.report("a", linux(2, &[1, 2]));
    scene.forwarded("second", "a");
}

#[test]
fn a_runner_that_was_given_to_one_job_is_not_given_to_another() {
    // An older monitor that looks at a list that lags gives the same runner twice.
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1, 2]).of_older_monitor());
    let first = scene.enqueue("first", "linux", 1);
    let forward = scene.forwarded("first", "a");
    scene.grant(&forward, &[1]);
    let second = scene.enqueue("second", "linux", 1);
    let forward = scene.forwarded("second", "a");
    scene.grant(&forward, &[1]);
    scene.released("second", "a");
    assert_eq!(scene.get(&first), [1]);
    scene.wait(&second);
}

#[test]
fn a_gang_is_not_given_the_same_runner_twice() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(4, &[1, 2, 3, 4]));
    scene.report("b", linux(1, &[1]));
    // Numbers are a server's own: runner 1 of another server is another runner.
    let gang = scene.enqueue("gang", "linux", 5);
    let at_a = scene.forwarded("gang", "a");
    let at_b = scene.forwarded("gang", "b");
    scene.grant(&at_b, &[1]);
    scene.grant(&at_a, &[1, 2, 3, 4]);
    assert_eq!(scene.get(&gang), [1, 2, 3, 4, 1]);

    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1, 2]));
    scene.enqueue("gang", "linux", 2);
    let forward = scene.forwarded("gang", "a");
    scene.grant(&forward, &[1, 1]);
    scene.released("gang", "a");
}

#[test]
fn a_runner_of_a_gang_that_is_not_complete_yet_is_not_given_to_another() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(3, &[1, 2, 3]));
    scene.report("b", linux(1, &[1]));
    scene.enqueue("gang", "linux", 4);
    let at_a = scene.forwarded("gang", "a");
    scene.forwarded("gang", "b");
    scene.grant(&at_a, &[1, 2, 3]);
    scene.enqueue("single", "linux", 1);
    scene.report("a", linux(4, &[4]).holds("gang", &[1, 2, 3], at_a.attempt));
    let forward = scene.forwarded("single", "a");
    scene.grant(&forward, &[3]);
    scene.released("single", "a");
}

#[test]
fn a_job_whose_runners_are_used_and_gone_is_over() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    assert_eq!(scene.get(&ticket), [1]);
    scene.report("a", linux(1, &[]).holds("job", &[1], forward.attempt));
    scene.pass(60);
    scene.report("a", linux(1, &[]).runs("job", &[1], forward.attempt));
    assert_eq!(scene.get(&ticket), [1]);
    scene.report("a", linux(1, &[2]).has_served("job", &[1], forward.attempt));
    scene.be_unknown(&ticket);
    assert_eq!(scene.queue.jobs().count(), 0);
}

#[test]
fn a_job_that_turns_out_to_have_run_before_its_client_was_told_is_over() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    scene.report("a", linux(1, &[]).has_served("job", &[1], forward.attempt));
    scene.be_unknown(&ticket);
}

#[test]
fn what_a_report_does_not_mention_is_not_gone_if_it_came_about_later() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.pass(5);
    scene.grant(&forward, &[1]);
    scene.report("a", linux(1, &[1]));
    scene.report("a", linux(1, &[]).holds("job", &[1], forward.attempt));
    assert_eq!(scene.get(&ticket), [1]);
}

#[test]
fn what_a_report_did_not_mention_is_gone_once_the_server_says_that_this_still_holds() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    // Asked before the runner was granted, answered after it had died.
    scene.report("a", linux(1, &[]));
    scene.pass(1);
    scene.wait(&ticket);
}

#[test]
fn a_gang_whose_first_runner_died_before_the_last_was_granted_starts_anew() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(1, &[1]));
    scene.report("b", linux(1, &[2]));
    let ticket = scene.enqueue("gang", "linux", 2);
    let at_a = scene.forwarded("gang", "a");
    let at_b = scene.forwarded("gang", "b");
    let call = scene.take_held(&ticket, 60);
    scene.grant(&at_a, &[1]);
    scene.pass(1);
    scene.report("a", linux(1, &[]));
    scene.grant(&at_b, &[2]);
    let release = scene.released("gang", "b");
    scene.confirm(&release);
    scene.report("a", linux(1, &[3]));
    let at_a = scene.forwarded("gang", "a");
    let at_b = scene.forwarded("gang", "b");
    scene.grant(&at_a, &[3]);
    scene.grant(&at_b, &[2]);
    assert_eq!(scene.got(call), [3, 2]);
}

#[test]
fn an_older_monitor_is_taken_to_have_served_a_job_whose_runner_is_gone() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]).of_older_monitor());
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    assert_eq!(scene.get(&ticket), [1]);
    scene.pass(1);
    scene.report("a", linux(1, &[]).and_runners(&[1]).of_older_monitor());
    scene.pass(60);
    assert_eq!(scene.get(&ticket), [1]);
    scene.report("a", linux(1, &[2]).of_older_monitor());
    scene.be_unknown(&ticket);
}

#[test]
fn a_late_confirmation_does_not_take_a_runner_from_who_has_it_now() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1]));
    let first = scene.enqueue("first", "linux", 1);
    let forward = scene.forwarded("first", "a");
    scene.grant(&forward, &[1]);
    scene.withdraw(&first);
    let release = scene.released("first", "a");
    // The release has been carried out, and its confirmation is on its way.
    scene.report("a", linux(2, &[]));
    scene.report("a", linux(2, &[1]));
    scene.enqueue("second", "linux", 1);
    let forward = scene.forwarded("second", "a");
    scene.grant(&forward, &[1]);
    // The last report still shows it as idle.
    scene.confirm(&release);
    scene.enqueue("third", "linux", 1);
}
