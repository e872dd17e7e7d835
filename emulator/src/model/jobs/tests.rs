//! Which job goes where, and how jobs end.

use super::*;
use crate::model::{ModelSettings, invariants::World};

#[test]
fn the_oldest_job_that_fits_goes_first() {
    let mut world = World::new();
    let other = world.queue(&["other"]);
    let first = world.queue(&["x"]);
    let second = world.queue(&["x"]);
    let a = world.online_runner("a", &["X", "more"]);
    assert_eq!(world.poll(a).unwrap().job_id, first);
    let b = world.online_runner("b", &["x"]);
    assert_eq!(world.poll(b).unwrap().job_id, second);
    assert_eq!(world.phase(other), JobPhase::Queued);
}

#[test]
fn a_job_goes_only_to_runners_of_its_owner_or_repository() {
    for (scope, fits) in [
        ("/orgs/acme", true),
        ("/repos/acme/widgets", true),
        ("/repos/acme/gadgets", false),
        ("/orgs/other", false),
    ] {
        let mut world = World::new();
        world.scope = scope.parse().unwrap();
        let runner = world.online_runner("a", &["x"]);
        world.queue(&["x"]);
        assert_eq!(world.poll(runner).is_some(), fits, "{scope}");
    }
}

#[test]
fn an_offer_says_what_to_do_and_is_repeated_until_the_job_starts() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let job = world.queue(&["x"]);
    let offer = world.poll(runner).unwrap();
    assert_eq!(
        (
            offer.job_id,
            offer.repo.as_str(),
            offer.run_id,
            offer.command.as_str()
        ),
        (job, "acme/widgets", RunId(7), "true")
    );
    assert_eq!(world.poll(runner), Some(offer));
    world.start(runner, job);
    assert_eq!(world.poll(runner), None);
}

#[test]
fn a_blocked_assignment_gives_out_nothing_new() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    world.model.block_assignment(world.now, true);
    let job = world.queue(&["x"]);
    assert_eq!(world.poll(runner), None);
    world.model.block_assignment(world.now, false);
    assert_eq!(world.poll(runner).unwrap().job_id, job);
}

#[test]
fn a_command_ends_as_its_exit_code_says() {
    for (exit_code, conclusion) in [
        (Some(0), Conclusion::Success),
        (Some(3), Conclusion::Failure),
        (None, Conclusion::Failure),
    ] {
        let mut world = World::new();
        let runner = world.online_runner("a", &["x"]);
        let job = world.queue(&["x"]);
        world.start(runner, job);
        let started_at = world.now;
        world.pass_listening(std::time::Duration::from_secs(9), &[runner]);
        world.complete(runner, job, exit_code).unwrap();
        let view = world.job(job);
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
            (Some(started_at), Some(world.now))
        );
        assert_eq!(view.runner_name.as_deref(), Some("a"));
        assert!(world.runner("a").is_none());
    }
}

#[test]
fn a_job_that_waits_is_cancelled_at_once_and_its_runner_is_free() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let first = world.queue(&["x"]);
    let second = world.queue(&["x"]);
    assert_eq!(world.poll(runner).unwrap().job_id, first);
    assert_eq!(world.model.cancel_job(world.now, first), Ok(()));
    assert_eq!(world.conclusion(first), Some(Conclusion::Cancelled));
    assert_eq!(world.try_start(runner, first), Err(Refusal::JobNotYours));
    assert_eq!(world.poll(runner).unwrap().job_id, second);
}

#[test]
fn a_job_that_runs_is_cancelled_when_its_runner_has_stopped() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let job = world.queue(&["x"]);
    world.start(runner, job);
    assert_eq!(world.renew(runner, job), super::super::JobSignal::Continue);
    assert_eq!(world.model.cancel_job(world.now, job), Ok(()));
    assert_eq!(world.phase(job), JobPhase::InProgress);
    assert_eq!(world.renew(runner, job), super::super::JobSignal::Cancel);
    world.complete(runner, job, None).unwrap();
    assert_eq!(world.conclusion(job), Some(Conclusion::Cancelled));
    // Cancelling what is over changes nothing.
    assert_eq!(world.model.cancel_job(world.now, job), Ok(()));
    assert_eq!(
        world.model.cancel_job(world.now, JobId(999)),
        Err(Refusal::NotFound)
    );
}

#[test]
fn a_run_is_cancelled_with_all_of_its_jobs_and_no_others() {
    let mut world = World::new();
    let ours = [world.queue(&["x"]), world.queue(&["y"])];
    let other = NewJob {
        run_id: RunId(8),
        ..world.new_job(&["x"])
    };
    let other = world.model.queue_job(world.now, other).unwrap();
    let repo: QualifiedRepo = "ACME/widgets".parse().unwrap();
    let now = world.now;
    assert_eq!(world.model.cancel_run(now, &repo, RunId(7)), Ok(()));
    for job in ours {
        assert_eq!(world.conclusion(job), Some(Conclusion::Cancelled));
    }
    assert_eq!(world.phase(other), JobPhase::Queued);
    assert_eq!(
        world.model.cancel_run(now, &repo, RunId(7)),
        Err(Refusal::RunOver)
    );
    assert_eq!(
        world.model.cancel_run(now, &repo, RunId(9)),
        Err(Refusal::NotFound)
    );
    let elsewhere = "acme/gadgets".parse().unwrap();
    assert_eq!(
        world.model.cancel_run(now, &elsewhere, RunId(8)),
        Err(Refusal::NotFound)
    );
}

#[test]
fn only_the_end_of_the_output_is_kept_and_no_character_is_cut() {
    let mut world = World::new();
    let id = world.queue(&["x"]);
    let job = world.model.jobs.get_mut(&id).unwrap();
    job.set_output("short".into());
    assert_eq!(job.output_tail, "short");
    job.set_output(format!("{}{}", "é".repeat(OUTPUT_LENGTH_MAX / 2), "!"));
    assert_eq!(job.output_tail.len(), OUTPUT_LENGTH_MAX - 1);
    assert!(job.output_tail.starts_with('é') && job.output_tail.ends_with("é!"));
}

#[test]
fn completed_jobs_make_room_and_open_ones_do_not() {
    let settings = ModelSettings {
        job_count_max: 2,
        ..ModelSettings::default()
    };
    let mut world = World::with(settings);
    let first = world.queue(&["x"]);
    let second = world.queue(&["x"]);
    let third = world.new_job(&["x"]);
    let refusal = world.model.queue_job(world.now, third);
    assert_eq!(refusal, Err(Refusal::Full { what: "jobs" }));
    world.model.cancel_job(world.now, second).unwrap();
    let third = world.queue(&["x"]);
    let ids: Vec<JobId> = world
        .model
        .jobs(world.now)
        .iter()
        .map(|job| job.id)
        .collect();
    assert_eq!(ids, [first, third]);
}

#[test]
fn jobs_that_no_runner_could_take_are_refused() {
    let mut world = World::new();
    let no_labels = world.new_job(&[]);
    let long = NewJob {
        command: "x".repeat(COMMAND_LENGTH_MAX + 1),
        ..world.new_job(&["x"])
    };
    for job in [no_labels, long] {
        let result = world.model.queue_job(world.now, job);
        assert!(matches!(result, Err(Refusal::Invalid(_))), "{result:?}");
    }
    assert!(world.model.jobs(world.now).is_empty());
}
