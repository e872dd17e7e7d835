//! The rules of fencing tokens, and what becomes of released runners.

use std::time::Duration;

use shared::{values::FencingToken, wire::RunnerStatus};

use crate::{
    TakeRefusal,
    testing::{TestPool, token, unique_id},
};

#[test]
fn a_released_runner_is_idle_again_and_given_to_the_next_job() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take_with_sequence("a", "linux", 1, Some(1)).unwrap();
    pool.release("a", Some(1), false);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
    assert_eq!(pool.take("b", "linux", 1), Ok(vec![0]));
    pool.release("a", Some(1), false);
    assert_eq!(
        pool.statuses(),
        [RunnerStatus::Reserved],
        "a repeated release is harmless"
    );
}

#[test]
fn a_release_by_hand_destroys_runners_whose_label_was_given_to_a_job() {
    for sequence in [None, Some(1)] {
        let mut pool = TestPool::with_idle_linux(2);
        pool.take_with_sequence("a", "linux", 1, sequence).unwrap();
        pool.release("a", None, false);
        assert_eq!(pool.statuses(), [RunnerStatus::Done, RunnerStatus::Idle]);
        assert_eq!(pool.take("b", "linux", 1), Ok(vec![1]));
        pool.converge();
        assert_eq!(pool.status(0), None);
    }
}

#[test]
fn a_released_runner_whose_label_may_be_in_use_is_destroyed() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take("a", "linux", 1).unwrap();
    pool.release("a", None, true);
    assert_eq!(pool.statuses(), [RunnerStatus::Done]);
    assert_eq!(pool.take("b", "linux", 1), Err(TakeRefusal::NoCapacity));
    pool.restart();
    pool.poll();
    let reason = "its reservation was released after its label may have been used";
    assert_eq!(
        pool.steps(),
        [format!("destroy runner 0 (linux): {reason}")]
    );
    pool.converge();
    assert_eq!(pool.status(0), None);
}

#[test]
fn a_runner_whose_job_has_started_is_not_released() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take_with_sequence("a", "linux", 1, Some(1)).unwrap();
    pool.world.start_job(0);
    pool.poll();
    for destroys in [false, true] {
        pool.monitor
            .release(&unique_id("a"), Some(token(9)), destroys, pool.now);
        assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
        assert_eq!(
            pool.take_with_sequence("a", "linux", 1, Some(2)),
            Ok(vec![0])
        );
    }
}

#[test]
fn of_takes_and_releases_in_any_order_the_latest_token_counts() {
    enum Message {
        Take(u64),
        Release(u64),
    }
    use Message::{Release, Take};
    for (messages, is_held) in [
        (&[Take(1)][..], true),
        (&[Take(1), Release(1)], false),
        (&[Take(1), Release(2)], false),
        (&[Release(1), Take(1)], false),
        (&[Release(1), Take(2)], true),
        (&[Take(1), Take(2), Release(1)], true),
        (&[Take(1), Release(1), Take(2), Release(1)], true),
        (&[Take(2), Take(1), Release(1)], true),
        (&[Take(2), Take(1), Release(2)], false),
        (&[Release(3), Release(1), Take(2)], false),
        (&[Take(1), Release(1), Take(1)], false),
        (&[Take(1), Release(1), Take(2), Release(2), Take(2)], false),
    ] {
        let mut pool = TestPool::with_idle_linux(1);
        let mut trace = String::new();
        for message in messages {
            match *message {
                Take(sequence) => {
                    let taken = pool.take_with_sequence("a", "linux", 1, Some(sequence));
                    assert!(
                        matches!(taken, Ok(_) | Err(TakeRefusal::OutdatedToken)),
                        "{taken:?}"
                    );
                    trace += &format!("take {sequence}, ");
                }
                Release(sequence) => {
                    pool.release("a", Some(sequence), false);
                    trace += &format!("release {sequence}, ");
                }
            }
        }
        let status = [RunnerStatus::Idle, RunnerStatus::Reserved][usize::from(is_held)];
        assert_eq!(pool.statuses(), [status], "{trace}");
    }
}

#[test]
fn messages_without_a_token_are_never_outdated() {
    let mut pool = TestPool::with_idle_linux(4);
    for id in 0..2 {
        assert_eq!(pool.take("a", "linux", 1), Ok(vec![id]));
        pool.release("a", None, false);
    }
    pool.take_with_sequence("a", "linux", 1, Some(5)).unwrap();
    pool.release("a", None, false);
    assert_eq!(
        pool.statuses(),
        [
            RunnerStatus::Done,
            RunnerStatus::Done,
            RunnerStatus::Done,
            RunnerStatus::Idle
        ],
        "a release without a token ends any reservation"
    );
    let late = pool.take_with_sequence("a", "linux", 1, Some(5));
    assert_eq!(late, Err(TakeRefusal::OutdatedToken));
    assert_eq!(pool.take("a", "linux", 1), Ok(vec![3]));
}

#[test]
fn fences_are_kept_for_a_day_also_across_restarts() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.release("a", Some(3), false);
    pool.restart();
    pool.poll();
    let take = |pool: &mut TestPool| pool.take_with_sequence("a", "linux", 1, Some(3));
    assert_eq!(take(&mut pool), Err(TakeRefusal::OutdatedToken));
    pool.advance(Duration::from_secs(24 * 3600 - 1));
    pool.poll();
    assert_eq!(take(&mut pool), Err(TakeRefusal::OutdatedToken));
    pool.advance(Duration::from_secs(2));
    pool.poll();
    assert_eq!(take(&mut pool), Ok(vec![0]));
}

#[test]
fn the_highest_sequence_is_reported() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take_with_sequence("a", "linux", 1, Some(3)).unwrap();
    pool.take_with_sequence("a", "linux", 1, Some(7)).unwrap();
    pool.take_with_sequence("a", "linux", 1, Some(5)).unwrap();
    let reservation = &pool.monitor.durable.reservations[&unique_id("a")];
    assert_eq!(reservation.highest_sequence(), 7);
}

#[test]
fn a_reservation_of_two_queue_instances_ends_once_both_have_released_it() {
    let of_other = |number| FencingToken {
        instance: 2,
        sequence: number,
    };
    let mut pool = TestPool::with_idle_linux(1);
    pool.take_with_sequence("a", "linux", 1, Some(5)).unwrap();
    pool.monitor
        .release(&unique_id("a"), Some(of_other(9)), false, pool.now);
    assert_eq!(
        pool.statuses(),
        [RunnerStatus::Reserved],
        "the other instance was not granted it"
    );
    let take = pool.take_one_with_token("a", Some(of_other(10)));
    assert_eq!(take, Ok(vec![0]), "both may hand it out");
    pool.release("a", Some(5), false);
    assert_eq!(
        pool.statuses(),
        [RunnerStatus::Reserved],
        "the other instance may have handed it out"
    );
    pool.monitor
        .release(&unique_id("a"), Some(of_other(10)), false, pool.now);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

#[test]
fn the_release_of_one_queue_instance_does_not_stop_the_take_of_another() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.monitor.release(
        &unique_id("a"),
        Some(FencingToken {
            instance: 2,
            sequence: 9,
        }),
        false,
        pool.now,
    );
    assert_eq!(
        pool.take_with_sequence("a", "linux", 1, Some(5)),
        Ok(vec![0])
    );
}
