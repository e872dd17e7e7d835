//! Registrations about which GitHub's lists and actions disagree, as has been reported.
//!
//! Only what GitHub shows is affected: the runner software goes on as before, and other requests
//! return the true state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::clock::Timestamp;

use super::{Model, RunnerStatus, RunnerView};

/// The name that stands for all registrations.
const ALL: &str = "*";

/// How GitHub misreports a registration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Misreport {
    /// Lists lack it.
    pub is_unlisted: bool,
    /// Lists show it as offline.
    pub is_listed_offline: bool,
    /// Lists show it as not busy.
    pub is_listed_idle: bool,
    /// Lists show it as busy.
    pub is_listed_busy: bool,
    /// Requests with its id get 404, as if the caller were not allowed to see it.
    pub is_hidden: bool,
    /// Its deletion is refused because it runs a job, although it runs none.
    pub is_ghost: bool,
}

impl Misreport {
    fn and(self, other: Self) -> Self {
        Self {
            is_unlisted: self.is_unlisted || other.is_unlisted,
            is_listed_offline: self.is_listed_offline || other.is_listed_offline,
            is_listed_idle: self.is_listed_idle || other.is_listed_idle,
            is_listed_busy: self.is_listed_busy || other.is_listed_busy,
            is_hidden: self.is_hidden || other.is_hidden,
            is_ghost: self.is_ghost || other.is_ghost,
        }
    }
}

/// The misreports by the name of the registration.
#[derive(Debug, Default)]
pub(super) struct Misreports(BTreeMap<String, Misreport>);

impl Misreports {
    pub(super) fn of(&self, name: &str) -> Misreport {
        let of = |name: &str| self.0.get(name).copied().unwrap_or_default();
        of(ALL).and(of(name))
    }

    /// The runner as a list shows it; `None` if the list lacks it.
    pub(super) fn listed(&self, mut runner: RunnerView) -> Option<RunnerView> {
        let misreport = self.of(&runner.name);
        if misreport.is_unlisted {
            return None;
        }
        if misreport.is_listed_offline {
            runner.status = RunnerStatus::Offline;
        }
        if misreport.is_listed_idle || misreport.is_listed_busy {
            runner.busy = misreport.is_listed_busy;
        }
        Some(runner)
    }
}

impl Model {
    /// Sets how the registrations of that name are misreported from now on; `*` means all. The
    /// default ends it.
    pub fn misreport(&mut self, now: Timestamp, name: &str, misreport: Misreport) {
        self.advance(now);
        if misreport == Misreport::default() {
            self.misreports.0.remove(name);
        } else {
            self.misreports.0.insert(name.to_owned(), misreport);
        }
        self.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ModelError, testing::TestModel};

    fn only(change: impl FnOnce(&mut Misreport)) -> Misreport {
        let mut misreport = Misreport::default();
        change(&mut misreport);
        misreport
    }

    #[test]
    fn a_list_can_lack_a_runner_or_misstate_it_while_its_id_tells_the_truth() {
        let mut github = TestModel::new();
        let runner = github.online_runner("a", &["x"]);
        github.online_runner("b", &["y"]);
        let job = github.queue(&["x"]);
        github.start(runner, job);
        for (misreport, expected) in [
            (Misreport::default(), Some((RunnerStatus::Online, true))),
            (only(|it| it.is_unlisted = true), None),
            (
                only(|it| it.is_listed_offline = true),
                Some((RunnerStatus::Offline, true)),
            ),
            (
                only(|it| it.is_listed_idle = true),
                Some((RunnerStatus::Online, false)),
            ),
            (
                only(|it| it.is_listed_busy = true),
                Some((RunnerStatus::Online, true)),
            ),
        ] {
            for name in ["a", ALL] {
                github.misreport(name, misreport);
                let listed = github.runner("a").map(|it| (it.status, it.busy));
                assert_eq!(listed, expected, "{misreport:?}");
                let shown = github.shown(runner).unwrap();
                assert_eq!((shown.status, shown.busy), (RunnerStatus::Online, true));
                github.misreport(name, Misreport::default());
            }
        }
    }

    #[test]
    fn a_ghost_cannot_be_deleted_and_a_hidden_runner_not_even_be_found() {
        let mut github = TestModel::new();
        let runner = github.online_runner("a", &["x"]);
        github.misreport("a", only(|it| it.is_ghost = true));
        assert!(matches!(
            github.delete(runner),
            Err(ModelError::RunnerBusy { .. })
        ));
        assert!(!github.runner("a").unwrap().busy);
        github.misreport("a", only(|it| it.is_listed_busy = true));
        assert!(github.runner("a").unwrap().busy);
        github.misreport("a", only(|it| it.is_hidden = true));
        assert_eq!(github.delete(runner), Err(ModelError::NotFound));
        assert_eq!(github.shown(runner), Err(ModelError::NotFound));
        assert!(github.runner("a").is_some());
        github.misreport("a", Misreport::default());
        assert_eq!(github.delete(runner), Ok(()));
    }
}
