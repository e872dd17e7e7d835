//! Restarts of the queue, after which clients present their tickets.

use std::time::Duration;

use shared::clock::Timestamp;

use super::harness::{
    MadeBy, TestQueue, by_ticket, config, linux, no_profiles, one_job_forwarded, one_job_waiting,
    one_server, request,
};
use crate::{Config, Input, Refusal, TicketContent};

#[test]
fn restored_jobs_have_their_old_order_whatever_the_order_of_polls() {
    let mut queue = one_server(3, &[]);
    let jobs = ["first", "second", "third"];
    let tickets = jobs.map(|job| queue.enqueue(job, "linux", 1));
    queue.restart();
    for ticket in tickets.iter().rev() {
        queue.assert_waiting(ticket);
    }
    queue.report("a", linux(3, &[1, 2, 3]));
    queue.end_startup_grace();
    for job in jobs {
        queue.expect_forward(job, "a");
    }
}

#[test]
fn nothing_is_assigned_during_the_startup_grace_period() {
    let mut queue = one_server(2, &[]);
    let first = queue.enqueue("first", "linux", 1);
    let second = queue.enqueue("second", "linux", 1);
    queue.restart();
    queue.report("a", linux(2, &[1]));
    queue.assert_waiting(&second);
    queue.advance(4);
    queue.assert_waiting(&first);
    queue.assert_no_effects();
    queue.advance(1);
    queue.expect_forward("first", "a");
}

#[test]
fn the_longest_retry_after_is_the_startup_grace_period() {
    let mut queue = one_server(1, &[]);
    let tickets: Vec<_> = (0..451)
        .map(|job| queue.enqueue(&format!("job-{job}"), "linux", 1))
        .collect();
    let pauses = tickets
        .iter()
        .map(|ticket| queue.assert_waiting(ticket).retry_after_seconds);
    let pauses: Vec<u64> = pauses.collect();
    assert_eq!(
        (pauses[0], pauses[99], pauses[100], pauses[450]),
        (1, 1, 2, 5)
    );
    assert_eq!(pauses.iter().max(), Some(&config().startup_grace.as_secs()));
}

#[test]
fn a_new_job_is_behind_restored_jobs_although_the_clock_was_set_back() {
    let mut queue = one_server(2, &[]);
    let old = queue.enqueue("old", "linux", 1);
    queue.restart_with_clock_set_back(3600);
    queue.report("a", linux(2, &[]));
    queue.assert_waiting(&old);
    let new = queue.enqueue("new", "linux", 1);
    assert!(new.enqueued_at > old.enqueued_at);
    queue.end_startup_grace();
    queue.report("a", linux(2, &[1]));
    queue.expect_forward("old", "a");
    assert_eq!(queue.assert_waiting(&new).ahead, 1);
}

#[test]
fn an_assigned_job_gets_the_same_runners_after_a_restart() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(1, &[1]));
    let ticket = queue.enqueue("job", "linux", 1);
    let before = queue.expect_forward("job", "a");
    queue.grant(&before, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);

    queue.restart();
    queue.report("b", linux(1, &[2]));
    queue.report("a", linux(1, &[]).holds("job", &[1], &before));
    // Adoption does not wait for the end of the startup grace period.
    queue.assert_waiting(&ticket);
    let again = queue.expect_forward("job", "a");
    assert!(again.token > before.token);
    queue.grant(&again, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);
}

#[test]
fn a_reservation_that_is_reported_after_its_job_was_restored_is_adopted() {
    let (mut queue, ticket, before) = one_job_forwarded();
    queue.grant(&before, &[1]);

    queue.restart();
    let call = queue.take_held(&ticket, 20);
    queue.report("a", linux(1, &[]).runs("job", &[1], &before));
    let again = queue.expect_forward("job", "a");
    queue.grant(&again, &[1]);
    assert_eq!(queue.expect_runners(call), [1]);
}

#[test]
fn a_job_with_runners_of_two_servers_gets_the_same_ones_after_a_restart() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[1, 2]));
    queue.report("b", linux(1, &[3]));
    let ticket = queue.enqueue("large", "linux", 3);
    let before = [
        queue.expect_forward("large", "a"),
        queue.expect_forward("large", "b"),
    ];

    queue.restart();
    let call = queue.take_held(&ticket, 20);
    queue.report("a", linux(2, &[]).holds("large", &[1, 2], &before[0]));
    queue.assert_no_effects();
    queue.report("b", linux(1, &[]).holds("large", &[3], &before[1]));
    let at_a = queue.expect_forward("large", "a");
    let at_b = queue.expect_forward("large", "b");
    assert_eq!((at_a.count.get(), at_b.count.get()), (2, 1));
    queue.grant(&at_a, &[1, 2]);
    queue.grant(&at_b, &[3]);
    assert_eq!(queue.expect_runners(call), [1, 2, 3]);
}

#[test]
fn a_finished_job_is_not_restored() {
    let (mut queue, ticket, before) = one_job_forwarded();
    queue.grant(&before, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);
    for hears_first in [true, false] {
        queue.restart();
        if !hears_first {
            queue.assert_waiting(&ticket);
        }
        queue.report("a", linux(1, &[2]).has_finished("job", &[1], &before));
        queue.assert_unknown(&ticket);
        // Its server does not report it for ever.
        queue.report("a", linux(1, &[2]));
        queue.assert_unknown(&ticket);
    }
    queue.end_startup_grace();
}

#[test]
fn a_job_that_turns_out_to_be_finished_no_longer_blocks_those_behind_it() {
    let mut queue = TestQueue::with(&["a", "b"]);
    queue.report("a", linux(2, &[]));
    queue.report("b", linux(2, &[]));
    let large = queue.enqueue("large", "linux", 3);
    let single = queue.enqueue("single", "linux", 1);
    queue.restart();
    let calls = [queue.take_held(&large, 60), queue.take_held(&single, 60)];
    queue.report("b", linux(4, &[5]));
    queue.end_startup_grace();
    queue.assert_no_effects();
    // The server where the job has finished no longer has the profile.
    queue.report("a", no_profiles().has_finished("large", &[1, 2, 3], &large));
    queue.expect_refusal(calls[0]);
    queue.expect_forward("single", "b");
}

#[test]
fn an_expired_ticket_is_refused() {
    let (mut queue, ticket) = one_job_waiting();
    queue.pause_process(24 * 3600 - 2);
    queue.restart();
    queue.assert_waiting(&ticket);
    queue.restart();
    queue.assert_unknown(&ticket);
}

#[test]
fn a_retired_job_is_not_restored_as_long_as_its_ticket_is_valid() {
    let mut queue = one_server(1, &[]);
    let withdrawn = queue.enqueue("withdrawn", "linux", 1);
    let abandoned = queue.enqueue("abandoned", "linux", 1);
    queue.withdraw(&withdrawn);
    queue.advance(30);
    for _ in 0..25 {
        queue.assert_unknown(&withdrawn);
        queue.assert_unknown(&abandoned);
        queue.pause_process(3600);
    }
    assert!(queue.core.state.jobs.retired_is_empty());
    queue.assert_unknown(&withdrawn);
}

#[test]
fn the_ticket_of_a_retired_job_is_not_that_of_a_later_job_of_its_name() {
    let (mut queue, earlier) = one_job_waiting();
    queue.withdraw(&earlier);
    let later = queue.enqueue("job", "linux", 1);
    assert_ne!(earlier, later);
    queue.assert_unknown(&earlier);
    queue.withdraw(&earlier);
    assert_eq!(queue.assert_waiting(&later).ahead, 0);
}

#[test]
fn a_ticket_is_refused_if_a_different_job_has_its_name() {
    let mut queue = one_server(2, &[]);
    let earlier = queue.enqueue("job", "linux", 1);
    queue.restart();
    queue.report("a", linux(2, &[]));
    let later = queue.enqueue("job", "linux", 2);
    queue.assert_unknown(&earlier);
    assert_eq!(
        queue.try_withdraw(by_ticket(&earlier)),
        Err(Refusal::UnknownJob)
    );
    assert_eq!(queue.assert_waiting(&later).ahead, 0);
    assert_eq!(queue.core.jobs().count(), 1);
}

#[test]
fn two_tickets_for_the_same_request_are_for_one_job() {
    let (mut queue, lost) = one_job_waiting();
    queue.restart();
    queue.report("a", linux(1, &[]));
    let found = queue.enqueue("job", "linux", 1);
    assert_ne!(lost, found);
    queue.assert_waiting(&lost);
    queue.assert_waiting(&found);
    assert_eq!(queue.core.jobs().count(), 1);
    // A withdrawal concerns both tickets.
    queue.withdraw(&lost);
    queue.assert_unknown(&lost);
    queue.assert_unknown(&found);
}

#[test]
fn of_two_tickets_for_one_job_the_older_one_determines_the_position() {
    let mut queue = one_server(1, &[]);
    let older = queue.enqueue("job", "linux", 1);
    let between = queue.enqueue("between", "linux", 1);
    queue.restart();
    queue.report("a", linux(1, &[]));
    // The first of several tries to enqueue the job was under way during the restart.
    let newer = queue.enqueue("job", "linux", 1);
    assert_eq!(queue.assert_waiting(&between).ahead, 0);
    assert_eq!(queue.assert_waiting(&newer).ahead, 1);
    assert_eq!(queue.assert_waiting(&older).ahead, 0);
    assert_eq!(queue.assert_waiting(&between).ahead, 1);
    assert_eq!(queue.assert_waiting(&newer).ahead, 0, "it is the same job");
    queue.end_startup_grace();
    queue.report("a", linux(1, &[1]));
    let forward = queue.expect_forward("job", "a");
    assert_eq!(queue.assert_waiting(&older).ahead, 0);
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&older), [1]);
    assert_eq!(queue.take_runners(&newer), [1]);
    let mut jobs = queue.core.jobs();
    let job = jobs.find(|job| job.unique_id().as_str() == "job").unwrap();
    let tickets = job.positions().count();
    assert_eq!(tickets, 2, "repeated takes are not remembered");
    drop(jobs);
    queue.assert_no_effects();
}

/// Two jobs that were enqueued one after the other before a restart. An enqueue of the first one,
/// sent before the restart, arrives after the ticket of the second one.
fn first_job_recreated_behind_second() -> (TestQueue, TicketContent, TicketContent) {
    let mut queue = one_server(1, &[]);
    let first = queue.enqueue("first", "linux", 1);
    let second = queue.enqueue("second", "linux", 1);
    queue.restart();
    queue.report("a", linux(1, &[]));
    queue.assert_waiting(&second);
    let recreated = queue.enqueue("first", "linux", 1);
    assert!(recreated.enqueued_at > second.enqueued_at);
    (queue, first, second)
}

#[test]
fn order_follows_the_oldest_ticket_that_the_queue_has_seen() {
    // The older ticket arrives before the first runner: its job is first.
    let (mut queue, first, _) = first_job_recreated_behind_second();
    queue.assert_waiting(&first);
    queue.end_startup_grace();
    queue.report("a", linux(1, &[1]));
    queue.expect_forward("first", "a");

    // It arrives after the first runner was assigned: the queue could not know of it.
    let (mut queue, first, second) = first_job_recreated_behind_second();
    queue.end_startup_grace();
    queue.report("a", linux(1, &[1]));
    queue.expect_forward("second", "a");
    assert_eq!(queue.assert_waiting(&second).ahead, 0);
    assert_eq!(queue.assert_waiting(&first).ahead, 0);
    assert_eq!(queue.assert_waiting(&second).ahead, 1);
}

#[test]
fn a_job_that_is_being_forwarded_takes_the_position_of_an_older_ticket() {
    let (mut queue, first, second) = first_job_recreated_behind_second();
    queue.end_startup_grace();
    queue.report("a", linux(2, &[1, 2]));
    let of_second = queue.expect_forward("second", "a");
    let of_first = queue.expect_forward("first", "a");
    assert_eq!(queue.assert_waiting(&first).ahead, 0);
    assert_eq!(queue.assert_waiting(&second).ahead, 1);
    queue.refuse(&of_second);
    queue.refuse(&of_first);
    assert_eq!(queue.assert_waiting(&second).ahead, 1);
    queue.report("a", linux(2, &[3]));
    let of_first = queue.expect_forward("first", "a");
    queue.grant(&of_first, &[3]);
    assert_eq!(queue.take_runners(&first), [3]);
}

#[test]
fn a_job_whose_runner_died_before_delivery_returns_to_the_position_of_an_older_ticket() {
    let (mut queue, first, second) = first_job_recreated_behind_second();
    queue.end_startup_grace();
    queue.report("a", linux(2, &[1, 2]));
    queue.expect_forward("second", "a");
    let of_first = queue.expect_forward("first", "a");
    queue.grant(&of_first, &[2]);
    // The older ticket is answered with the runner, but the client had disconnected.
    assert_eq!(queue.take_runners(&first), [2]);
    queue.handle(Input::Undelivered {
        unique_id: "first".parse().unwrap(),
    });
    queue.advance(1);
    queue.report("a", linux(2, &[]));
    assert_eq!(queue.assert_waiting(&second).ahead, 1);
    assert_eq!(queue.assert_waiting(&first).ahead, 0);
}

#[test]
fn a_reservation_of_an_earlier_job_of_the_same_name_is_not_adopted() {
    let (mut queue, ticket) = one_job_waiting();
    let earlier = ticket.enqueued_at - Duration::from_micros(1);
    // The fencing token is no sign of which job is meant.
    for sequence in [1, u64::MAX] {
        let by = MadeBy::queue_at(earlier).with_sequence(sequence);
        queue.report("a", linux(1, &[]).holds("job", &[1], by));
        queue.assert_no_effects();
        queue.report("a", linux(1, &[]).has_finished("job", &[1], by));
        assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
    }
}

#[test]
fn a_reservation_with_the_time_of_enqueueing_of_the_job_is_adopted() {
    for sequence in [1, u64::MAX] {
        let mut queue = one_server(1, &[]);
        let ticket = queue.enqueue("job", "linux", 1);
        let by = MadeBy::from(&ticket).with_sequence(sequence);
        queue.report("a", linux(1, &[]).holds("job", &[1], by));
        let forward = queue.expect_forward("job", "a");
        assert_eq!(forward.enqueued_at, ticket.enqueued_at);
    }
}

#[test]
fn a_reservation_without_a_time_of_enqueueing_is_adopted_if_a_queue_made_it() {
    let (mut queue, ticket) = one_job_waiting();
    let by = MadeBy::no_queue();
    queue.report("a", linux(1, &[]).holds("job", &[1], by));
    queue.assert_no_effects();
    queue.report("a", linux(1, &[]).has_finished("job", &[1], by));
    assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
    let by = MadeBy::older_queue();
    queue.report("a", linux(1, &[]).holds("job", &[1], by));
    queue.expect_forward("job", "a");
}

#[test]
fn expired_runners_are_replaced_and_the_job_has_its_old_position() {
    let mut queue = one_server(2, &[1]);
    let unlucky = queue.enqueue("unlucky", "linux", 1);
    let forward = queue.expect_forward("unlucky", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&unlucky), [1]);
    let other = queue.enqueue("other", "linux", 1);
    queue.advance(1);
    queue.report("a", linux(2, &[]));
    assert_eq!(queue.assert_waiting(&unlucky).ahead, 0);
    assert_eq!(queue.assert_waiting(&other).ahead, 1);
    queue.report("a", linux(2, &[2]));
    let forward = queue.expect_forward("unlucky", "a");
    queue.grant(&forward, &[2]);
    assert_eq!(queue.take_runners(&unlucky), [2]);
}

#[test]
fn a_runner_that_died_before_delivery_is_replaced() {
    let mut queue = one_server(2, &[1]);
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    queue.advance(1);
    queue.report("a", linux(2, &[]));
    assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
    queue.report("a", linux(2, &[2]));
    queue.expect_forward("job", "a");
}

#[test]
fn a_ticket_whose_runners_expired_is_one_of_the_job_that_a_late_enqueue_recreated() {
    let mut queue = one_server(2, &[1]);
    let ticket = queue.enqueue("job", "linux", 1);
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);
    queue.advance(1);
    queue.report("a", linux(2, &[]));
    // The client never received the runners. A copy of its enqueue arrives late.
    let recreated = queue.enqueue("job", "linux", 1);
    assert!(recreated.enqueued_at > ticket.enqueued_at);
    let other = queue.enqueue("other", "linux", 1);
    assert_eq!(queue.assert_waiting(&ticket).ahead, 0);
    assert_eq!(queue.assert_waiting(&other).ahead, 1);
    queue.report("a", linux(2, &[2]));
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[2]);
    assert_eq!(queue.take_runners(&ticket), [2]);
}

/// A ticket of an earlier process, whose clock showed `enqueued_at`.
fn earlier_ticket(enqueued_at: Timestamp) -> TicketContent {
    TicketContent {
        request: request("job", "linux", 1),
        enqueued_at,
        queued_at: enqueued_at,
        lane: None,
        nonce: 0,
    }
}

#[test]
fn a_ticket_issued_before_the_clock_was_set_is_valid() {
    let now = Timestamp::from_seconds(1_000_000);
    let believable_from = now - Duration::from_secs(7 * 24 * 3600);
    let config = Config {
        believable_from,
        ..config()
    };
    let mut queue = TestQueue::with_config(config, &["a"]);
    queue.report("a", linux(1, &[]));
    let ticket = earlier_ticket(Timestamp::from_seconds(60));
    queue.assert_waiting(&ticket);
    // One of a believable time expires.
    for enqueued_at in [now - Duration::from_secs(2 * 24 * 3600), believable_from] {
        let mut old = earlier_ticket(enqueued_at);
        old.request.spec.unique_id = "old".parse().unwrap();
        queue.assert_unknown(&old);
    }
    // Its job ends once, like any other.
    queue.report("a", linux(1, &[1]));
    let forward = queue.expect_forward("job", "a");
    queue.grant(&forward, &[1]);
    assert_eq!(queue.take_runners(&ticket), [1]);
    queue.report("a", linux(1, &[]).has_finished("job", &[1], &forward));
    queue.assert_unknown(&ticket);
    queue.report("a", linux(1, &[]));
    queue.assert_unknown(&ticket);
}

#[test]
fn the_time_in_which_the_queue_did_not_run_does_not_count_against_tickets() {
    // The clock jumped forward by five days, or the queue was down for so long.
    let down_for = Duration::from_secs(5 * 24 * 3600);
    let config = Config {
        down_for,
        ..config()
    };
    let hour = Duration::from_secs(3600);
    let started_at = Timestamp::from_seconds(1_000_000);
    let ended_at = started_at - down_for;
    for (enqueued_at, is_valid) in [
        (ended_at - hour, true),
        (ended_at - hour * 25, false),
        (started_at + down_for * 1000, true),
    ] {
        let mut queue = TestQueue::with_config(config.clone(), &["a"]);
        queue.report("a", linux(1, &[]));
        let ticket = earlier_ticket(enqueued_at);
        if is_valid {
            queue.assert_waiting(&ticket);
            queue.withdraw(&ticket);
        }
        queue.assert_unknown(&ticket);
    }
    // A day after the start all of them have expired, whatever the clock showed before.
    let mut queue = TestQueue::with_config(config, &["a"]);
    queue.report("a", linux(1, &[]));
    let since_start = queue.now.since(started_at);
    queue.pause_process(24 * 3600 - since_start.as_secs());
    queue.assert_unknown(&earlier_ticket(ended_at + hour));
}

#[test]
fn the_queue_dispatches_once_the_startup_grace_period_is_over() {
    let mut queue = TestQueue::starting(&["a"]);
    assert!(!queue.core.is_dispatching(queue.now));
    queue.end_startup_grace();
    assert!(queue.core.is_dispatching(queue.now));
}
