//! Registering runners, changing their labels, and taking them off the list.

use shared::{clock::Timestamp, secret::Secret, values::InvalidValue};

use super::{
    LabelView, Model, Refusal, RunnerId, RunnerView, Scope,
    labels::{Labels, check_names},
    runner::{Runner, Work},
};

/// Longest name of a runner, in bytes. GitHub's own limit is undocumented.
const NAME_LENGTH_MAX: usize = 256;

/// What a runner is registered with.
#[derive(Clone, Debug)]
pub struct NewRunner {
    /// Its name, unique in its scope: 1 to 256 bytes without control characters.
    pub name: String,
    /// Its labels, 1 to 100.
    pub labels: Vec<String>,
    /// The group it belongs to, at least 1.
    pub runner_group_id: u64,
}

impl NewRunner {
    fn check(&self) -> Result<(), InvalidValue> {
        let name = &self.name;
        if !(1..=NAME_LENGTH_MAX).contains(&name.len()) || name.contains(|c: char| c.is_control()) {
            let allowed = "1 to 256 bytes without control characters";
            return Err(InvalidValue {
                field: "name",
                allowed,
            });
        }
        if self.runner_group_id == 0 {
            return Err(InvalidValue {
                field: "runner_group_id",
                allowed: "at least 1",
            });
        }
        check_names(&self.labels, 1)
    }
}

impl Model {
    /// Registers a single-use runner. Who shows `secret` may later open its session.
    pub fn register(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        new: NewRunner,
        secret: Secret,
    ) -> Result<RunnerView, Refusal> {
        self.advance(now);
        new.check()?;
        let mut in_scope = self
            .runners
            .values()
            .filter(|runner| runner.scope == *scope);
        if in_scope.clone().any(|runner| runner.name == new.name) {
            return Err(Refusal::NameTaken { name: new.name });
        }
        if in_scope.by_ref().count() >= self.settings.runner_count_max {
            return Err(Refusal::Full { what: "runners" });
        }
        if let Err(retry_at) = self.registrations.take(now) {
            return Err(Refusal::TooManyRegistrations { retry_at });
        }
        let id = RunnerId(self.next_id());
        let mut labels = Labels::default();
        labels.add(new.labels, || self.next_id())?;
        let runner = Runner {
            id,
            scope: scope.clone(),
            name: new.name,
            labels,
            group_id: new.runner_group_id,
            secret,
            registered_at: now,
            os: "unknown",
            session: None,
            offline_since: now,
            work: Work::Idle,
            missed_count: 0,
        };
        let view = runner.view();
        self.runners.insert(id, runner);
        self.runners_changed();
        Ok(view)
    }

    /// Removes a registration, unless it has a job. A job that was assigned to it but not started
    /// goes back to its place in the queue.
    pub fn delete_runner(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
    ) -> Result<(), Refusal> {
        self.advance(now);
        let runner = self.runner_in(scope, id)?;
        if runner.is_busy() {
            return Err(Refusal::RunnerBusy {
                name: runner.name.clone(),
            });
        }
        self.remove_runner(now, id);
        self.assign_jobs(now);
        Ok(())
    }

    /// Removes registrations by name in all scopes, busy or not, as GitHub has been reported to do; a
    /// job that ran there has failed. Says how many there were.
    pub fn vanish(&mut self, now: Timestamp, name: &str) -> usize {
        self.advance(now);
        let named = self.runners.values().filter(|runner| runner.name == name);
        let ids: Vec<RunnerId> = named.map(|runner| runner.id).collect();
        for &id in &ids {
            self.remove_runner(now, id);
        }
        self.assign_jobs(now);
        ids.len()
    }

    /// A runner's labels.
    pub fn labels(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
    ) -> Result<Vec<LabelView>, Refusal> {
        self.advance(now);
        self.runner_in(scope, id).map(|runner| runner.labels.view())
    }

    /// Adds labels, 1 to 100 of them; those it has already stay as they are.
    pub fn add_labels(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
        names: Vec<String>,
    ) -> Result<Vec<LabelView>, Refusal> {
        check_names(&names, 1)?;
        self.change_labels(now, scope, id, |labels, next_id| labels.add(names, next_id))
    }

    /// Replaces all labels that somebody made up by these, at most 100.
    pub fn set_labels(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
        names: Vec<String>,
    ) -> Result<Vec<LabelView>, Refusal> {
        check_names(&names, 0)?;
        self.change_labels(now, scope, id, |labels, next_id| {
            labels.remove_custom();
            labels.add(names, next_id)
        })
    }

    /// Removes one label.
    pub fn remove_label(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
        name: &str,
    ) -> Result<Vec<LabelView>, Refusal> {
        self.change_labels(now, scope, id, |labels, _| labels.remove(name))
    }

    /// Applies `change` to a copy, so that a refusal changes nothing.
    fn change_labels(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
        change: impl FnOnce(&mut Labels, &mut dyn FnMut() -> u64) -> Result<(), Refusal>,
    ) -> Result<Vec<LabelView>, Refusal> {
        self.advance(now);
        let mut labels = self.runner_in(scope, id)?.labels.clone();
        change(&mut labels, &mut || self.next_id())?;
        let view = labels.view();
        self.runners
            .get_mut(&id)
            .expect("it was there above")
            .labels = labels;
        self.runners_changed();
        self.assign_jobs(now);
        Ok(view)
    }

    pub(super) fn runner_in(&self, scope: &Scope, id: RunnerId) -> Result<&Runner, Refusal> {
        self.runners
            .get(&id)
            .filter(|runner| runner.scope == *scope)
            .ok_or(Refusal::NotFound)
    }
}

#[cfg(test)]
mod tests {
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
}
