//! The owner of a pool of runners: an organisation or a repository.

use std::{fmt, str::FromStr, sync::Arc};

use shared::values::{InvalidValue, QualifiedRepo};

/// A pool of runners, in the form of the API's paths: `/orgs/<owner>` or `/repos/<owner>/<repo>`.
///
/// GitHub compares names of owners and repositories without regard to case; here they are kept in
/// lower case. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    owner: Arc<str>,
    repo: Option<Arc<str>>,
}

impl Scope {
    /// The owner, in lower case.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// The repository, if it is the pool of one.
    pub(super) fn as_repo(&self) -> Option<QualifiedRepo> {
        let repo = self.repo.as_deref()?;
        format!("{}/{repo}", self.owner).parse().ok()
    }

    /// Whether a job of `repo` may run on the runners of this pool.
    pub fn serves(&self, repo: &QualifiedRepo) -> bool {
        let (owner, name) = repo
            .as_str()
            .split_once('/')
            .expect("a qualified repository has one slash");
        owner.eq_ignore_ascii_case(&self.owner)
            && self
                .repo
                .as_deref()
                .is_none_or(|own| name.eq_ignore_ascii_case(own))
    }
}

impl FromStr for Scope {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = InvalidValue {
            field: "scope",
            allowed: "/orgs/<owner> or /repos/<owner>/<repo>",
        };
        let lower = text.to_ascii_lowercase();
        if let Some(owner) = lower.strip_prefix("/orgs/") {
            // The names of owners and repositories have the same form, which is checked there.
            let form = format!("{owner}/{owner}").parse::<QualifiedRepo>();
            return form
                .map(|_| Self {
                    owner: owner.into(),
                    repo: None,
                })
                .map_err(|_| invalid);
        }
        let repo: QualifiedRepo = lower
            .strip_prefix("/repos/")
            .and_then(|repo| repo.parse().ok())
            .ok_or(invalid)?;
        let (owner, name) = repo
            .as_str()
            .split_once('/')
            .expect("a qualified repository has one slash");
        Ok(Self {
            owner: owner.into(),
            repo: Some(name.into()),
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.repo {
            None => write!(formatter, "/orgs/{}", self.owner),
            Some(repo) => write!(formatter, "/repos/{}/{repo}", self.owner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_the_form_of_the_paths_in_lower_case() {
        for (text, shown) in [
            ("/orgs/acme", "/orgs/acme"),
            ("/orgs/ACME", "/orgs/acme"),
            ("/repos/Acme/Widgets", "/repos/acme/widgets"),
        ] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "acme",
            "/orgs/",
            "/orgs/a/b",
            "/orgs/..",
            "/repos/a",
            "/repos/a/b/c",
            "/repos/a/..",
        ] {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_organisation_serves_its_repositories_and_a_repository_itself() {
        for (scope, repo, serves) in [
            ("/orgs/acme", "acme/widgets", true),
            ("/orgs/acme", "ACME/gadgets", true),
            ("/orgs/acme", "other/widgets", false),
            ("/repos/acme/widgets", "acme/Widgets", true),
            ("/repos/acme/widgets", "acme/gadgets", false),
            ("/repos/acme/widgets", "other/widgets", false),
        ] {
            let scope: Scope = scope.parse().unwrap();
            assert_eq!(
                scope.serves(&repo.parse().unwrap()),
                serves,
                "{scope} {repo}"
            );
        }
    }
}
