//! Registration of runners, their labels, and their removal.

use shared::{clock::Timestamp, secret::Secret, values::InvalidValue};

use super::{
    LabelView, Model, ModelError, RunnerId, RunnerView, Scope,
    labels::{Labels, check_names},
    runner::{Runner, Work},
};

/// Maximum length of a runner's name, in characters (reported: actions/runner#1710).
const NAME_LENGTH_MAX: usize = 64;

/// A runner to register.
#[derive(Clone, Debug)]
pub struct NewRunner {
    /// Unique in its scope: 1 to 64 characters without control characters.
    pub name: String,
    /// 1 to 100 labels.
    pub labels: Vec<String>,
    /// At least 1.
    pub runner_group_id: u64,
}

impl NewRunner {
    fn check(&self) -> Result<(), ModelError> {
        let name = &self.name;
        if name.chars().count() > NAME_LENGTH_MAX {
            return Err(ModelError::NameTooLong {
                length_max: NAME_LENGTH_MAX,
            });
        }
        let invalid = |field, allowed| InvalidValue { field, allowed };
        if name.is_empty() || name.contains(|c: char| c.is_control()) {
            let allowed = "1 to 64 characters without control characters";
            return Err(invalid("name", allowed).into());
        }
        if self.runner_group_id == 0 {
            return Err(invalid("runner_group_id", "at least 1").into());
        }
        Ok(check_names(&self.labels, 1)?)
    }
}

impl Model {
    /// Registers a single-use runner, whose sessions are opened with `secret`.
    pub fn register(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        new: NewRunner,
        secret: Secret,
    ) -> Result<RunnerView, ModelError> {
        self.advance(now);
        new.check()?;
        let mut in_scope = self
            .runners
            .values()
            .filter(|runner| runner.scope == *scope);
        if in_scope.clone().any(|runner| runner.name == new.name) {
            return Err(ModelError::NameTaken { name: new.name });
        }
        if in_scope.by_ref().count() >= self.settings.runner_count_max {
            return Err(ModelError::Full { what: "runners" });
        }
        if let Err(retry_at) = self.registrations.count(now) {
            return Err(ModelError::TooManyRegistrations { retry_at });
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
            version: None,
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

    /// Removes a registration, unless the runner runs a job. A job that is assigned but not started is
    /// queued again at its old position.
    pub fn delete_runner(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
    ) -> Result<(), ModelError> {
        self.advance(now);
        let runner = self.runner_in(scope, id)?;
        if runner.is_busy() || self.misreports.of(&runner.name).is_ghost {
            return Err(ModelError::RunnerBusy {
                name: runner.name.clone(),
            });
        }
        self.remove_runner(now, id);
        self.assign_jobs(now);
        Ok(())
    }

    /// Removes registrations by name in all scopes, even of busy runners, as GitHub has been reported
    /// to do. Their jobs fail. Returns the number of registrations.
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

    pub fn labels(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
    ) -> Result<Vec<LabelView>, ModelError> {
        self.advance(now);
        self.runner_in(scope, id).map(|runner| runner.labels.view())
    }

    /// Adds 1 to 100 labels. Labels that the runner has already do not change.
    pub fn add_labels(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
        names: Vec<String>,
    ) -> Result<Vec<LabelView>, ModelError> {
        check_names(&names, 1)?;
        self.change_labels(now, scope, id, |labels, next_id| labels.add(names, next_id))
    }

    /// Replaces all labels that are not read-only by at most 100 others.
    pub fn set_labels(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
        names: Vec<String>,
    ) -> Result<Vec<LabelView>, ModelError> {
        check_names(&names, 0)?;
        self.change_labels(now, scope, id, |labels, next_id| {
            labels.remove_custom();
            labels.add(names, next_id)
        })
    }

    pub fn remove_label(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
        name: &str,
    ) -> Result<Vec<LabelView>, ModelError> {
        self.change_labels(now, scope, id, |labels, _| labels.remove(name))
    }

    /// Applies `change` to a copy, so that nothing changes on an error.
    fn change_labels(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
        change: impl FnOnce(&mut Labels, &mut dyn FnMut() -> u64) -> Result<(), ModelError>,
    ) -> Result<Vec<LabelView>, ModelError> {
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

    pub(super) fn runner_in(&self, scope: &Scope, id: RunnerId) -> Result<&Runner, ModelError> {
        self.runners
            .get(&id)
            .filter(|runner| runner.scope == *scope && !self.misreports.of(&runner.name).is_hidden)
            .ok_or(ModelError::NotFound)
    }
}

#[cfg(test)]
mod tests;
