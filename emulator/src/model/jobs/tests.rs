//! Assignment, completion and cancellation of jobs.

use super::*;
use crate::model::{JobSignal, ModelSettings, testing::TestModel};

#[test]
fn the_oldest_job_with_matching_labels_is_assigned_first() {
    let mut github = TestModel::new();
    let other = github.queue(&["other"]);
    let first = github.queue(&["x"]);
    let second = github.queue(&["x"]);
    let a = github.online_runner("a", &["X", "more"]);
    assert_eq!(github.poll(a).unwrap().job_id, first);
    let b = github.online_runner("b", &["x"]);
    assert_eq!(github.poll(b).unwrap().job_id, second);
    assert_eq!(github.phase(other), JobPhase::Queued);
}

#[test]
fn a_job_is_assigned_only_to_runners_of_its_owner_or_repository() {
    for (scope, fits) in [
        ("/orgs/acme", true),
        ("/repos/acme/widgets", true),
        ("/repos/acme/gadgets", false),
        ("/orgs/other", false),
    ] {
        let mut github = TestModel::new();
        github.scope = scope.parse().unwrap();
        let runner = github.online_runner("a", &["x"]);
        github.queue(&["x"]);
        assert_eq!(github.poll(runner).is_some(), fits, "{scope}");
    }
}

#[test]
fn an_offer_is_repeated_until_the_job_is_started() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let job = github.queue(&["x"]);
    let offer = github.poll(runner).unwrap();
    assert_eq!(
        (
            offer.job_id,
            offer.repo.as_str(),
            offer.run_id,
            offer.command.as_str()
        ),
        (job, "acme/widgets", RunId(7), "true")
    );
    assert_eq!(github.poll(runner), Some(offer));
    github.start(runner, job);
    assert_eq!(github.poll(runner), None);
}

#[test]
fn no_job_is_assigned_while_assignment_is_blocked() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    github.model.block_assignment(github.now, true);
    let job = github.queue(&["x"]);
    assert_eq!(github.poll(runner), None);
    github.model.block_assignment(github.now, false);
    assert_eq!(github.poll(runner).unwrap().job_id, job);
}

#[test]
fn the_exit_code_determines_the_conclusion() {
    for (exit_code, conclusion) in [
        (Some(0), Conclusion::Success),
        (Some(3), Conclusion::Failure),
        (None, Conclusion::Failure),
    ] {
        let mut github = TestModel::new();
        let runner = github.online_runner("a", &["x"]);
        let job = github.queue(&["x"]);
        github.start(runner, job);
        let started_at = github.now;
        github.pass_listening(std::time::Duration::from_secs(9), &[runner]);
        github.complete(runner, job, exit_code).unwrap();
        let view = github.job(job);
        assert_eq!(
            (view.phase, view.conclusion),
            (JobPhase::Completed, Some(conclusion))
        );
        assert_eq!(
            (view.exit_code, view.output_tail.as_str()),
            (exit_code, "bye")
        );
        assert_eq!(
            (view.started_at, view.completed_at),
            (Some(started_at), Some(github.now))
        );
        assert_eq!(view.runner_name.as_deref(), Some("a"));
        assert!(github.runner("a").is_none());
    }
}

#[test]
fn a_job_that_waits_is_cancelled_at_once_and_its_runner_is_free() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let first = github.queue(&["x"]);
    let second = github.queue(&["x"]);
    assert_eq!(github.poll(runner).unwrap().job_id, first);
    assert_eq!(github.model.cancel_job(github.now, first), Ok(()));
    assert_eq!(github.conclusion(first), Some(Conclusion::Cancelled));
    assert_eq!(
        github.try_start(runner, first),
        Err(ModelError::JobNotAssigned)
    );
    assert_eq!(github.poll(runner).unwrap().job_id, second);
}

#[test]
fn a_running_job_is_cancelled_when_its_runner_has_completed_it() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let job = github.queue(&["x"]);
    github.start(runner, job);
    assert_eq!(github.renew(runner, job), JobSignal::Continue);
    assert_eq!(github.model.cancel_job(github.now, job), Ok(()));
    assert_eq!(github.phase(job), JobPhase::InProgress);
    assert_eq!(github.renew(runner, job), JobSignal::Cancel);
    github.complete(runner, job, None).unwrap();
    assert_eq!(github.conclusion(job), Some(Conclusion::Cancelled));
    // Cancelling a completed job changes nothing.
    assert_eq!(github.model.cancel_job(github.now, job), Ok(()));
    assert_eq!(
        github.model.cancel_job(github.now, JobId(999)),
        Err(ModelError::NotFound)
    );
}

#[test]
fn cancelling_a_run_cancels_all_of_its_jobs_and_no_others() {
    let mut github = TestModel::new();
    let ours = [github.queue(&["x"]), github.queue(&["y"])];
    let other = NewJob {
        run_id: RunId(8),
        ..github.new_job(&["x"])
    };
    let other = github.model.queue_job(github.now, other).unwrap();
    let repo: QualifiedRepo = "ACME/widgets".parse().unwrap();
    let now = github.now;
    assert_eq!(github.model.cancel_run(now, &repo, RunId(7)), Ok(()));
    for job in ours {
        assert_eq!(github.conclusion(job), Some(Conclusion::Cancelled));
    }
    assert_eq!(github.phase(other), JobPhase::Queued);
    assert_eq!(
        github.model.cancel_run(now, &repo, RunId(7)),
        Err(ModelError::RunCompleted)
    );
    assert_eq!(
        github.model.cancel_run(now, &repo, RunId(9)),
        Err(ModelError::NotFound)
    );
    let elsewhere = "acme/gadgets".parse().unwrap();
    assert_eq!(
        github.model.cancel_run(now, &elsewhere, RunId(8)),
        Err(ModelError::NotFound)
    );
}

#[test]
fn the_end_of_the_output_is_kept_and_cut_at_a_character_boundary() {
    let mut github = TestModel::new();
    let id = github.queue(&["x"]);
    let job = github.model.jobs.get_mut(&id).unwrap();
    job.set_output("short".into());
    assert_eq!(job.output_tail, "short");
    job.set_output(format!("{}{}", "é".repeat(OUTPUT_LENGTH_MAX / 2), "!"));
    assert_eq!(job.output_tail.len(), OUTPUT_LENGTH_MAX - 1);
    assert!(job.output_tail.starts_with('é') && job.output_tail.ends_with("é!"));
}

#[test]
fn completed_jobs_are_dropped_for_new_ones_and_open_jobs_are_not() {
    let settings = ModelSettings {
        job_count_max: 2,
        ..ModelSettings::default()
    };
    let mut github = TestModel::with(settings);
    let first = github.queue(&["x"]);
    let second = github.queue(&["x"]);
    let third = github.new_job(&["x"]);
    let refusal = github.model.queue_job(github.now, third);
    assert_eq!(refusal, Err(ModelError::Full { what: "jobs" }));
    github.model.cancel_job(github.now, second).unwrap();
    let third = github.queue(&["x"]);
    let ids: Vec<JobId> = github
        .model
        .jobs(github.now)
        .iter()
        .map(|job| job.id)
        .collect();
    assert_eq!(ids, [first, third]);
}

#[test]
fn invalid_jobs_are_rejected() {
    let mut github = TestModel::new();
    let no_labels = github.new_job(&[]);
    let long = NewJob {
        command: "x".repeat(COMMAND_LENGTH_MAX + 1),
        ..github.new_job(&["x"])
    };
    for job in [no_labels, long] {
        let result = github.model.queue_job(github.now, job);
        assert!(matches!(result, Err(ModelError::Invalid(_))), "{result:?}");
    }
    assert!(github.model.jobs(github.now).is_empty());
}
