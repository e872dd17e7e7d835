//! Asking twice is harmless, and so are repeated, late and reordered messages.

use super::{
    scene::{Scene, ticket},
    word::linux,
};
use crate::events::{Answer, JobReference, Refusal};

#[test]
fn a_repeated_enqueue_gives_the_same_ticket_and_changes_nothing() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    scene.enqueue("other", "linux", 1);
    scene.pass(1);
    assert_eq!(scene.enqueue("job", "linux", 1), ticket);
    assert_eq!(scene.wait(&ticket).ahead, 0);
    scene.report("a", linux(1, &[1]));
    let forward = scene.forwarded("job", "a");
    assert_eq!(scene.enqueue("job", "linux", 1), ticket);
    scene.grant(&forward, &[1]);
    assert_eq!(scene.enqueue("job", "linux", 1), ticket);
    assert_eq!(scene.get(&ticket), [1]);
    assert_eq!(scene.enqueue("job", "linux", 1), ticket);
}

#[test]
fn a_repeated_take_gives_the_same_runners() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1, 2]));
    let ticket = scene.enqueue("job", "linux", 2);
    let forward = scene.forwarded("job", "a");
    let held = [scene.take_held(&ticket, 20), scene.take_held(&ticket, 30)];
    scene.grant(&forward, &[1, 2]);
    for call in held {
        assert_eq!(scene.got(call), [1, 2]);
    }
    for _ in 0..3 {
        assert_eq!(scene.get(&ticket), [1, 2]);
    }
    let held = scene.take_held(&ticket, 60);
    assert_eq!(scene.got(held), [1, 2], "there is nothing to wait for");
}

#[test]
fn the_shape_of_the_answer_is_what_was_enqueued() {
    for (is_array, job) in [(true, "array"), (false, "object")] {
        let mut scene = Scene::with(&["a"]);
        scene.report("a", linux(1, &[1]));
        let mut request = super::scene::request(job, "linux", 1);
        request.is_array = is_array;
        let ticket = scene.try_enqueue(request).unwrap();
        let forward = scene.forwarded(job, "a");
        assert_eq!(forward.request.is_array, is_array);
        scene.grant(&forward, &[1]);
        match scene.take(&ticket) {
            Answer::Runners { is_array: sent, .. } => assert_eq!(sent, is_array),
            other => panic!("expected runners, not {other:?}"),
        }
    }
}

#[test]
fn a_repeated_withdrawal_is_confirmed_again() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let claims = scene.enqueue("job", "linux", 1);
    let call = scene.take_held(&claims, 60);
    scene.withdraw_with_open_take(&claims, call);
    scene.withdraw(&claims);
    scene.withdraw(&claims);
    scene.be_unknown(&claims);
    assert_eq!(
        scene.try_withdraw(JobReference::Operator("job".parse().unwrap())),
        Err(Refusal::UnknownJob)
    );
}

#[test]
fn a_job_that_is_withdrawn_after_it_was_told_has_its_runners_destroyed() {
    for by_operator in [false, true] {
        let mut scene = Scene::with(&["a"]);
        scene.report("a", linux(1, &[1]));
        let claims = scene.enqueue("job", "linux", 1);
        let forward = scene.forwarded("job", "a");
        scene.grant(&forward, &[1]);
        assert_eq!(scene.get(&claims), [1]);
        let by = if by_operator {
            JobReference::Operator("job".parse().unwrap())
        } else {
            ticket(&claims)
        };
        scene.try_withdraw(by).unwrap();
        let release = scene.destroyed("job", "a");
        assert_eq!(release.attempt, forward.attempt);
        scene.confirm(&release);
        scene.be_unknown(&claims);
    }
}

#[test]
fn a_destroyed_runner_is_not_counted_as_idle_although_the_last_report_shows_it() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    assert_eq!(scene.get(&ticket), [1]);
    scene.withdraw(&ticket);
    let release = scene.destroyed("job", "a");
    scene.confirm(&release);
    scene.enqueue("other", "linux", 1);
    scene.assert_quiet();
    scene.report("a", linux(1, &[2]));
    scene.forwarded("other", "a");
}

#[test]
fn a_confirmation_of_an_earlier_release_does_not_confirm_a_later_one() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.lose_answer(&forward);
    let earlier = scene.released("job", "a");
    // The server has it after all, and is asked for it again, under a later attempt.
    scene.report("a", linux(1, &[]).holds("job", &[1], forward.attempt));
    let again = scene.forwarded("job", "a");
    assert!(again.attempt > forward.attempt);
    scene.grant(&again, &[1]);
    scene.withdraw(&ticket);
    let later = scene.released("job", "a");
    assert_eq!(later.attempt, again.attempt);
    scene.confirm(&earlier);
    scene.pass(1);
    assert_eq!(scene.released("job", "a"), later);
    scene.confirm(&later);
    scene.pass(60);
}

#[test]
fn answers_of_a_server_that_are_repeated_change_nothing() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1, 2]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    scene.grant(&forward, &[2]);
    scene.refuse(&forward);
    scene.lose_answer(&forward);
    assert_eq!(scene.get(&ticket), [1]);
    scene.grant(&forward, &[2]);
    assert_eq!(scene.get(&ticket), [1]);
}

#[test]
fn a_client_that_lost_its_ticket_can_have_it_again() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let lost = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    let found = scene.enqueue("job", "linux", 1);
    assert_eq!(found, lost);
    assert_eq!(scene.get(&found), [1]);
}
