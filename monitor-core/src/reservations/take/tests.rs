//! Which job gets which runner, and what a repeated take gets.

use std::{collections::BTreeSet, time::Duration};

use shared::{
    clock::Timestamp,
    registration::{Deletion, RegistrationStatus},
    wire::{ReservationState, RunnerStatus},
};

use crate::{
    LabelPolicy, RunnerId, TakeOutcome, TakeRefusal,
    state::fencing::{Fence, LatestTokens},
    testing::{TestPool, take_of_one, token, unique_id},
};

#[test]
fn the_oldest_idle_runners_of_the_profile_are_given() {
    let mut pool = TestPool::with_idle(&[("linux", 3), ("windows", 2)]);
    assert_eq!(pool.take("a", "linux", 1), Ok(vec![0]));
    assert_eq!(pool.take("b", "windows", 2), Ok(vec![3, 4]));
    assert_eq!(pool.take("c", "linux", 2), Ok(vec![1, 2]));
    assert_eq!(pool.statuses(), [RunnerStatus::Reserved; 5]);
}

/// A take for several runners never succeeds with fewer.
#[test]
fn a_take_gets_all_it_asked_for_or_none() {
    let mut pool = TestPool::with_idle_linux(3);
    let before = pool.monitor.snapshot();
    assert_eq!(pool.take("a", "linux", 4), Err(TakeRefusal::NoCapacity));
    assert_eq!(pool.take("a", "linux", 64), Err(TakeRefusal::NoCapacity));
    assert_eq!(pool.monitor.snapshot(), before);
    assert_eq!(pool.statuses(), [RunnerStatus::Idle; 3]);
    assert_eq!(pool.take("a", "linux", 3), Ok(vec![0, 1, 2]));
}

#[test]
fn only_idle_runners_are_given() {
    let mut pool = TestPool::with_idle_linux(5);
    pool.world.start_job(0);
    pool.world.drop_registration(1);
    pool.world.guests.remove("ci-runner-linux.2");
    pool.world.registration(3).status = RegistrationStatus::Offline;
    pool.poll();
    assert_eq!(pool.take("a", "linux", 2), Err(TakeRefusal::NoCapacity));
    assert_eq!(pool.take("a", "linux", 1), Ok(vec![4]));
    assert_eq!(pool.take("b", "linux", 1), Err(TakeRefusal::NoCapacity));
}

#[test]
fn a_runner_that_is_being_destroyed_is_not_given() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.profile_mut("linux").target_count = 0;
    assert_eq!(pool.begin().len(), 1);
    assert_eq!(pool.take("a", "linux", 1), Err(TakeRefusal::NoCapacity));
}

/// A lost response loses neither the runners nor the job.
#[test]
fn a_repeated_take_returns_the_same_runners_also_after_a_restart() {
    let mut pool = TestPool::with_idle_linux(3);
    assert_eq!(pool.take("a", "linux", 2), Ok(vec![0, 1]));
    assert_eq!(pool.take("a", "linux", 2), Ok(vec![0, 1]));
    pool.restart();
    assert_eq!(
        pool.take("a", "linux", 2),
        Ok(vec![0, 1]),
        "even before the first polls"
    );
    assert_eq!(pool.take("b", "linux", 1), Err(TakeRefusal::NotReady));
    pool.poll();
    assert_eq!(pool.take("a", "linux", 2), Ok(vec![0, 1]));
    assert_eq!(pool.take("b", "linux", 1), Ok(vec![2]));
}

/// GitHub's list may show a runner as idle for some time after it was reserved.
#[test]
fn while_a_list_lags_no_runner_is_given_twice() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take("a", "linux", 1).unwrap();
    for _ in 0..3 {
        pool.poll();
        assert_eq!(pool.take("b", "linux", 1), Err(TakeRefusal::NoCapacity));
    }
}

#[test]
fn a_repeated_take_with_other_parameters_is_refused() {
    let mut pool = TestPool::with_idle(&[("linux", 3), ("windows", 1)]);
    pool.take("a", "linux", 1).unwrap();
    assert_eq!(
        pool.take("a", "linux", 2),
        Err(TakeRefusal::OtherParameters)
    );
    assert_eq!(
        pool.take("a", "windows", 1),
        Err(TakeRefusal::OtherParameters)
    );
    assert_eq!(pool.take("a", "none", 1), Err(TakeRefusal::OtherParameters));
    assert_eq!(pool.take("a", "linux", 1), Ok(vec![0]));
}

#[test]
fn a_take_for_a_profile_that_is_not_in_the_settings_is_refused() {
    let mut pool = TestPool::with_idle_linux(1);
    assert_eq!(pool.take("a", "macos", 1), Err(TakeRefusal::UnknownProfile));
}

#[test]
fn a_used_reservation_returns_its_runners_until_all_are_gone() {
    let mut pool = TestPool::with_idle_linux(2);
    pool.take("a", "linux", 2).unwrap();
    let state = |pool: &TestPool| pool.reservation("a").state;
    assert_eq!(state(&pool), ReservationState::Held);
    pool.world.start_job(0);
    pool.poll();
    assert_eq!(state(&pool), ReservationState::Used);
    pool.world.end_job(0);
    pool.converge();
    assert_eq!(state(&pool), ReservationState::Used);
    assert_eq!(
        pool.take("a", "linux", 2),
        Ok(vec![0, 1]),
        "one of them is still there"
    );
    pool.run_job(1);
    assert_eq!(state(&pool), ReservationState::Finished);
    assert_eq!(pool.take("a", "linux", 2), Err(TakeRefusal::Finished));
    assert_eq!(pool.take("b", "linux", 2), Ok(vec![2, 3]));
}

#[test]
fn a_job_that_was_too_short_to_be_listed_is_found_among_the_jobs_of_its_run() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.done_jobs = Some(BTreeSet::new());
    pool.take("a", "linux", 1).unwrap();
    pool.world.start_job(0);
    pool.world.end_job(0);
    pool.poll();
    assert!(pool.begin().is_empty());
    pool.answer_job_queries();
    let reservation = &pool.monitor.durable.reservations[&unique_id("a")];
    assert_eq!(reservation.state, ReservationState::Finished);
    pool.converge();
    assert_eq!(pool.take("a", "linux", 1), Err(TakeRefusal::Finished));
}

#[test]
fn a_job_that_was_too_short_to_be_seen_may_take_again() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take("a", "linux", 1).unwrap();
    pool.world.start_job(0);
    pool.world.end_job(0);
    // GitHub answers no query about it.
    pool.converge();
    assert_eq!(pool.take("a", "linux", 1), Ok(vec![1]));
}

#[test]
fn a_reservation_that_was_never_used_ends_with_its_runners() {
    let mut pool = TestPool::with_idle_linux(2);
    pool.take("a", "linux", 2).unwrap();
    pool.advance(Duration::from_secs(201));
    pool.converge();
    assert!(pool.monitor.durable.reservations.is_empty());
    assert!(!pool.world.effects.contains(&"unregister 2".into()));
    assert_eq!(
        pool.take("a", "linux", 2),
        Ok(vec![2, 3]),
        "its job may take again"
    );
}

/// The guest ended before the job began: GitHub deletes the registration, so no job ran on it.
#[test]
fn a_job_whose_runner_ended_unused_may_take_again() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.done_jobs = Some(BTreeSet::new());
    pool.take("a", "linux", 1).unwrap();
    pool.world.guests.clear();
    pool.converge();
    assert_eq!(pool.take("a", "linux", 1), Ok(vec![1]));
}

#[test]
fn a_finished_reservation_is_forgotten_after_a_day() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take("a", "linux", 1).unwrap();
    pool.run_job(0);
    pool.advance(Duration::from_secs(24 * 3600 - 60));
    pool.converge();
    assert_eq!(pool.take("a", "linux", 1), Err(TakeRefusal::Finished));
    pool.advance(Duration::from_secs(61));
    pool.converge();
    assert_eq!(pool.take("a", "linux", 1), Ok(vec![1]));
}

#[test]
fn of_too_many_finished_reservations_and_fences_the_oldest_are_forgotten() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take("a", "linux", 1).unwrap();
    pool.run_job(0);
    let reservation = pool.reservation("a").clone();
    for number in 0..2100 {
        let mut later = reservation.clone();
        later.finished_at = Some(pool.now + Duration::from_millis(number));
        let id = unique_id(&format!("job-{number}"));
        pool.monitor.durable.reservations.insert(id, later);
        let fence = Fence {
            released: LatestTokens::default(),
            set_at: pool.now + Duration::from_millis(number),
        };
        let id = unique_id(&format!("fence-{number}"));
        pool.monitor.durable.fences.insert(id, fence);
    }
    pool.poll();
    assert_eq!(pool.monitor.durable.reservations.len(), 2000);
    assert_eq!(pool.monitor.durable.fences.len(), 2000);
    for (id, is_kept) in [("job-99", false), ("job-100", true)] {
        let reservations = &pool.monitor.durable.reservations;
        assert_eq!(reservations.contains_key(&unique_id(id)), is_kept, "{id}");
    }
}

#[test]
fn a_take_returns_label_and_runner_but_no_secret() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take_with_sequence("a", "linux", 1, Some(7)).unwrap();
    let TakeOutcome::Runners(runners) = pool.monitor.take_outcome(&unique_id("a")) else {
        panic!("the runner is ready");
    };
    let json = serde_json::to_value(&runners).unwrap();
    let label = pool.world.registration(0).labels[0].name.clone();
    assert_eq!(json[0]["label"], label.as_str());
    assert!(label.starts_with("runner:uuid-"));
    assert_eq!(json[0]["id"], 0);
    assert_eq!(json[0]["runner"]["id"], 0);
    assert_eq!(
        json[0]["runner"]["registration"]["name"],
        "ci-runner-linux.0@host"
    );
    assert_eq!(json[0]["runner"]["guest_name"], "ci-runner-linux.0");
    assert!(!json.to_string().contains("jit"));
    assert!(!json.to_string().contains("secret"));
}

#[test]
fn a_take_that_was_not_granted_has_ended() {
    let pool = TestPool::with_idle_linux(1);
    assert_eq!(
        pool.monitor.take_outcome(&unique_id("a")),
        TakeOutcome::Ended
    );
}

#[test]
fn a_reservation_that_cannot_be_saved_is_undone() {
    let mut pool = TestPool::with_idle_linux(2);
    pool.take("saved", "linux", 1).unwrap();
    let take = take_of_one("unsaved");
    let revision = pool.monitor.take(take, pool.now).unwrap();
    assert!(revision > pool.monitor.saved_revision());
    assert_eq!(pool.status(1), Some(RunnerStatus::Reserved));
    pool.monitor.handle_save_failed();
    assert_eq!(
        pool.monitor.take_outcome(&unique_id("unsaved")),
        TakeOutcome::Ended
    );
    assert_eq!(pool.status(1), Some(RunnerStatus::Idle));
    assert_eq!(pool.status(0), Some(RunnerStatus::Reserved));
}

#[test]
fn runners_keep_their_kind_of_label_when_the_setting_changes() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.monitor.policy.labels = LabelPolicy::OnTake;
    pool.profile_mut("linux").target_count = 2;
    pool.converge();
    for (id, has_own_label) in [(0, true), (1, false)] {
        let record = &pool.monitor.durable.runners[&RunnerId(id)];
        assert_eq!(record.own_label.is_some(), has_own_label, "{id}");
    }
    assert_eq!(
        pool.take("a", "linux", 1),
        Ok(vec![0]),
        "no label has to be added"
    );
    assert_eq!(
        pool.take("b", "linux", 1),
        Ok(vec![]),
        "a label has to be added first"
    );
}

fn take_of_job_enqueued_at(pool: &mut TestPool, seconds: u64) -> Result<u64, TakeRefusal> {
    let mut take = take_of_one("a");
    take.token = Some(token(seconds));
    take.enqueued_at = Some(Timestamp::from_seconds(seconds));
    pool.monitor.take(take, pool.now)
}

#[test]
fn a_later_job_of_the_same_name_gets_other_runners() {
    let mut pool = TestPool::with_idle_linux(2);
    take_of_job_enqueued_at(&mut pool, 5).unwrap();
    // Another ticket for the same job, from before.
    take_of_job_enqueued_at(&mut pool, 4).unwrap();
    pool.run_job(0);
    for seconds in [4, 5] {
        let again = take_of_job_enqueued_at(&mut pool, seconds);
        assert_eq!(again, Err(TakeRefusal::Finished), "{seconds}");
    }
    assert_eq!(
        pool.take_with_sequence("a", "linux", 1, Some(u64::MAX)),
        Err(TakeRefusal::Finished),
        "a fencing token does not tell one job from another"
    );
    let revision = take_of_job_enqueued_at(&mut pool, 6).unwrap();
    pool.monitor.handle_saved(revision);
    let TakeOutcome::Runners(runners) = pool.monitor.take_outcome(&unique_id("a")) else {
        panic!("the later job has a runner");
    };
    assert_eq!(runners[0].id, 1);
}

#[test]
fn a_repeated_take_for_a_later_ticket_of_the_same_job_returns_the_same_runners() {
    let mut pool = TestPool::with_idle_linux(2);
    take_of_job_enqueued_at(&mut pool, 5).unwrap();
    take_of_job_enqueued_at(&mut pool, 6).unwrap();
    assert_eq!(
        pool.statuses(),
        [RunnerStatus::Reserved, RunnerStatus::Idle]
    );
    let enqueued_at = pool.reservation("a").enqueued_at;
    assert_eq!(enqueued_at, Some(Timestamp::from_seconds(6)));
}

#[test]
fn a_repeated_take_has_to_be_saved_only_if_it_changes_the_reservation() {
    let mut pool = TestPool::with_idle_linux(1);
    let mut take = take_of_one("a");
    for (sequence, seconds, is_change) in [
        (5, 5, true),
        (5, 5, false),
        (4, 4, false),
        (6, 5, true),
        (6, 6, true),
        (6, 6, false),
    ] {
        let before = pool.monitor.revision();
        take.token = Some(token(sequence));
        take.enqueued_at = Some(Timestamp::from_seconds(seconds));
        let revision = pool.monitor.take(take.clone(), pool.now).unwrap();
        assert_eq!(revision > before, is_change, "{sequence} {seconds}");
    }
}

/// GitHub refuses deletions of runners that do nothing, too, so a refusal must not end the wait of a job.
#[test]
fn a_refused_deletion_protects_a_reserved_runner_but_does_not_mark_its_job_as_started() {
    let mut pool = TestPool::with_idle_linux(1);
    // Its guest may have its credential.
    pool.restart();
    pool.poll();
    pool.take("job", "linux", 1).unwrap();
    pool.advance(Duration::from_secs(201));
    pool.poll();
    assert_eq!(pool.begin().len(), 1);
    let now = pool.now;
    let deletion = Deletion::Busy;
    assert!(!pool.monitor.handle_unregistered(RunnerId(0), deletion, now));
    let state = |pool: &TestPool| pool.monitor.durable.reservations[&unique_id("job")].state;
    pool.poll();
    assert_eq!(pool.status(0), Some(RunnerStatus::Busy));
    assert_eq!(state(&pool), ReservationState::Held);
    pool.world.start_job(0);
    pool.poll();
    assert_eq!(state(&pool), ReservationState::Used);
}

#[test]
fn the_proof_of_the_latest_ticket_is_kept_and_reported() {
    let at = |micros| Some(Timestamp::from_micros(micros));
    let mut pool = TestPool::with_idle_linux(1);
    for (enqueued_at, proof, kept) in [
        (None, None, None),
        (at(5), Some("one"), Some("one")),
        // A caller that is no queue, an older queue, an older ticket.
        (None, None, Some("one")),
        (at(5), None, Some("one")),
        (at(4), Some("older"), Some("one")),
        (at(5), Some("again"), Some("again")),
        // Another time of enqueueing, which the proof is not for.
        (at(6), None, None),
        (at(7), Some("later"), Some("later")),
    ] {
        let mut take = take_of_one("job");
        (take.enqueued_at, take.proof) = (enqueued_at, proof.map(str::to_owned));
        pool.monitor.take(take, pool.now).unwrap();
        let dashboard = pool.monitor.view().unwrap().dashboard;
        let reported = dashboard.reservations.unwrap()[&unique_id("job")]
            .proof
            .clone();
        assert_eq!(reported.as_deref(), kept, "{enqueued_at:?} {proof:?}");
    }
    pool.restart();
    pool.poll();
    let dashboard = pool.monitor.view().unwrap().dashboard;
    assert_eq!(
        dashboard.reservations.unwrap()[&unique_id("job")]
            .proof
            .as_deref(),
        Some("later")
    );
}
