//! Reservations whose labels GitHub has to be told.

use shared::wire::RunnerStatus;

use crate::{
    LabelPolicy, TakeOutcome, TakeRefusal,
    testing::{TestPool, policy, unique_id},
};

fn pool(target: usize) -> TestPool {
    let mut settings = policy(&[("linux", target)]);
    settings.labels = LabelPolicy::OnTake;
    let mut pool = TestPool::new(settings);
    pool.settle();
    pool
}

fn labels(pool: &mut TestPool, id: u64) -> Vec<String> {
    let labels = &pool.world.registration(id).labels;
    labels.iter().map(|label| label.name.clone()).collect()
}

fn perform_all(pool: &mut TestPool) {
    for task in pool.begin() {
        pool.perform(task);
    }
}

const BORN_WITH: [&str; 3] = ["self-hosted", "X64", "profile-label"];

#[test]
fn a_take_is_told_only_when_github_has_its_labels() {
    let mut pool = pool(2);
    assert_eq!(labels(&mut pool, 0), BORN_WITH);
    let since = pool.now.as_seconds();
    pool.take("a", "linux", 2).unwrap();
    assert_eq!(
        pool.monitor.take_outcome(&unique_id("a")),
        TakeOutcome::AwaitingLabels
    );
    assert_eq!(pool.steps(), ["add the labels of a: a take waits for them"]);
    perform_all(&mut pool);
    for id in [0, 1] {
        let expected = [
            "reserved-for:a".to_owned(),
            format!("reserved-since:{since}"),
            "reserved-by:owner/repo/actions/runs/1".to_owned(),
        ];
        assert_eq!(labels(&mut pool, id)[3..], expected);
    }
    let TakeOutcome::Runners(runners) = pool.monitor.take_outcome(&unique_id("a")) else {
        panic!("the labels are there");
    };
    assert_eq!(runners[0].label.as_deref(), Some("reserved-for:a"));
    assert_eq!(pool.plan(), Default::default());
}

#[test]
fn labels_that_github_does_not_take_undo_the_take() {
    for deeds in [0, 1] {
        let mut pool = pool(2);
        pool.take("a", "linux", 2).unwrap();
        pool.world.deeds_left = Some(deeds);
        perform_all(&mut pool);
        pool.world.deeds_left = None;
        assert_eq!(
            pool.monitor.take_outcome(&unique_id("a")),
            TakeOutcome::Ended,
            "{deeds}"
        );
        assert_eq!(
            pool.statuses(),
            [RunnerStatus::Starting; 2],
            "not idle with stray labels"
        );
        assert_eq!(
            pool.take("b", "linux", 1),
            Err(TakeRefusal::NoCapacity),
            "{deeds}"
        );
        perform_all(&mut pool);
        assert_eq!(
            (labels(&mut pool, 0), labels(&mut pool, 1)),
            (
                BORN_WITH.map(String::from).into(),
                BORN_WITH.map(String::from).into()
            )
        );
        assert_eq!(pool.statuses(), [RunnerStatus::Idle; 2], "{deeds}");
    }
}

#[test]
fn a_release_removes_the_labels_and_a_runner_that_keeps_them_is_destroyed() {
    for is_removable in [true, false] {
        let mut pool = pool(1);
        pool.take("a", "linux", 1).unwrap();
        perform_all(&mut pool);
        pool.monitor.release(&unique_id("a"), None, false, pool.now);
        assert_eq!(pool.statuses(), [RunnerStatus::Starting]);
        assert_eq!(
            pool.steps(),
            ["remove labels from runner 0: their reservation has ended"]
        );
        pool.world.deeds_left = (!is_removable).then_some(0);
        perform_all(&mut pool);
        pool.world.deeds_left = None;
        if is_removable {
            assert_eq!(labels(&mut pool, 0), BORN_WITH);
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
fn a_release_while_labels_are_on_their_way_removes_them_after_they_have_arrived() {
    let mut pool = pool(1);
    pool.take("a", "linux", 1).unwrap();
    let task = pool.begin().pop().unwrap();
    pool.monitor.release(&unique_id("a"), None, false, pool.now);
    assert_eq!(pool.steps(), [""; 0]);
    pool.perform(task);
    assert_eq!(labels(&mut pool, 0).len(), 6);
    assert_eq!(pool.statuses(), [RunnerStatus::Starting]);
    perform_all(&mut pool);
    assert_eq!(labels(&mut pool, 0), BORN_WITH);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

#[test]
fn labels_that_arrive_late_do_not_count_for_a_later_reservation_of_the_same_job() {
    let mut pool = pool(2);
    pool.take("a", "linux", 1).unwrap();
    let late = pool.begin().pop().unwrap();
    pool.monitor.release(&unique_id("a"), None, false, pool.now);
    pool.take("a", "linux", 1).unwrap();
    pool.perform(late);
    assert_eq!(
        pool.monitor.take_outcome(&unique_id("a")),
        TakeOutcome::AwaitingLabels
    );
    perform_all(&mut pool);
    assert_eq!(pool.take("a", "linux", 1), Ok(vec![1]));
    assert_eq!(labels(&mut pool, 0), BORN_WITH);
}

#[test]
fn a_restart_adds_labels_that_were_not_confirmed() {
    let mut pool = pool(1);
    pool.take("a", "linux", 1).unwrap();
    pool.begin();
    pool.restart();
    pool.look();
    assert_eq!(pool.steps(), ["add the labels of a: a take waits for them"]);
    perform_all(&mut pool);
    assert_eq!(labels(&mut pool, 0).len(), 6);
}

#[test]
fn a_runner_that_gets_another_job_before_it_has_its_labels_undoes_the_take() {
    let mut pool = pool(2);
    pool.take("a", "linux", 2).unwrap();
    pool.world.start_job(0);
    pool.look();
    assert_eq!(
        pool.monitor.take_outcome(&unique_id("a")),
        TakeOutcome::Ended
    );
    assert_eq!(pool.statuses(), [RunnerStatus::Busy, RunnerStatus::Idle]);
}

#[test]
fn a_runner_that_dies_before_it_has_its_labels_undoes_the_take() {
    let mut pool = pool(2);
    pool.take("a", "linux", 2).unwrap();
    pool.world.guests.remove("ci-runner-linux.0");
    pool.look();
    let destruction = pool.begin().remove(0);
    pool.perform(destruction);
    assert_eq!(
        pool.monitor.take_outcome(&unique_id("a")),
        TakeOutcome::Ended
    );
    pool.settle();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 2]);
}
