//! Evidence for the end of a job, and what happens without it.

use std::time::Duration;

use shared::{
    registration::{Deletion, RegistrationStatus},
    values::RunId,
    wire::{ReservationState, RunnerStatus},
};

use crate::{
    JobProgress, JobQuery, RunnerId, WorkflowJobEvent, WorkflowRun,
    testing::{NO_STEPS, TestPool},
};

fn event(id: u64, has_completed: bool) -> WorkflowJobEvent {
    WorkflowJobEvent {
        runner_name: format!("ci-runner-linux.{id}@host"),
        registration_id: Some(id + 1),
        workflow_run: Some(WorkflowRun {
            qualified_repo: "owner/other".parse().unwrap(),
            run_id: RunId(77),
        }),
        has_completed,
    }
}

/// A pool whose only runner has a job; its guest does not end with the job.
fn busy() -> TestPool {
    let mut pool = TestPool::with_idle_linux(1);
    pool.world.start_job(0);
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    pool
}

/// The same, taken for a job, and GitHub has removed the registration.
fn reserved_and_gone() -> TestPool {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take("job", "linux", 1).unwrap();
    pool.world.start_job(0);
    pool.poll();
    pool.world.registrations.clear();
    pool.poll();
    pool
}

fn queries(pool: &mut TestPool) -> Vec<JobQuery> {
    pool.monitor.start_job_queries(pool.now)
}

fn answer(pool: &mut TestPool, answer: Result<JobProgress, Option<Duration>>) {
    pool.monitor
        .handle_job_progress(RunnerId(0), answer, pool.now);
}

fn guest_is_there(pool: &TestPool) -> bool {
    pool.world.guests.contains("ci-runner-linux.0")
}

#[test]
fn a_guest_last_seen_busy_is_not_destroyed_because_github_no_longer_lists_it() {
    let mut pool = busy();
    pool.world.registrations.clear();
    for _ in 0..100 {
        pool.advance(Duration::from_secs(60));
        pool.turn();
        assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    }
    pool.restart();
    pool.poll_until_confirmed();
    assert_eq!(
        pool.statuses(),
        [RunnerStatus::Busy],
        "also after a restart"
    );
    pool.assert_no_steps();
    assert!(guest_is_there(&pool));
}

#[test]
fn a_guest_last_seen_busy_goes_at_once_when_it_ends_itself() {
    let mut pool = busy();
    pool.world.end_job(0);
    pool.converge();
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
    assert_eq!(pool.status(0), None);
}

#[test]
fn a_webhook_about_the_end_of_its_job_is_evidence() {
    let mut pool = busy();
    pool.monitor.handle_webhook(&event(0, true), pool.now);
    let reason = "GitHub reports that its job has completed";
    assert_eq!(
        pool.steps(),
        [format!("destroy runner 0 (linux): {reason}")]
    );
    pool.world.registrations.clear();
    pool.converge();
    assert!(!guest_is_there(&pool));
    assert_eq!(pool.statuses(), [RunnerStatus::Idle]);
}

#[test]
fn a_webhook_about_the_end_of_a_job_does_not_overrule_a_refused_deletion() {
    let mut pool = busy();
    pool.monitor.handle_webhook(&event(0, true), pool.now);
    pool.execute_plan();
    assert!(guest_is_there(&pool), "GitHub still refuses to delete it");
    assert_eq!(pool.steps(), NO_STEPS, "the next try follows after a pause");
    pool.world.registrations.clear();
    pool.advance(Duration::from_secs(8));
    pool.converge();
    assert!(!guest_is_there(&pool));
}

#[test]
fn webhooks_about_other_runners_or_registrations_change_nothing() {
    let mut pool = busy();
    for (name, registration_id) in [
        ("ci-runner-linux.0@other", Some(1)),
        ("ci-runner-windows.0@host", Some(1)),
        ("ci-runner-linux.1@host", Some(1)),
        ("ci-runner-linux.0@host", Some(99)),
    ] {
        let event = WorkflowJobEvent {
            runner_name: name.to_owned(),
            registration_id,
            ..event(0, true)
        };
        pool.monitor.handle_webhook(&event, pool.now);
        assert_eq!(pool.statuses(), [RunnerStatus::Busy], "{name}");
    }
}

#[test]
fn a_webhook_about_a_registration_is_not_about_a_runner_that_is_not_registered_yet() {
    let mut pool = TestPool::empty_with_target(1);
    pool.poll();
    assert_eq!(pool.begin().len(), 1, "its registration is in flight");
    // Another server with the same suffix has a runner of the same name.
    pool.monitor.handle_webhook(&event(0, false), pool.now);
    assert_eq!(pool.statuses(), [RunnerStatus::Starting]);
    assert_eq!(pool.story(0), ["created"]);
}

#[test]
fn a_job_that_a_webhook_reports_counts_before_any_list_shows_it() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.monitor.handle_webhook(&event(0, false), pool.now);
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    pool.world.registrations.clear();
    pool.poll_until_confirmed();
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    let [query] = &queries(&mut pool)[..] else {
        panic!("one query");
    };
    assert_eq!(query.qualified_repo.as_str(), "owner/other");
    assert_eq!(query.run_id, RunId(77));
    // Webhooks can arrive in any order.
    pool.monitor.handle_webhook(&event(0, true), pool.now);
    pool.monitor.handle_webhook(&event(0, false), pool.now);
    assert_eq!(pool.statuses(), [RunnerStatus::Done]);
}

#[test]
fn a_webhook_about_the_start_of_a_job_is_newer_than_lists_that_do_not_show_it() {
    let mut pool = busy();
    pool.world.registration(0).busy = false;
    pool.poll_until_confirmed();
    assert_eq!(pool.steps().len(), 1);
    pool.monitor.handle_webhook(&event(0, false), pool.now);
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    pool.assert_no_steps();
}

#[test]
fn without_webhooks_the_jobs_of_the_run_are_evidence() {
    let mut pool = reserved_and_gone();
    let expected = JobQuery {
        id: RunnerId(0),
        qualified_repo: "owner/repo".parse().unwrap(),
        run_id: RunId(1),
        registration_id: Some(1),
        runner_name: "ci-runner-linux.0@host".to_owned(),
    };
    assert_eq!(queries(&mut pool), [expected]);
    assert_eq!(queries(&mut pool), [], "one is in flight");
    answer(&mut pool, Ok(JobProgress::Completed));
    assert_eq!(pool.statuses(), [RunnerStatus::Done]);
    pool.converge();
    assert!(!guest_is_there(&pool));
    assert_eq!(pool.reservation("job").state, ReservationState::Finished);
}

#[test]
fn jobs_of_a_run_without_evidence_are_queried_again_after_growing_pauses() {
    let mut pool = reserved_and_gone();
    for (pause, response) in [
        (5, Ok(JobProgress::Running)),
        (10, Ok(JobProgress::Unknown)),
        (20, Err(None)),
        (40, Err(None)),
    ] {
        assert_eq!(queries(&mut pool).len(), 1, "{pause}");
        answer(&mut pool, response);
        pool.advance(Duration::from_secs(pause) - Duration::from_millis(1));
        assert_eq!(queries(&mut pool), [], "{pause}");
        // Jitter adds up to half of it.
        pool.advance(Duration::from_secs(pause) / 2);
        assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    }
    assert!(guest_is_there(&pool));
    assert_eq!(queries(&mut pool).len(), 1);
    answer(&mut pool, Err(Some(Duration::from_secs(1000))));
    pool.advance(Duration::from_secs(999));
    assert_eq!(queries(&mut pool), [], "GitHub asked for a pause");
}

/// No list has shown it as busy, but the run has a job on it.
#[test]
fn a_reserved_runner_that_github_no_longer_lists_is_kept_if_its_job_runs() {
    for (progress, is_kept) in [(JobProgress::Running, true), (JobProgress::Unknown, false)] {
        let mut pool = TestPool::with_idle_linux(1);
        pool.take("job", "linux", 1).unwrap();
        pool.world.registrations.clear();
        pool.poll();
        assert_eq!(pool.statuses(), [RunnerStatus::Reserved]);
        assert_eq!(queries(&mut pool).len(), 1);
        answer(&mut pool, Ok(progress));
        let is_used = pool.reservation("job").state == ReservationState::Used;
        assert_eq!(is_used, is_kept, "{progress:?}");
        pool.poll_until_confirmed();
        pool.execute_plan();
        assert_eq!(guest_is_there(&pool), is_kept, "{progress:?}");
    }
}

#[test]
fn a_listed_or_unreserved_idle_runner_causes_no_query() {
    let mut pool = TestPool::with_idle_linux(2);
    pool.take("job", "linux", 1).unwrap();
    pool.world.drop_registration(1);
    pool.poll();
    assert_eq!(queries(&mut pool), []);
}

/// 404 may mean that the caller may not see it.
#[test]
fn a_deletion_of_a_busy_runner_that_finds_nothing_keeps_the_guest() {
    let mut pool = busy();
    pool.world.registration(0).busy = false;
    pool.poll_until_confirmed();
    let reason = "GitHub no longer shows it as busy";
    assert_eq!(
        pool.steps(),
        [format!("destroy runner 0 (linux): {reason}")]
    );
    pool.begin();
    let may_destroy = pool
        .monitor
        .handle_unregistered(RunnerId(0), Deletion::NotThere, pool.now);
    assert!(!may_destroy);
    assert_eq!(pool.steps(), NO_STEPS, "the next try follows after a pause");
}

/// Its guest could not be destroyed at once.
#[test]
fn a_runner_without_its_registration_is_destroyed_for_that_reason_also_if_it_was_busy() {
    let mut pool = busy();
    pool.world.registration(0).busy = false;
    pool.poll_until_confirmed();
    assert_eq!(pool.begin().len(), 1);
    let (id, now) = (RunnerId(0), pool.now);
    assert!(pool.monitor.handle_unregistered(id, Deletion::Deleted, now));
    pool.monitor.handle_destruction_failed(id, "fail", now);
    pool.world.registrations.clear();
    pool.advance(Duration::from_secs(3600));
    pool.poll();
    let reason = "GitHub has removed its registration";
    assert_eq!(
        pool.steps(),
        [format!("destroy runner 0 (linux): {reason}")]
    );
}

/// No workflow knows a label of it.
#[test]
fn a_deletion_of_an_idle_runner_that_contradicts_the_list_destroys_the_guest() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.profile_mut("linux").target_count = 0;
    assert_eq!(pool.begin().len(), 1);
    let now = pool.now;
    let deletion = Deletion::NotThere;
    assert!(pool.monitor.handle_unregistered(RunnerId(0), deletion, now));
}

/// No list has shown it as busy yet, but the list shows it, so the job may just have started.
#[test]
fn a_deletion_of_a_reserved_runner_that_contradicts_the_list_keeps_the_guest() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take("job", "linux", 1).unwrap();
    pool.release("job", None, true);
    assert_eq!(pool.begin().len(), 1);
    let (id, now) = (RunnerId(0), pool.now);
    let may_destroy = pool
        .monitor
        .handle_unregistered(id, Deletion::NotThere, now);
    assert!(!may_destroy);
    assert_eq!(
        queries(&mut pool).len(),
        1,
        "the run of the former reservation is known"
    );
    pool.world.registrations.clear();
    pool.poll_until_confirmed();
    pool.converge();
    assert!(!guest_is_there(&pool), "lists show that it is gone");
}

/// No list has shown it as busy yet, and the last one happens to lack it.
#[test]
fn one_list_and_a_deletion_that_find_no_reserved_runner_keep_the_guest() {
    let mut pool = TestPool::with_idle_linux(1);
    pool.take("job", "linux", 1).unwrap();
    pool.world.registrations.clear();
    pool.poll();
    pool.release("job", None, true);
    assert_eq!(pool.begin().len(), 1);
    let (id, now) = (RunnerId(0), pool.now);
    let deletion = Deletion::NotThere;
    assert!(!pool.monitor.handle_unregistered(id, deletion, now));
    pool.poll_until_confirmed();
    pool.converge();
    assert!(!guest_is_there(&pool), "further lists lack it, too");
}

/// The lists are requested one right after the other, so that one disturbance may be in several.
#[test]
fn a_few_lists_without_its_guest_do_not_end_a_runner_that_github_lists() {
    for (lists, is_gone) in [(1, false), (4, false), (5, true)] {
        let mut pool = TestPool::with_idle_linux(1);
        pool.take("job", "linux", 1).unwrap();
        for _ in 0..lists {
            pool.advance(Duration::from_millis(1));
            pool.monitor.handle_guests(vec![], pool.now, pool.now);
        }
        if is_gone {
            assert_eq!(pool.statuses(), [RunnerStatus::Invalid]);
            assert_eq!(pool.begin().len(), 1);
            let (id, now) = (RunnerId(0), pool.now);
            let deletion = Deletion::NotThere;
            assert!(pool.monitor.handle_unregistered(id, deletion, now));
        } else {
            assert_eq!(pool.statuses(), [RunnerStatus::Reserved], "{lists}");
            pool.assert_no_steps();
        }
    }
}

/// As long as it may be there, nothing is created in its place.
#[test]
fn a_guest_that_a_few_lists_lack_counts_against_the_capacity_while_github_lists_its_runner() {
    let mut pool = TestPool::with_idle_linux(1);
    let needs = pool.monitor.resources_in_use();
    for _ in 0..4 {
        pool.advance(Duration::from_millis(1));
        pool.monitor.handle_guests(vec![], pool.now, pool.now);
        assert_eq!(pool.monitor.resources_in_use(), needs);
    }
    pool.advance(Duration::from_millis(1));
    pool.monitor.handle_guests(vec![], pool.now, pool.now);
    assert_ne!(pool.monitor.resources_in_use(), needs);
}

#[test]
fn one_list_that_shows_a_busy_runner_as_idle_is_not_acted_upon() {
    let mut pool = busy();
    pool.world.registration(0).busy = false;
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
    pool.assert_no_steps();
    pool.world.registration(0).busy = true;
    pool.advance(Duration::from_secs(20));
    pool.poll();
    pool.world.registration(0).busy = false;
    pool.poll();
    assert_eq!(pool.statuses(), [RunnerStatus::Busy]);
}

#[test]
fn a_runner_that_was_busy_is_never_idle_again() {
    let mut pool = busy();
    pool.world.registration(0).busy = false;
    pool.world.registration(0).status = RegistrationStatus::Online;
    for _ in 0..10 {
        pool.poll();
        assert_ne!(pool.statuses(), [RunnerStatus::Idle]);
        pool.advance(Duration::from_secs(5));
    }
    pool.converge();
    assert_eq!(pool.status(0), None);
}

#[test]
fn a_guest_without_evidence_becomes_a_problem_after_ten_minutes() {
    let mut pool = busy();
    let codes = |pool: &mut TestPool| -> Vec<String> {
        pool.monitor.start_polls(pool.now);
        pool.poll();
        let problems = pool.monitor.problems().into_iter();
        problems.map(|it| it.code.into_owned()).collect()
    };
    pool.world.registrations.clear();
    pool.poll();
    pool.advance(Duration::from_secs(599));
    assert_eq!(codes(&mut pool), [""; 0]);
    pool.advance(Duration::from_secs(1));
    assert_eq!(codes(&mut pool), ["runner_kept_without_evidence"]);
    let remedy = pool.monitor.problems().remove(0).remedy;
    let command = "`ci-runners destroy-runner --monitor http://host/ 0`";
    assert!(remedy.contains(command), "{remedy}");
    let offered = |pool: &TestPool| pool.monitor.offered_counts()["linux"].target;
    assert_eq!(offered(&pool), 0, "the queue hears that it is of no use");
    pool.monitor.handle_webhook(&event(0, true), pool.now);
    assert_eq!(codes(&mut pool), [""; 0]);
    pool.converge();
    assert_eq!(offered(&pool), 1);
}
