//! Registration, deletion and labels of runners.

use std::time::Duration;

use super::*;
use crate::model::{Conclusion, JobPhase, ModelSettings, RunnerStatus, testing::TestModel};

#[test]
fn a_new_runner_is_offline_and_idle() {
    let mut github = TestModel::new();
    let view = github.register("a", &["linux", "fast"]);
    assert_eq!(
        (view.status, view.busy, view.os),
        (RunnerStatus::Offline, false, "unknown")
    );
    assert_eq!((view.ephemeral, view.runner_group_id), (true, 1));
    assert_eq!(github.runner("a"), Some(view));
}

#[test]
fn a_name_is_unique_only_in_its_scope() {
    let mut github = TestModel::new();
    github.register("a", &["x"]);
    let again = github.try_register("/orgs/acme", "a", &["x"]);
    assert_eq!(
        again.unwrap_err(),
        ModelError::NameTaken { name: "a".into() }
    );
    assert!(
        github
            .try_register("/repos/acme/widgets", "a", &["x"])
            .is_ok()
    );
    assert!(github.try_register("/orgs/acme", "A", &["x"]).is_ok());
}

#[test]
fn invalid_registrations_are_rejected_and_change_nothing() {
    let long = "x".repeat(65);
    for (name, labels, group_id, field) in [
        ("", vec!["x"], 1, "name"),
        ("a\n", vec!["x"], 1, "name"),
        (&long, vec!["x"], 1, "name"),
        ("a", vec![], 1, "labels"),
        ("a", vec![""], 1, "labels"),
        ("a", vec!["x"; 101], 1, "labels"),
        ("a", vec!["x"], 0, "runner_group_id"),
    ] {
        let mut github = TestModel::new();
        let runner = NewRunner {
            name: name.into(),
            labels: labels.iter().map(ToString::to_string).collect(),
            runner_group_id: group_id,
        };
        let scope = github.scope.clone();
        let result = github
            .model
            .register(github.now, &scope, runner, Secret::new("s"));
        let invalid = match result {
            Err(ModelError::Invalid(invalid)) => invalid.field,
            Err(ModelError::NameTooLong { length_max: 64 }) => "name",
            other => panic!("{other:?}"),
        };
        assert_eq!(invalid, field);
        assert!(github.model.runners.is_empty());
    }
}

#[test]
fn registrations_are_limited_in_number_and_rate() {
    let settings = ModelSettings {
        registration_count_max: 3,
        runner_count_max: 2,
        ..ModelSettings::default()
    };
    let mut github = TestModel::with(settings);
    let start = github.now;
    github.register("a", &["x"]);
    github.register("b", &["x"]);
    let full = github.try_register("/orgs/acme", "c", &["x"]);
    assert_eq!(full.unwrap_err(), ModelError::Full { what: "runners" });
    assert!(github.try_register("/orgs/other", "c", &["x"]).is_ok());
    let retry_at = start + Duration::from_mins(5);
    let fast = github.try_register("/orgs/third", "d", &["x"]);
    assert_eq!(
        fast.unwrap_err(),
        ModelError::TooManyRegistrations { retry_at }
    );
    github.pass(Duration::from_mins(5));
    assert!(github.try_register("/orgs/third", "d", &["x"]).is_ok());
}

#[test]
fn a_busy_runner_cannot_be_deleted() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let job = github.queue(&["x"]);
    github.start(runner, job);
    let scope = github.scope.clone();
    let refusal = github.model.delete_runner(github.now, &scope, runner.id);
    assert_eq!(refusal, Err(ModelError::RunnerBusy { name: "a".into() }));
    assert!(github.runner("a").unwrap().busy);
}

#[test]
fn deleting_a_runner_queues_its_assigned_job_again() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let job = github.queue(&["x"]);
    assert_eq!(github.poll(runner).unwrap().job_id, job);
    let scope = github.scope.clone();
    assert_eq!(
        github.model.delete_runner(github.now, &scope, runner.id),
        Ok(())
    );
    let again = github.model.delete_runner(github.now, &scope, runner.id);
    assert_eq!(again, Err(ModelError::NotFound));
    assert_eq!(github.phase(job), JobPhase::Queued);
    let other = github.online_runner("b", &["x"]);
    assert_eq!(github.poll(other).unwrap().job_id, job);
}

#[test]
fn a_runner_is_found_only_in_its_own_scope() {
    let mut github = TestModel::new();
    let id = github.register("a", &["x"]).id;
    let other: Scope = "/repos/acme/widgets".parse().unwrap();
    let now = github.now;
    assert_eq!(
        github.model.runner(now, &other, id),
        Err(ModelError::NotFound)
    );
    assert_eq!(
        github.model.delete_runner(now, &other, id),
        Err(ModelError::NotFound)
    );
    let added = github.model.add_labels(now, &other, id, vec!["y".into()]);
    assert_eq!(added, Err(ModelError::NotFound));
    assert!(github.runner("a").is_some());
}

#[test]
fn the_job_of_a_runner_that_vanishes_fails() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let job = github.queue(&["x"]);
    github.start(runner, job);
    assert_eq!(github.model.vanish(github.now, "a"), 1);
    assert_eq!(github.model.vanish(github.now, "a"), 0);
    assert!(github.runner("a").is_none());
    assert_eq!(github.conclusion(job), Some(Conclusion::Failure));
}

#[test]
fn labels_can_be_added_replaced_and_removed() {
    let mut github = TestModel::new();
    let id = github.register("a", &["linux", "one"]).id;
    let (now, scope) = (github.now, github.scope.clone());
    let names = |view: Vec<LabelView>| {
        view.into_iter()
            .map(|label| label.name)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let model = &mut github.model;
    let added = model.add_labels(now, &scope, id, vec!["ONE".into(), "two".into()]);
    assert_eq!(names(added.unwrap()), "linux one two");
    let removed = model.remove_label(now, &scope, id, "One");
    assert_eq!(names(removed.unwrap()), "linux two");
    assert_eq!(
        model.remove_label(now, &scope, id, "one"),
        Err(ModelError::NotFound)
    );
    let set = model.set_labels(now, &scope, id, vec!["three".into()]);
    assert_eq!(names(set.unwrap()), "linux three");
    let cleared = model.set_labels(now, &scope, id, vec![]);
    assert_eq!(names(cleared.unwrap()), "linux");
    assert!(model.add_labels(now, &scope, id, vec![]).is_err());
    assert_eq!(names(model.labels(now, &scope, id).unwrap()), "linux");
}

#[test]
fn adding_a_label_can_assign_a_waiting_job() {
    let mut github = TestModel::new();
    let runner = github.online_runner("a", &["x"]);
    let job = github.queue(&["x", "reserved-for:me"]);
    assert!(github.poll(runner).is_none());
    let (now, scope) = (github.now, github.scope.clone());
    let labels = vec!["Reserved-For:Me".into()];
    github
        .model
        .add_labels(now, &scope, runner.id, labels)
        .unwrap();
    assert_eq!(github.poll(runner).unwrap().job_id, job);
}
