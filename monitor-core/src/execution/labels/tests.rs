//! Reservations whose labels are added at GitHub.

use std::time::Duration;

use shared::wire::RunnerStatus;

use crate::{
    LabelPolicy, TakeOutcome, TakeRefusal,
    testing::{TestPool, policy, take_of_one, token, unique_id},
};

fn pool(target: usize) -> TestPool {
    let mut settings = policy(&[("linux", target)]);
    settings.labels = LabelPolicy::OnTake;
    let mut pool = TestPool::new(settings);
    pool.converge();
    pool
}

const PROFILE_LABELS: [&str; 3] = ["self-hosted", "X64", "profile-label"];

#[test]
fn a_take_is_answered_only_once_its_labels_are_added() {
    let mut pool = pool(2);
    assert_eq!(pool.world.labels(0), PROFILE_LABELS);
    let since = pool.now.as_seconds();
    pool.take("a", "linux", 2).unwrap();
    let outcome = pool.monitor.take_outcome(&unique_id("a"));
    assert_eq!(outcome, TakeOutcome::AwaitingLabels);
    assert_eq!(
        pool.steps(),
        ["add the labels of a reservation: a take waits for them"]
    );
    pool.execute_plan();
    for id in [0, 1] {
        let expected = [
            "reserved-for:a".to_owned(),
            format!("reserved-since:{since}"),
            "reserved-by:owner/repo/actions/runs/1".to_owned(),
        ];
        assert_eq!(pool.world.labels(id)[3..], expected);
    }
    let TakeOutcome::Runners(runners) = pool.monitor.take_outcome(&unique_id("a")) else {
        panic!("the labels are there");
    };
    assert_eq!(runners[0].label.as_deref(), Some("reserved-for:a"));
    assert_eq!(pool.plan(), Default::default());
}

/// GitHub has added them, and the response was not received. A job whose workflow selects its runner by one
/// of them would get that of another job.
#[test]
fn labels_that_were_being_added_when_the_monitor_ended_are_removed_after_a_release() {
    let mut pool = pool(1);
    pool.take("a", "linux", 1).unwrap();
    let snapshot = pool.monitor.snapshot();
    pool.execute_plan();
    assert_eq!(pool.world.labels(0).len(), 6);
    pool.restart_from(&snapshot);
    pool.poll();
    pool.release("a", None, false);
    assert_eq!(pool.status(0), Some(RunnerStatus::Starting));
    pool.execute_plan();
    assert_eq!(pool.world.labels(0), PROFILE_LABELS);
}

/// A take whose client does not read the label from the response.
fn take_of_older_client(pool: &mut TestPool, id: &str) -> TakeOutcome {
    let mut take = take_of_one(id);
    take.labels_from_response = false;
    take.token = Some(token(1));
    let revision = pool.monitor.take(take, pool.now).unwrap();
    pool.monitor.handle_saved(revision);
    pool.monitor.take_outcome(&unique_id(id))
}

fn names_of(outcome: &TakeOutcome) -> Vec<&str> {
    match outcome {
        TakeOutcome::Runners(runners) => {
            let labels = runners.iter().map(|it| it.label.as_deref());
            labels.map(Option::unwrap).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn a_runner_with_its_own_label_gets_that_of_the_reservation_for_a_client_that_does_not_read_it() {
    let mut pool = TestPool::with_idle_linux(1);
    let own = pool.world.labels(0);
    assert_eq!(
        take_of_older_client(&mut pool, "a"),
        TakeOutcome::AwaitingLabels
    );
    pool.execute_plan();
    assert_eq!(pool.world.labels(0)[..2], [&own[0], "reserved-for:a"]);
    let outcome = take_of_older_client(&mut pool, "a");
    assert_eq!(names_of(&outcome), [&own[0]]);
    assert_eq!(pool.plan(), Default::default());
    pool.release("a", Some(1), false);
    assert_eq!(pool.statuses(), [RunnerStatus::Starting]);
    pool.execute_plan();
    assert_eq!(pool.world.labels(0), own);
    pool.poll_until_confirmed();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

/// GitHub shows a runner as busy only once it has begun the job that is assigned to it.
#[test]
fn a_job_that_was_assigned_by_a_label_before_its_removal_may_still_start() {
    for begins_after in [1, 4] {
        let mut pool = pool(1);
        pool.take("a", "linux", 1).unwrap();
        pool.execute_plan();
        pool.release("a", None, false);
        pool.execute_plan();
        assert_eq!(pool.world.labels(0), PROFILE_LABELS);
        for _ in 0..begins_after {
            pool.poll();
            assert_eq!(pool.take("b", "linux", 1), Err(TakeRefusal::NoCapacity));
            pool.advance(Duration::from_secs(1));
            pool.restart();
        }
        pool.world.start_job(0);
        pool.poll();
        assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    }
}

#[test]
fn a_client_that_reads_the_label_from_the_response_needs_no_other() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take_with_sequence("a", "linux", 1, Some(1)).unwrap();
    pool.assert_no_steps();
    pool.release("a", Some(1), false);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

/// The first take may have been answered: its runner must not become idle again.
#[test]
fn if_the_takes_of_a_job_disagree_and_labels_cannot_be_added_the_runner_is_destroyed() {
    for is_possible in [true, false] {
        let mut pool = TestPool::with_idle_linux(1);
        assert_eq!(pool.take("a", "linux", 1), Ok(vec![0]));
        let outcome = take_of_older_client(&mut pool, "a");
        assert_eq!(outcome, TakeOutcome::AwaitingLabels);
        pool.restart();
        pool.poll();
        pool.world.effects_left = (!is_possible).then_some(0);
        pool.execute_plan();
        pool.world.effects_left = None;
        let expected = match is_possible {
            true => RunnerStatus::Reserved,
            false => RunnerStatus::Done,
        };
        assert_eq!(pool.statuses(), [expected]);
    }
}

#[test]
fn a_job_that_starts_while_labels_are_added_for_a_second_take_keeps_its_reservation() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take("a", "linux", 1).unwrap();
    take_of_older_client(&mut pool, "a");
    pool.world.start_job(0);
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    let outcome = take_of_older_client(&mut pool, "a");
    assert_eq!(names_of(&outcome).len(), 1);
    pool.assert_no_steps();
}

#[test]
fn a_take_ends_if_its_labels_cannot_be_added() {
    for effects in [0, 1] {
        let mut pool = pool(2);
        pool.take("a", "linux", 2).unwrap();
        pool.world.effects_left = Some(effects);
        pool.execute_plan();
        pool.world.effects_left = None;
        let outcome = pool.monitor.take_outcome(&unique_id("a"));
        assert_eq!(outcome, TakeOutcome::Ended, "{effects}");
        assert_eq!(
            pool.statuses(),
            [RunnerStatus::Starting; 2],
            "a runner with leftover labels is not idle"
        );
        let other = pool.take("b", "linux", 1);
        assert_eq!(other, Err(TakeRefusal::NoCapacity), "{effects}");
        pool.execute_plan();
        for id in [0, 1] {
            assert_eq!(pool.world.labels(id), PROFILE_LABELS);
        }
        pool.poll_until_confirmed();
        assert_eq!(pool.statuses(), [RunnerStatus::Idle; 2], "{effects}");
    }
}

#[test]
fn a_release_removes_the_labels_and_a_runner_that_keeps_them_is_destroyed() {
    for is_removable in [true, false] {
        let mut pool = pool(1);
        pool.take("a", "linux", 1).unwrap();
        pool.execute_plan();
        pool.release("a", None, false);
        assert_eq!(pool.statuses(), [RunnerStatus::Starting]);
        assert_eq!(
            pool.steps(),
            ["remove labels from runner 0: their reservation has ended"]
        );
        pool.world.effects_left = (!is_removable).then_some(0);
        pool.execute_plan();
        pool.world.effects_left = None;
        if is_removable {
            assert_eq!(pool.world.labels(0), PROFILE_LABELS);
            pool.poll_until_confirmed();
            assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
        } else {
            let reason = "the labels of an earlier reservation cannot be removed";
            assert_eq!(
                pool.steps(),
                [format!("destroy runner 0 (linux): {reason}")]
            );
        }
    }
}

#[test]
fn a_release_while_labels_are_in_flight_removes_them_afterwards() {
    let mut pool = pool(1);
    pool.take("a", "linux", 1).unwrap();
    let effect = pool.begin().pop().unwrap();
    pool.release("a", None, false);
    pool.assert_no_steps();
    pool.perform(effect);
    assert_eq!(pool.world.labels(0).len(), 6);
    assert_eq!(pool.statuses(), [RunnerStatus::Starting]);
    pool.execute_plan();
    assert_eq!(pool.world.labels(0), PROFILE_LABELS);
    pool.poll_until_confirmed();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

#[test]
fn late_labels_do_not_count_for_a_later_reservation_of_the_same_job() {
    let mut pool = pool(2);
    pool.take("a", "linux", 1).unwrap();
    let late = pool.begin().pop().unwrap();
    pool.release("a", None, false);
    pool.take("a", "linux", 1).unwrap();
    pool.perform(late);
    let outcome = pool.monitor.take_outcome(&unique_id("a"));
    assert_eq!(outcome, TakeOutcome::AwaitingLabels);
    pool.execute_plan();
    assert_eq!(pool.take("a", "linux", 1), Ok(vec![1]));
    assert_eq!(pool.world.labels(0), PROFILE_LABELS);
}

#[test]
fn after_a_restart_labels_that_were_not_confirmed_are_added_again() {
    let mut pool = pool(1);
    pool.take("a", "linux", 1).unwrap();
    pool.begin();
    pool.restart();
    pool.poll();
    assert_eq!(
        pool.steps(),
        ["add the labels of a reservation: a take waits for them"]
    );
    pool.execute_plan();
    assert_eq!(pool.world.labels(0).len(), 6);
}

#[test]
fn a_take_ends_if_a_runner_gets_another_job_before_it_has_its_labels() {
    let mut pool = pool(2);
    pool.take("a", "linux", 2).unwrap();
    pool.world.start_job(0);
    pool.poll();
    assert_eq!(
        pool.monitor.take_outcome(&unique_id("a")),
        TakeOutcome::Ended
    );
    assert_eq!(pool.statuses(), [RunnerStatus::Busy, RunnerStatus::Idle]);
}

#[test]
fn a_take_ends_if_a_runner_is_lost_before_it_has_its_labels() {
    let mut pool = pool(2);
    pool.take("a", "linux", 2).unwrap();
    pool.world.guests.remove("ci-runner-linux.0");
    pool.poll();
    let destruction = pool.begin().remove(0);
    pool.perform(destruction);
    assert_eq!(
        pool.monitor.take_outcome(&unique_id("a")),
        TakeOutcome::Ended
    );
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 2]);
}
