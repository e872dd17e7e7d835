//! The list of runners, which can be outdated.
//!
//! GitHub's list is eventually consistent: it may lack a new registration or the busy state of a
//! runner for a while. Only the list is outdated; a request for a single runner returns its current
//! state.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use shared::clock::Timestamp;

use super::{Model, ModelError, Page, PageRequest, RunnerId, RunnerView, Scope, runner::Runner};

/// The maximum number of changes that a list can lag behind.
pub const LAG_MAX: usize = 100;

/// How outdated the list of runners is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListMode {
    /// The current state.
    #[default]
    Live,
    /// The state at the time at which this was set.
    Frozen,
    /// The state so many changes ago, at most [`LAG_MAX`], but not older than when this was set.
    Lagging(usize),
}

type Snapshot = Arc<[(Scope, RunnerView)]>;

/// Past states of the list. The first one is returned; there is none when the list is live.
#[derive(Debug, Default)]
pub(super) struct Listing {
    mode: ListMode,
    past: VecDeque<Snapshot>,
}

impl Listing {
    fn set(&mut self, mode: ListMode, runners: &BTreeMap<RunnerId, Runner>) {
        self.mode = mode;
        self.past.clear();
        if mode != ListMode::Live {
            self.past.push_back(snapshot(runners));
        }
    }

    pub(super) fn runners_changed(&mut self, runners: &BTreeMap<RunnerId, Runner>) {
        let ListMode::Lagging(lag) = self.mode else {
            return;
        };
        self.past.push_back(snapshot(runners));
        while self.past.len() > lag.min(LAG_MAX) + 1 {
            self.past.pop_front();
        }
    }
}

fn snapshot(runners: &BTreeMap<RunnerId, Runner>) -> Snapshot {
    runners
        .values()
        .map(|runner| (runner.scope.clone(), runner.view()))
        .collect()
}

impl Model {
    /// Sets how outdated the list of runners is.
    pub fn set_list_mode(&mut self, now: Timestamp, mode: ListMode) {
        self.advance(now);
        self.listing.set(mode, &self.runners);
        self.changed();
    }

    pub fn list_mode(&self) -> ListMode {
        self.listing.mode
    }

    /// One page of the runners of `scope`, oldest first, optionally only the one with that name.
    pub fn runners(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        name: Option<&str>,
        page: PageRequest,
    ) -> Page<RunnerView> {
        self.advance(now);
        let is_wanted =
            |of: &Scope, its_name: &str| of == scope && name.is_none_or(|name| name == its_name);
        let wanted: Vec<RunnerView> = match self.listing.past.front() {
            Some(snapshot) => snapshot
                .iter()
                .filter(|(of, runner)| is_wanted(of, &runner.name))
                .map(|(_, runner)| runner.clone())
                .collect(),
            None => self
                .runners
                .values()
                .filter(|runner| is_wanted(&runner.scope, &runner.name))
                .map(Runner::view)
                .collect(),
        };
        let listed: Vec<RunnerView> = wanted
            .into_iter()
            .filter_map(|runner| self.misreports.listed(runner))
            .collect();
        page.cut(listed.into_iter())
    }

    /// The current state of a runner of `scope`.
    pub fn runner(
        &mut self,
        now: Timestamp,
        scope: &Scope,
        id: RunnerId,
    ) -> Result<RunnerView, ModelError> {
        self.advance(now);
        self.runner_in(scope, id).map(|runner| runner.view())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ModelSettings, NewRunner};
    use shared::secret::Secret;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn scope() -> Scope {
        "/orgs/acme".parse().unwrap()
    }

    fn register(model: &mut Model, name: &str) {
        let runner = NewRunner {
            name: name.into(),
            labels: vec!["x".into()],
            runner_group_id: 1,
        };
        model
            .register(NOW, &scope(), runner, Secret::new("s"))
            .unwrap();
    }

    fn listed(model: &mut Model) -> String {
        let page = model.runners(NOW, &scope(), None, PageRequest::new(None, Some(100)));
        assert_eq!(page.items.len(), page.total_count);
        page.items
            .iter()
            .map(|runner| runner.name.as_str())
            .collect()
    }

    #[test]
    fn a_list_is_live_frozen_or_lags_behind() {
        for (mode, expected) in [
            (ListMode::Live, ["a", "ab", "abc", "abcd"]),
            (ListMode::Frozen, ["a", "a", "a", "a"]),
            (ListMode::Lagging(0), ["a", "ab", "abc", "abcd"]),
            (ListMode::Lagging(1), ["a", "a", "ab", "abc"]),
            (ListMode::Lagging(2), ["a", "a", "a", "ab"]),
        ] {
            let mut model = Model::new(ModelSettings::default(), NOW);
            register(&mut model, "a");
            model.set_list_mode(NOW, mode);
            assert_eq!(model.list_mode(), mode);
            let mut shown = vec![listed(&mut model)];
            for name in ["b", "c", "d"] {
                register(&mut model, name);
                shown.push(listed(&mut model));
            }
            assert_eq!(shown, expected, "{mode:?}");
            model.set_list_mode(NOW, ListMode::Live);
            assert_eq!(listed(&mut model), "abcd");
        }
    }

    #[test]
    fn a_lag_without_end_is_bounded() {
        let mut model = Model::new(ModelSettings::default(), NOW);
        model.set_list_mode(NOW, ListMode::Lagging(usize::MAX));
        for n in 0..LAG_MAX + 10 {
            register(&mut model, &n.to_string());
        }
        assert_eq!(model.listing.past.len(), LAG_MAX + 1);
    }

    #[test]
    fn only_the_list_lags() {
        let mut model = Model::new(ModelSettings::default(), NOW);
        model.set_list_mode(NOW, ListMode::Frozen);
        register(&mut model, "a");
        let id = *model.runners.keys().next().unwrap();
        assert_eq!(model.runner(NOW, &scope(), id).unwrap().name, "a");
        assert_eq!(listed(&mut model), "");
    }

    #[test]
    fn a_list_can_be_filtered_by_name() {
        let mut model = Model::new(ModelSettings::default(), NOW);
        register(&mut model, "a");
        register(&mut model, "ab");
        for mode in [ListMode::Live, ListMode::Frozen] {
            model.set_list_mode(NOW, mode);
            for (name, expected) in [("a", 1), ("ab", 1), ("b", 0), ("A", 0)] {
                let page = PageRequest::new(None, None);
                let found = model.runners(NOW, &scope(), Some(name), page);
                assert_eq!(
                    (found.items.len(), found.total_count),
                    (expected, expected),
                    "{name}"
                );
            }
        }
    }
}
