//! Names of owners and repositories that were changed or given to others, and what the caller may
//! not see.
//!
//! A request with the old name of a repository is redirected to a path with its id, for as long as
//! no other repository has taken the name. A request with the old name of an organisation is not
//! redirected. Source: GitHub's documentation, "Renaming a repository" and "Renaming an
//! organization".

use std::collections::{BTreeMap, BTreeSet};

use shared::{clock::Timestamp, values::QualifiedRepo};

use super::{Model, Scope};

/// Where the owner or repository of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Where the request looks for it.
    Here,
    /// It is a repository with another name now, which has this id.
    Moved(u64),
    /// There is none, or the caller may not see it.
    Hidden,
}

#[derive(Debug, Default)]
pub(super) struct Names {
    /// The current names of the repositories that were renamed, by their ids.
    current: BTreeMap<u64, QualifiedRepo>,
    /// The ids of those repositories by their former names, in lower case.
    former: BTreeMap<String, u64>,
    /// The current names of owners that were renamed, by their former names, in lower case.
    owners: BTreeMap<String, String>,
    /// Repositories that have taken the former name of another one, in lower case.
    reused: BTreeSet<String>,
    hidden: BTreeSet<Scope>,
}

impl Model {
    /// Renames a repository, with its runners, jobs and artifacts, or moves it to another owner.
    pub fn rename_repo(&mut self, now: Timestamp, from: &QualifiedRepo, to: &QualifiedRepo) {
        self.advance(now);
        let is_from = |repo: &QualifiedRepo| repo.as_str().eq_ignore_ascii_case(from.as_str());
        let names = &self.names;
        let known = names.current.iter().find(|(_, repo)| is_from(repo));
        let id = known.map(|(&id, _)| id);
        let id = id.unwrap_or_else(|| self.next_id());
        self.names.current.insert(id, to.clone());
        self.names.former.insert(lower(from), id);
        self.names.former.remove(&lower(to));
        self.names.reused.remove(&lower(from));
        self.move_runners(&repo_scope(from), &repo_scope(to));
        let jobs = self.jobs.values_mut().map(|job| &mut job.repo);
        let artifacts = self.artifacts.values_mut().map(|it| &mut it.repo);
        for repo in jobs.chain(artifacts).filter(|repo| is_from(repo)) {
            *repo = to.clone();
        }
        self.runners_changed();
    }

    /// Renames an organisation, with all its repositories.
    pub fn rename_owner(&mut self, now: Timestamp, from: &str, to: &str) {
        self.advance(now);
        self.names.owners.insert(lower(from), to.to_owned());
        self.names.owners.remove(&lower(to));
        if let (Some(from), Some(to)) = (org_scope(from), org_scope(to)) {
            self.move_runners(&from, &to);
        }
        let of_runners = self.runners.values().filter_map(|it| it.scope.as_repo());
        let of_jobs = self.jobs.values().map(|job| job.repo.clone());
        let of_artifacts = self.artifacts.values().map(|it| it.repo.clone());
        let repos: BTreeSet<String> = of_runners
            .chain(of_jobs)
            .chain(of_artifacts)
            .map(|repo| lower(&repo))
            .collect();
        for repo in repos {
            self.rename_with_owner(now, &repo);
        }
        self.runners_changed();
    }

    /// Gives the former name of a repository to a new one: requests with it are no longer redirected.
    pub fn reuse_name(&mut self, now: Timestamp, repo: &QualifiedRepo) {
        self.advance(now);
        self.names.former.remove(&lower(repo));
        self.names.reused.insert(lower(repo));
        self.changed();
    }

    /// Sets whether the caller may see that organisation or repository, for example because the App
    /// is not installed there any more.
    pub fn hide(&mut self, now: Timestamp, scope: &Scope, is_hidden: bool) {
        self.advance(now);
        if is_hidden {
            self.names.hidden.insert(scope.clone());
        } else {
            self.names.hidden.remove(scope);
        }
        self.changed();
    }

    /// Where that organisation or repository is.
    pub fn access(&mut self, now: Timestamp, scope: &Scope) -> Access {
        self.advance(now);
        if self.names.hidden.contains(scope) {
            return Access::Hidden;
        }
        let Some(repo) = scope.as_repo() else {
            let is_renamed = self.names.owners.contains_key(scope.owner());
            return if is_renamed {
                Access::Hidden
            } else {
                Access::Here
            };
        };
        self.rename_with_owner(now, repo.as_str());
        let former = self.names.former.get(&lower(&repo));
        former.map_or(Access::Here, |&id| Access::Moved(id))
    }

    /// The repository with that id, if it was renamed.
    pub fn renamed_repo(&self, id: u64) -> Option<QualifiedRepo> {
        self.names.current.get(&id).cloned()
    }

    /// Renames a repository whose owner was renamed, unless a new one has taken its name.
    fn rename_with_owner(&mut self, now: Timestamp, repo: &str) {
        let names = &self.names;
        let Some((owner, name)) = repo.split_once('/') else {
            return;
        };
        let Some(new_owner) = names.owners.get(&lower(owner)) else {
            return;
        };
        if names.former.contains_key(&lower(repo)) || names.reused.contains(&lower(repo)) {
            return;
        }
        let renamed = format!("{new_owner}/{name}");
        if let (Ok(from), Ok(to)) = (repo.parse(), renamed.parse()) {
            self.rename_repo(now, &from, &to);
        }
    }

    fn move_runners(&mut self, from: &Scope, to: &Scope) {
        for runner in self.runners.values_mut() {
            if runner.scope == *from {
                runner.scope = to.clone();
            }
        }
    }
}

fn lower(name: impl ToString) -> String {
    name.to_string().to_ascii_lowercase()
}

fn repo_scope(repo: &QualifiedRepo) -> Scope {
    let scope = format!("/repos/{repo}").parse();
    scope.expect("a repository is a scope")
}

fn org_scope(owner: &str) -> Option<Scope> {
    format!("/orgs/{owner}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::TestModel;

    fn repo(name: &str) -> QualifiedRepo {
        name.parse().unwrap()
    }

    fn scope(path: &str) -> Scope {
        path.parse().unwrap()
    }

    #[test]
    fn a_renamed_repository_takes_its_runners_along_and_leaves_a_redirect() {
        let mut github = TestModel::new();
        let now = github.now;
        let runner = github.try_register("/repos/acme/a", "r", &["x"]).unwrap();
        let model = &mut github.model;
        model.rename_repo(now, &repo("Acme/A"), &repo("acme/b"));
        let Access::Moved(id) = model.access(now, &scope("/repos/ACME/a")) else {
            panic!("no redirect");
        };
        assert_eq!(model.renamed_repo(id), Some(repo("acme/b")));
        assert_eq!(model.access(now, &scope("/repos/acme/b")), Access::Here);
        let found = model.runner(now, &scope("/repos/acme/b"), runner.id);
        assert_eq!(found.unwrap().name, "r");

        // A second change of the name keeps the id, and the first name still leads to it.
        model.rename_repo(now, &repo("acme/b"), &repo("other/c"));
        for former in ["/repos/acme/a", "/repos/acme/b"] {
            assert_eq!(model.access(now, &scope(former)), Access::Moved(id));
        }
        assert_eq!(model.renamed_repo(id), Some(repo("other/c")));

        // And back again.
        model.rename_repo(now, &repo("other/c"), &repo("acme/a"));
        assert_eq!(model.access(now, &scope("/repos/acme/a")), Access::Here);
        assert_eq!(
            model.access(now, &scope("/repos/other/c")),
            Access::Moved(id)
        );
    }

    #[test]
    fn a_reused_name_leads_to_the_new_repository() {
        let mut github = TestModel::new();
        let now = github.now;
        let runner = github.try_register("/repos/acme/a", "r", &["x"]).unwrap();
        let model = &mut github.model;
        model.rename_repo(now, &repo("acme/a"), &repo("acme/b"));
        model.reuse_name(now, &repo("acme/a"));
        assert_eq!(model.access(now, &scope("/repos/acme/a")), Access::Here);
        assert!(
            model
                .runner(now, &scope("/repos/acme/a"), runner.id)
                .is_err()
        );
    }

    #[test]
    fn a_renamed_organisation_is_not_found_and_its_repositories_are_redirected() {
        let mut github = TestModel::new();
        let now = github.now;
        github.try_register("/orgs/acme", "of org", &["x"]).unwrap();
        github
            .try_register("/repos/acme/a", "of repo", &["x"])
            .unwrap();
        let model = &mut github.model;
        model.rename_owner(now, "acme", "apex");
        assert_eq!(model.access(now, &scope("/orgs/acme")), Access::Hidden);
        assert_eq!(model.access(now, &scope("/orgs/apex")), Access::Here);
        for name in ["a", "never-seen-before"] {
            let former = scope(&format!("/repos/acme/{name}"));
            let Access::Moved(id) = model.access(now, &former) else {
                panic!("no redirect of {name}");
            };
            let expected = repo(&format!("apex/{name}"));
            assert_eq!(model.renamed_repo(id), Some(expected));
        }
        let scopes: Vec<String> = model
            .runners
            .values()
            .map(|it| it.scope.to_string())
            .collect();
        assert_eq!(scopes, ["/orgs/apex", "/repos/apex/a"]);
    }

    #[test]
    fn what_the_caller_may_not_see_is_hidden_until_it_may() {
        let mut github = TestModel::new();
        let now = github.now;
        let org = scope("/orgs/acme");
        github.model.hide(now, &org, true);
        assert_eq!(github.model.access(now, &org), Access::Hidden);
        assert_eq!(
            github.model.access(now, &scope("/repos/acme/a")),
            Access::Here
        );
        github.model.hide(now, &org, false);
        assert_eq!(github.model.access(now, &org), Access::Here);
    }
}
