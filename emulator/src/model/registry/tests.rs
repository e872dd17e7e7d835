//! Who may be registered, deleted and relabelled.

use std::time::Duration;

use super::*;
use crate::model::{Conclusion, JobPhase, ModelSettings, RunnerStatus, invariants::World};

#[test]
fn a_new_runner_is_offline_and_idle() {
    let mut world = World::new();
    let view = world.register("a", &["linux", "fast"]);
    assert_eq!(
        (view.status, view.busy, view.os),
        (RunnerStatus::Offline, false, "unknown")
    );
    assert_eq!((view.ephemeral, view.runner_group_id), (true, 1));
    assert_eq!(world.runner("a"), Some(view));
}

#[test]
fn a_name_is_taken_only_in_its_own_scope() {
    let mut world = World::new();
    world.register("a", &["x"]);
    let again = world.try_register("/orgs/acme", "a", &["x"]);
    assert_eq!(again.unwrap_err(), Refusal::NameTaken { name: "a".into() });
    assert!(
        world
            .try_register("/repos/acme/widgets", "a", &["x"])
            .is_ok()
    );
    assert!(world.try_register("/orgs/acme", "A", &["x"]).is_ok());
}

#[test]
fn wrong_registrations_are_refused_and_change_nothing() {
    let long = "x".repeat(257);
    for (name, labels, group_id, field) in [
        ("", vec!["x"], 1, "name"),
        ("a\n", vec!["x"], 1, "name"),
        (&long, vec!["x"], 1, "name"),
        ("a", vec![], 1, "labels"),
        ("a", vec![""], 1, "labels"),
        ("a", vec!["x"; 101], 1, "labels"),
        ("a", vec!["x"], 0, "runner_group_id"),
    ] {
        let mut world = World::new();
        let runner = NewRunner {
            name: name.into(),
            labels: labels.iter().map(ToString::to_string).collect(),
            runner_group_id: group_id,
        };
        let scope = world.scope.clone();
        let result = world
            .model
            .register(world.now, &scope, runner, Secret::new("s"));
        let Err(Refusal::Invalid(invalid)) = result else {
            panic!("{result:?}")
        };
        assert_eq!(invalid.field, field);
        assert!(world.model.runners.is_empty());
    }
}

#[test]
fn registrations_are_limited_in_number_and_in_pace() {
    let settings = ModelSettings {
        registration_count_max: 3,
        runner_count_max: 2,
        ..ModelSettings::default()
    };
    let mut world = World::with(settings);
    let start = world.now;
    world.register("a", &["x"]);
    world.register("b", &["x"]);
    let full = world.try_register("/orgs/acme", "c", &["x"]);
    assert_eq!(full.unwrap_err(), Refusal::Full { what: "runners" });
    assert!(world.try_register("/orgs/other", "c", &["x"]).is_ok());
    let retry_at = start + Duration::from_mins(5);
    let fast = world.try_register("/orgs/third", "d", &["x"]);
    assert_eq!(
        fast.unwrap_err(),
        Refusal::TooManyRegistrations { retry_at }
    );
    world.pass(Duration::from_mins(5));
    assert!(world.try_register("/orgs/third", "d", &["x"]).is_ok());
}

#[test]
fn a_busy_runner_cannot_be_deleted() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let job = world.queue(&["x"]);
    world.start(runner, job);
    let scope = world.scope.clone();
    let refusal = world.model.delete_runner(world.now, &scope, runner.id);
    assert_eq!(refusal, Err(Refusal::RunnerBusy { name: "a".into() }));
    assert!(world.runner("a").unwrap().busy);
}

#[test]
fn deleting_a_runner_gives_its_unstarted_job_back() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let job = world.queue(&["x"]);
    assert_eq!(world.poll(runner).unwrap().job_id, job);
    let scope = world.scope.clone();
    assert_eq!(
        world.model.delete_runner(world.now, &scope, runner.id),
        Ok(())
    );
    let again = world.model.delete_runner(world.now, &scope, runner.id);
    assert_eq!(again, Err(Refusal::NotFound));
    assert_eq!(world.phase(job), JobPhase::Queued);
    let other = world.online_runner("b", &["x"]);
    assert_eq!(world.poll(other).unwrap().job_id, job);
}

#[test]
fn a_runner_is_reached_only_through_its_own_scope() {
    let mut world = World::new();
    let id = world.register("a", &["x"]).id;
    let other: Scope = "/repos/acme/widgets".parse().unwrap();
    let now = world.now;
    assert_eq!(world.model.runner(now, &other, id), Err(Refusal::NotFound));
    assert_eq!(
        world.model.delete_runner(now, &other, id),
        Err(Refusal::NotFound)
    );
    let added = world.model.add_labels(now, &other, id, vec!["y".into()]);
    assert_eq!(added, Err(Refusal::NotFound));
    assert!(world.runner("a").is_some());
}

#[test]
fn a_runner_that_vanishes_takes_its_job_with_it() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let job = world.queue(&["x"]);
    world.start(runner, job);
    assert_eq!(world.model.vanish(world.now, "a"), 1);
    assert_eq!(world.model.vanish(world.now, "a"), 0);
    assert!(world.runner("a").is_none());
    assert_eq!(world.conclusion(job), Some(Conclusion::Failure));
}

#[test]
fn labels_can_be_added_replaced_and_removed() {
    let mut world = World::new();
    let id = world.register("a", &["linux", "one"]).id;
    let (now, scope) = (world.now, world.scope.clone());
    let names = |view: Vec<LabelView>| {
        view.into_iter()
            .map(|label| label.name)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let model = &mut world.model;
    let added = model.add_labels(now, &scope, id, vec!["ONE".into(), "two".into()]);
    assert_eq!(names(added.unwrap()), "linux one two");
    let removed = model.remove_label(now, &scope, id, "One");
    assert_eq!(names(removed.unwrap()), "linux two");
    assert_eq!(
        model.remove_label(now, &scope, id, "one"),
        Err(Refusal::NotFound)
    );
    let set = model.set_labels(now, &scope, id, vec!["three".into()]);
    assert_eq!(names(set.unwrap()), "linux three");
    let cleared = model.set_labels(now, &scope, id, vec![]);
    assert_eq!(names(cleared.unwrap()), "linux");
    assert!(model.add_labels(now, &scope, id, vec![]).is_err());
    assert_eq!(names(model.labels(now, &scope, id).unwrap()), "linux");
}

#[test]
fn a_label_that_comes_later_can_win_a_waiting_job() {
    let mut world = World::new();
    let runner = world.online_runner("a", &["x"]);
    let job = world.queue(&["x", "reserved-for:me"]);
    assert!(world.poll(runner).is_none());
    let (now, scope) = (world.now, world.scope.clone());
    let labels = vec!["Reserved-For:Me".into()];
    world
        .model
        .add_labels(now, &scope, runner.id, labels)
        .unwrap();
    assert_eq!(world.poll(runner).unwrap().job_id, job);
}
