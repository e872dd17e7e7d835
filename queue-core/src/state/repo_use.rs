//! How many runners of a profile each repository has, if there is a limit.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
};

use shared::{
    clock::Timestamp,
    values::{Count, ProfileKey, QualifiedRepo},
};

use super::State;

/// How many runners of a profile the jobs of each repository have or are about to get.
#[derive(Clone, Debug)]
pub struct RepoUse {
    /// The most that one may have.
    pub max: usize,
    used: BTreeMap<QualifiedRepo, usize>,
}

impl RepoUse {
    /// How many this repository has.
    pub fn of(&self, repo: &QualifiedRepo) -> usize {
        self.used.get(repo).copied().unwrap_or_default()
    }

    /// Whether it may have so many more. One job may have more than the limit, if its repository has no others.
    pub fn allows(&self, repo: &QualifiedRepo, count: Count) -> bool {
        let used = self.of(repo);
        used == 0 || used.saturating_add(count.get()) <= self.max
    }

    /// Adds runners that a job is about to get.
    pub fn add(&mut self, repo: &QualifiedRepo, count: Count) {
        *self.used.entry(repo.clone()).or_default() += count.get();
    }
}

/// What the repositories use of a profile, counted once, when it is first needed: that looks at every runner.
pub struct LazyRepoUse<'a> {
    state: &'a State,
    now: Timestamp,
    profile_key: &'a ProfileKey,
    counted: OnceCell<Option<RepoUse>>,
}

impl<'a> LazyRepoUse<'a> {
    /// Counts nothing yet.
    pub fn new(state: &'a State, now: Timestamp, profile_key: &'a ProfileKey) -> Self {
        Self {
            state,
            now,
            profile_key,
            counted: OnceCell::new(),
        }
    }

    /// `None` if there is no limit.
    pub fn get(&self) -> Option<&RepoUse> {
        let count = || repo_use(self.state, self.now, self.profile_key);
        self.counted.get_or_init(count).as_ref()
    }
}

/// Whether a repository may have so many more runners, for `ProfileQueue::next_waiting`.
pub fn may_have(repo_use: Option<&RepoUse>) -> impl Fn(&QualifiedRepo, Count) -> bool {
    move |repo, count| repo_use.is_none_or(|repo_use| repo_use.allows(repo, count))
}

/// What the repositories use of a profile; `None` if there is no limit. Jobs that had their runners before the
/// queue was restarted count as far as its journal tells of them.
pub fn repo_use(state: &State, now: Timestamp, profile_key: &ProfileKey) -> Option<RepoUse> {
    let max = state.config.limits.policy.as_ref()?.runners_per_repo_max?;
    let mut repo_use = RepoUse {
        max,
        used: BTreeMap::new(),
    };
    let queue = state.profile_queues.get(profile_key);
    for (repo, count) in queue.into_iter().flat_map(|queue| queue.forwarding()) {
        repo_use.add(repo, count);
    }
    for server in state.fleet.ids() {
        let mut counted = BTreeSet::new();
        for (job, runner) in state.jobs.runners_in_use(server) {
            counted.insert(runner);
            let spec = &job.request().spec;
            // Those of a job that is being forwarded were counted all at once.
            if !job.is_queued() && spec.profile_key == *profile_key {
                repo_use.add(&spec.qualified_repo, Count::ONE);
            }
        }
        // What is not known from reports any more, such as by another URL of the server, may be over.
        if !state.fleet.is_usable(server, now) {
            continue;
        }
        for held in state.estimates.log.held(server, profile_key) {
            if let Some(repo) = held.qualified_repo.filter(|_| !counted.contains(&held.id)) {
                repo_use.add(repo, Count::ONE);
            }
        }
    }
    Some(repo_use)
}
