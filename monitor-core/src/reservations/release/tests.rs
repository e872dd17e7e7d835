//! The rules of attempts, and what becomes of the runners.

use std::time::Duration;

use shared::{values::FencingToken, wire::RunnerStatus};

use crate::{
    TakeRefusal,
    testing::{TestPool, attempt_of_one, unique_id},
};

fn release(pool: &mut TestPool, id: &str, attempt: Option<u64>) {
    pool.monitor
        .release(&unique_id(id), attempt.map(attempt_of_one), false, pool.now);
}

#[test]
fn a_released_runner_is_idle_again_and_given_to_the_next() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.take("a", "linux", 1).unwrap();
    release(&mut pool, "a", None);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
    assert_eq!(pool.take("b", "linux", 1), Ok(vec![0]));
    release(&mut pool, "a", None);
    assert_eq!(
        pool.statuses(),
        [RunnerStatus::Reserved],
        "a repeated release is harmless"
    );
}

#[test]
fn a_released_runner_whose_label_may_be_known_is_destroyed() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.take("a", "linux", 1).unwrap();
    pool.monitor.release(&unique_id("a"), None, true, pool.now);
    assert_eq!(pool.statuses(), [RunnerStatus::Done]);
    assert_eq!(pool.take("b", "linux", 1), Err(TakeRefusal::NoCapacity));
    pool.restart();
    pool.look();
    let reason = "its reservation was given up and its label may be known";
    assert_eq!(
        pool.steps(),
        [format!("destroy runner 0 (linux): {reason}")]
    );
    pool.settle();
    assert_eq!(pool.status(0), None);
}

#[test]
fn a_runner_whose_job_has_started_is_not_taken_away() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.take_attempt("a", "linux", 1, Some(1)).unwrap();
    pool.world.start_job(0);
    pool.look();
    for destroys in [false, true] {
        pool.monitor
            .release(&unique_id("a"), Some(attempt_of_one(9)), destroys, pool.now);
        assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
        assert_eq!(pool.take_attempt("a", "linux", 1, Some(2)), Ok(vec![0]));
    }
}

#[test]
fn of_takes_and_releases_in_any_order_the_latest_attempt_counts() {
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
        let mut pool = TestPool::with_idle(&[("linux", 1)]);
        let mut trace = String::new();
        for message in messages {
            match *message {
                Take(attempt) => {
                    let taken = pool.take_attempt("a", "linux", 1, Some(attempt));
                    assert!(
                        matches!(taken, Ok(_) | Err(TakeRefusal::StaleAttempt)),
                        "{taken:?}"
                    );
                    trace += &format!("take {attempt}, ");
                }
                Release(attempt) => {
                    release(&mut pool, "a", Some(attempt));
                    trace += &format!("release {attempt}, ");
                }
            }
        }
        let status = [RunnerStatus::Idle, RunnerStatus::Reserved][usize::from(is_held)];
        assert_eq!(pool.statuses(), [status], "{trace}");
    }
}

#[test]
fn those_who_do_not_count_attempts_are_never_too_late() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    for _ in 0..3 {
        assert_eq!(pool.take("a", "linux", 1), Ok(vec![0]));
        release(&mut pool, "a", None);
    }
    pool.take_attempt("a", "linux", 1, Some(5)).unwrap();
    release(&mut pool, "a", None);
    assert_eq!(
        pool.statuses(),
        [RunnerStatus::Idle],
        "a person's release ends any attempt"
    );
    let late = pool.take_attempt("a", "linux", 1, Some(5));
    assert_eq!(late, Err(TakeRefusal::StaleAttempt));
    assert_eq!(pool.take("a", "linux", 1), Ok(vec![0]));
}

#[test]
fn fences_stand_over_restarts_for_a_day() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    release(&mut pool, "a", Some(3));
    pool.restart();
    pool.look();
    let take = |pool: &mut TestPool| pool.take_attempt("a", "linux", 1, Some(3));
    assert_eq!(take(&mut pool), Err(TakeRefusal::StaleAttempt));
    pool.pass(Duration::from_secs(24 * 3600 - 1));
    pool.look();
    assert_eq!(take(&mut pool), Err(TakeRefusal::StaleAttempt));
    pool.pass(Duration::from_secs(2));
    pool.look();
    assert_eq!(take(&mut pool), Ok(vec![0]));
}

#[test]
fn the_latest_attempt_is_told() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.take_attempt("a", "linux", 1, Some(3)).unwrap();
    pool.take_attempt("a", "linux", 1, Some(7)).unwrap();
    pool.take_attempt("a", "linux", 1, Some(5)).unwrap();
    let reservation = &pool.monitor.durable.reservations[&unique_id("a")];
    assert_eq!(reservation.latest_attempt(), 7);
}

#[test]
fn what_two_queues_were_given_ends_when_both_have_released_it() {
    let of_other = |number| FencingToken {
        instance: 2,
        sequence: number,
    };
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.take_attempt("a", "linux", 1, Some(5)).unwrap();
    pool.monitor
        .release(&unique_id("a"), Some(of_other(9)), false, pool.now);
    assert_eq!(
        pool.statuses(),
        [RunnerStatus::Reserved],
        "the other queue was not given it"
    );
    let take = pool.take_of("a", Some(of_other(10)));
    assert_eq!(take, Ok(vec![0]), "both may hand it out");
    release(&mut pool, "a", Some(5));
    assert_eq!(
        pool.statuses(),
        [RunnerStatus::Reserved],
        "the other queue may have handed it out"
    );
    pool.monitor
        .release(&unique_id("a"), Some(of_other(10)), false, pool.now);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

#[test]
fn a_late_take_of_one_queue_is_not_stopped_by_the_release_of_another() {
    let mut pool = TestPool::with_idle(&[("linux", 1)]);
    pool.monitor.release(
        &unique_id("a"),
        Some(FencingToken {
            instance: 2,
            sequence: 9,
        }),
        false,
        pool.now,
    );
    assert_eq!(pool.take_attempt("a", "linux", 1, Some(5)), Ok(vec![0]));
}
