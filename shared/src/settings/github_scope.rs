//! The organisation or repository at GitHub in which runners are registered.
//!
//! Responsible for the form of the setting `github_api_scope`.

use std::{fmt, str::FromStr};

use crate::values::QualifiedRepo;

/// Where runners are registered. Like GitHub, comparisons ignore upper and lower case.
#[derive(Clone, Debug)]
pub enum GithubScope {
    /// One repository: `/repos/<owner>/<repo>`.
    Repository(QualifiedRepo),
    /// An organisation, for all of its repositories: `/orgs/<owner>`.
    Organisation(String),
}

impl PartialEq for GithubScope {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Repository(own), Self::Repository(other)) => own == other,
            (Self::Organisation(own), Self::Organisation(other)) => own.eq_ignore_ascii_case(other),
            _ => false,
        }
    }
}

impl Eq for GithubScope {}

/// The error for a text that is not a [`GithubScope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is /repos/<owner>/<repo> or /orgs/<owner>")]
pub struct InvalidGithubScope;

impl FromStr for GithubScope {
    type Err = InvalidGithubScope;

    fn from_str(text: &str) -> Result<Self, InvalidGithubScope> {
        if let Some(repo) = text.strip_prefix("/repos/") {
            let repo = repo.parse().map_err(|_| InvalidGithubScope)?;
            return Ok(Self::Repository(repo));
        }
        let owner = text.strip_prefix("/orgs/").ok_or(InvalidGithubScope)?;
        // Owners have the form of the first part of the full name of a repository.
        let is_owner = format!("{owner}/any").parse::<QualifiedRepo>().is_ok();
        is_owner
            .then(|| Self::Organisation(owner.to_owned()))
            .ok_or(InvalidGithubScope)
    }
}

impl fmt::Display for GithubScope {
    /// Writes the path below the base URL of the API, with its leading `/`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(repo) => write!(formatter, "/repos/{repo}"),
            Self::Organisation(owner) => write!(formatter, "/orgs/{owner}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_compare_without_regard_to_case() {
        let scope = |text: &str| text.parse::<GithubScope>().unwrap();
        assert_eq!(scope("/orgs/Acme"), scope("/orgs/acme"));
        assert_eq!(scope("/repos/Acme/A"), scope("/repos/acme/a"));
        assert_ne!(scope("/orgs/acme"), scope("/orgs/acme2"));
        assert_ne!(scope("/orgs/acme"), scope("/repos/acme/a"));
    }

    #[test]
    fn both_scopes_are_read_and_written_alike() {
        let repository = GithubScope::Repository("delan/servo".parse().unwrap());
        let organisation = GithubScope::Organisation("servo".to_owned());
        for (text, scope) in [
            ("/repos/delan/servo", repository),
            ("/orgs/servo", organisation),
        ] {
            assert_eq!(text.parse(), Ok(scope.clone()));
            assert_eq!(scope.to_string(), text);
        }
    }

    #[test]
    fn a_scope_cannot_change_the_path_that_contains_it() {
        for text in [
            "",
            "/",
            "/repos/",
            "/repos/a",
            "/repos/a/",
            "/repos/a/b/",
            "/repos/a/b/c",
            "/repos/a/..",
            "repos/a/b",
            "/orgs/",
            "/orgs/a/",
            "/orgs/a/b",
            "/orgs/..",
            "/orgs/a?b",
            "orgs/a",
            "/users/a",
        ] {
            assert_eq!(
                text.parse::<GithubScope>(),
                Err(InvalidGithubScope),
                "{text}"
            );
        }
    }
}
