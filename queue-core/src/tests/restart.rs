//! A queue that knows nothing any more, and clients that still have their tickets.

use std::time::Duration;

use super::{
    scene::{Scene, ticket},
    word::linux,
};
use crate::{
    events::{Input, Refusal},
    job::Claims,
};

#[test]
fn jobs_come_back_to_their_old_places_in_whatever_order_they_ask() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(3, &[]));
    let jobs = ["first", "second", "third"];
    let tickets = jobs.map(|job| scene.enqueue(job, "linux", 1));
    scene.restart();
    for ticket in tickets.iter().rev() {
        scene.wait(ticket);
    }
    scene.report("a", linux(3, &[1, 2, 3]));
    scene.settle();
    for job in jobs {
        scene.forwarded(job, "a");
    }
}

#[test]
fn nothing_is_given_out_before_everybody_had_time_to_come_back() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[]));
    let first = scene.enqueue("first", "linux", 1);
    let second = scene.enqueue("second", "linux", 1);
    scene.restart();
    scene.report("a", linux(2, &[1]));
    scene.wait(&second);
    scene.pass(4);
    scene.wait(&first);
    scene.assert_quiet();
    scene.pass(1);
    scene.forwarded("first", "a");
}

#[test]
fn the_longest_pause_that_clients_are_told_is_over_before_anything_is_given_out() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let tickets: Vec<_> = (0..451)
        .map(|job| scene.enqueue(&format!("job-{job}"), "linux", 1))
        .collect();
    let pauses = tickets
        .iter()
        .map(|ticket| scene.wait(ticket).retry_after_seconds);
    let pauses: Vec<u64> = pauses.collect();
    assert_eq!(
        (pauses[0], pauses[99], pauses[100], pauses[450]),
        (1, 1, 2, 5)
    );
    assert_eq!(
        pauses.iter().max(),
        Some(&super::scene::rules().settle.as_secs())
    );
}

#[test]
fn a_new_job_of_a_new_queue_stands_behind_those_that_came_back() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[]));
    let old = scene.enqueue("old", "linux", 1);
    scene.restart_with_clock_set_back(3600);
    scene.report("a", linux(2, &[]));
    scene.wait(&old);
    let new = scene.enqueue("new", "linux", 1);
    assert!(new.enqueued_at > old.enqueued_at);
    scene.settle();
    scene.report("a", linux(2, &[1]));
    let forward = scene.forwarded("old", "a");
    assert!(forward.attempt > old.enqueued_at.as_micros());
    assert_eq!(scene.wait(&new).ahead, 1);
}

#[test]
fn a_job_that_has_its_runners_already_gets_the_same_ones_again() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let before = scene.forwarded("job", "a");
    scene.grant(&before, &[1]);
    assert_eq!(scene.get(&ticket), [1]);

    scene.restart();
    scene.report("b", linux(1, &[2]));
    scene.report("a", linux(1, &[]).holds("job", &[1], before.attempt));
    // No need to settle: nobody else can have these.
    scene.wait(&ticket);
    let again = scene.forwarded("job", "a");
    assert!(again.attempt > before.attempt);
    scene.grant(&again, &[1]);
    assert_eq!(scene.get(&ticket), [1]);
}

#[test]
fn a_reservation_that_is_heard_of_later_than_its_job_is_taken_up_too() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let before = scene.forwarded("job", "a");
    scene.grant(&before, &[1]);

    scene.restart();
    let call = scene.take_held(&ticket, 20);
    scene.report("a", linux(1, &[]).runs("job", &[1], before.attempt));
    let again = scene.forwarded("job", "a");
    scene.grant(&again, &[1]);
    assert_eq!(scene.got(call), [1]);
}

#[test]
fn a_gang_that_has_its_runners_already_gets_the_same_ones_again() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(2, &[1, 2]));
    scene.report("b", linux(1, &[3]));
    let ticket = scene.enqueue("gang", "linux", 3);
    let before = [scene.forwarded("gang", "a"), scene.forwarded("gang", "b")];

    scene.restart();
    let call = scene.take_held(&ticket, 20);
    scene.report("a", linux(2, &[]).holds("gang", &[1, 2], before[0].attempt));
    scene.assert_quiet();
    scene.report("b", linux(1, &[]).holds("gang", &[3], before[1].attempt));
    let at_a = scene.forwarded("gang", "a");
    let at_b = scene.forwarded("gang", "b");
    assert_eq!((at_a.count.get(), at_b.count.get()), (2, 1));
    scene.grant(&at_a, &[1, 2]);
    scene.grant(&at_b, &[3]);
    assert_eq!(scene.got(call), [1, 2, 3]);
}

#[test]
fn a_job_that_was_served_is_gone() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let before = scene.forwarded("job", "a");
    scene.grant(&before, &[1]);
    assert_eq!(scene.get(&ticket), [1]);
    for hears_first in [true, false] {
        scene.restart();
        if !hears_first {
            scene.wait(&ticket);
        }
        scene.report("a", linux(1, &[2]).has_served("job", &[1], before.attempt));
        scene.be_unknown(&ticket);
        scene.be_unknown(&ticket);
    }
    scene.settle();
}

#[test]
fn a_job_that_turns_out_to_be_served_lets_those_behind_it_go() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.report("a", linux(2, &[]));
    scene.report("b", linux(2, &[]));
    let gang = scene.enqueue("gang", "linux", 3);
    let single = scene.enqueue("single", "linux", 1);
    scene.restart();
    let calls = [scene.take_held(&gang, 60), scene.take_held(&single, 60)];
    scene.report("b", linux(4, &[5]));
    scene.settle();
    scene.assert_quiet();
    // The server that served it has no more to do with the profile.
    let attempt = scene.now.as_micros();
    scene.report(
        "a",
        super::word::nothing().has_served("gang", &[1, 2, 3], attempt),
    );
    scene.was_refused(calls[0]);
    scene.forwarded("single", "b");
}

#[test]
fn a_ticket_that_has_expired_is_of_no_use() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    scene.be_stopped_for(24 * 3600 - 2);
    scene.restart();
    scene.wait(&ticket);
    scene.restart();
    scene.be_unknown(&ticket);
}

#[test]
fn a_job_that_is_over_does_not_come_back_for_as_long_as_its_ticket_is_valid() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let withdrawn = scene.enqueue("withdrawn", "linux", 1);
    let abandoned = scene.enqueue("abandoned", "linux", 1);
    scene.withdraw(&withdrawn);
    scene.pass(30);
    for _ in 0..25 {
        scene.be_unknown(&withdrawn);
        scene.be_unknown(&abandoned);
        scene.be_stopped_for(3600);
    }
    assert!(scene.queue.retired.is_empty());
    scene.be_unknown(&withdrawn);
}

#[test]
fn the_ticket_of_a_job_that_is_over_is_not_the_ticket_of_a_later_one_of_its_name() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let earlier = scene.enqueue("job", "linux", 1);
    scene.withdraw(&earlier);
    let later = scene.enqueue("job", "linux", 1);
    assert_ne!(earlier, later);
    scene.be_unknown(&earlier);
    scene.withdraw(&earlier);
    assert_eq!(scene.wait(&later).ahead, 0);
}

#[test]
fn the_ticket_of_a_job_whose_name_another_has_taken_is_of_no_use() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[]));
    let earlier = scene.enqueue("job", "linux", 1);
    scene.restart();
    scene.report("a", linux(2, &[]));
    let later = scene.enqueue("job", "linux", 2);
    scene.be_unknown(&earlier);
    assert_eq!(
        scene.try_withdraw(ticket(&earlier)),
        Err(Refusal::UnknownJob)
    );
    assert_eq!(scene.wait(&later).ahead, 0);
    assert_eq!(scene.queue.jobs().count(), 1);
}

#[test]
fn two_tickets_of_two_queues_for_the_same_request_are_for_one_job() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let lost = scene.enqueue("job", "linux", 1);
    scene.restart();
    scene.report("a", linux(1, &[]));
    let found = scene.enqueue("job", "linux", 1);
    assert_ne!(lost, found);
    scene.wait(&lost);
    scene.wait(&found);
    assert_eq!(scene.queue.jobs().count(), 1);
    // And once it is over it is over for both.
    scene.withdraw(&lost);
    scene.be_unknown(&lost);
    scene.be_unknown(&found);
}

#[test]
fn of_two_tickets_for_one_job_the_older_one_says_where_it_stands() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let older = scene.enqueue("job", "linux", 1);
    let between = scene.enqueue("between", "linux", 1);
    scene.restart();
    scene.report("a", linux(1, &[]));
    // The first of several tries to enqueue it was under way all the time.
    let newer = scene.enqueue("job", "linux", 1);
    assert_eq!(scene.wait(&between).ahead, 0);
    assert_eq!(scene.wait(&newer).ahead, 1);
    assert_eq!(scene.wait(&older).ahead, 0);
    assert_eq!(scene.wait(&between).ahead, 1);
    assert_eq!(scene.wait(&newer).ahead, 0, "it is the same job");
    scene.settle();
    scene.report("a", linux(1, &[1]));
    let forward = scene.forwarded("job", "a");
    assert_eq!(scene.wait(&older).ahead, 0);
    scene.grant(&forward, &[1]);
    assert_eq!(scene.get(&older), [1]);
    assert_eq!(scene.get(&newer), [1]);
    scene.assert_quiet();
}

/// Two jobs enqueued one after the other at a queue that was then restarted. An enqueue of the
/// first one, sent before the restart, arrives after the second one's ticket.
fn first_job_recreated_behind_second() -> (Scene, Claims, Claims) {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let first = scene.enqueue("first", "linux", 1);
    let second = scene.enqueue("second", "linux", 1);
    scene.restart();
    scene.report("a", linux(1, &[]));
    scene.wait(&second);
    let recreated = scene.enqueue("first", "linux", 1);
    assert!(recreated.enqueued_at > second.enqueued_at);
    (scene, first, second)
}

#[test]
fn order_follows_the_oldest_ticket_that_the_queue_has_seen() {
    // The older ticket arrives before the first runner: its job is first.
    let (mut scene, first, _) = first_job_recreated_behind_second();
    scene.wait(&first);
    scene.settle();
    scene.report("a", linux(1, &[1]));
    scene.forwarded("first", "a");

    // It arrives after the first runner was assigned: the queue could not know of it.
    let (mut scene, first, second) = first_job_recreated_behind_second();
    scene.settle();
    scene.report("a", linux(1, &[1]));
    scene.forwarded("second", "a");
    assert_eq!(scene.wait(&second).ahead, 0);
    assert_eq!(scene.wait(&first).ahead, 0);
    assert_eq!(scene.wait(&second).ahead, 1);
}

#[test]
fn a_job_that_is_being_forwarded_takes_the_place_of_an_older_ticket() {
    let (mut scene, first, second) = first_job_recreated_behind_second();
    scene.settle();
    scene.report("a", linux(2, &[1, 2]));
    let of_second = scene.forwarded("second", "a");
    let of_first = scene.forwarded("first", "a");
    assert_eq!(scene.wait(&first).ahead, 0);
    assert_eq!(scene.wait(&second).ahead, 1);
    scene.refuse(&of_second);
    scene.refuse(&of_first);
    assert_eq!(scene.wait(&second).ahead, 1);
    scene.report("a", linux(2, &[3]));
    let of_first = scene.forwarded("first", "a");
    scene.grant(&of_first, &[3]);
    assert_eq!(scene.get(&first), [3]);
}

#[test]
fn a_job_whose_runner_died_before_delivery_returns_to_the_place_of_an_older_ticket() {
    let (mut scene, first, second) = first_job_recreated_behind_second();
    scene.settle();
    scene.report("a", linux(2, &[1, 2]));
    scene.forwarded("second", "a");
    let of_first = scene.forwarded("first", "a");
    scene.grant(&of_first, &[2]);
    // The older ticket is answered with the runners, but its client had hung up.
    assert_eq!(scene.get(&first), [2]);
    scene.handle(Input::Undelivered {
        unique_id: "first".parse().unwrap(),
    });
    scene.pass(1);
    scene.report("a", linux(2, &[]));
    assert_eq!(scene.wait(&second).ahead, 1);
    assert_eq!(scene.wait(&first).ahead, 0);
}

#[test]
fn a_reservation_of_an_earlier_job_of_the_same_name_is_not_taken_up() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    let earlier = ticket.enqueued_at - Duration::from_micros(1);
    // A fencing token of any size says nothing about which of them is meant.
    for sequence in [1, u64::MAX] {
        let held = linux(1, &[]).holds("job", &[1], sequence);
        scene.report("a", held.enqueued_at("job", earlier));
        scene.assert_quiet();
        let served = linux(1, &[]).has_served("job", &[1], sequence);
        scene.report("a", served.enqueued_at("job", earlier));
        assert_eq!(scene.wait(&ticket).ahead, 0);
    }
}

#[test]
fn a_reservation_of_the_same_job_is_known_by_when_it_was_enqueued() {
    for sequence in [1, u64::MAX] {
        let mut scene = Scene::with(&["a"]);
        scene.report("a", linux(1, &[]));
        let ticket = scene.enqueue("job", "linux", 1);
        let held = linux(1, &[]).holds("job", &[1], sequence);
        scene.report("a", held.enqueued_at("job", ticket.enqueued_at));
        let forward = scene.forwarded("job", "a");
        assert_eq!(forward.enqueued_at, ticket.enqueued_at);
    }
}

#[test]
fn a_reservation_of_unknown_enqueueing_is_of_this_job_if_a_queue_made_it() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(1, &[]));
    let ticket = scene.enqueue("job", "linux", 1);
    // Taken by a person, under the same name.
    scene.report("a", linux(1, &[]).holds("job", &[1], 0));
    scene.assert_quiet();
    scene.report("a", linux(1, &[]).has_served("job", &[1], 0));
    assert_eq!(scene.wait(&ticket).ahead, 0);
    // An older monitor, or an older queue.
    scene.report("a", linux(1, &[]).holds("job", &[1], 1));
    scene.forwarded("job", "a");
}

#[test]
fn runners_that_went_unused_are_replaced_and_the_job_has_its_old_place() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1]));
    let unlucky = scene.enqueue("unlucky", "linux", 1);
    let forward = scene.forwarded("unlucky", "a");
    scene.grant(&forward, &[1]);
    assert_eq!(scene.get(&unlucky), [1]);
    let other = scene.enqueue("other", "linux", 1);
    scene.pass(1);
    scene.report("a", linux(2, &[]));
    assert_eq!(scene.wait(&unlucky).ahead, 0);
    assert_eq!(scene.wait(&other).ahead, 1);
    scene.report("a", linux(2, &[2]));
    let forward = scene.forwarded("unlucky", "a");
    scene.grant(&forward, &[2]);
    assert_eq!(scene.get(&unlucky), [2]);
}

#[test]
fn a_runner_that_died_before_its_client_was_told_is_replaced() {
    let mut scene = Scene::with(&["a"]);
    scene.report("a", linux(2, &[1]));
    let ticket = scene.enqueue("job", "linux", 1);
    let forward = scene.forwarded("job", "a");
    scene.grant(&forward, &[1]);
    scene.pass(1);
    scene.report("a", linux(2, &[]));
    assert_eq!(scene.wait(&ticket).ahead, 0);
    scene.report("a", linux(2, &[2]));
    scene.forwarded("job", "a");
}
