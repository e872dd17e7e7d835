//! Where at GitHub the runners are registered: with one repository, or with an organisation.
//!
//! Owns the form of the setting `github_api_scope`. Makes no request.

use std::{fmt, str::FromStr};

use crate::values::QualifiedRepo;

/// The part of GitHub's API that registers runners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GithubScope {
    /// Runners for one repository: `/repos/<owner>/<repo>`.
    Repository(QualifiedRepo),
    /// Runners for all repositories of an organisation: `/orgs/<owner>`.
    Organisation(String),
}

/// A text that is no [`GithubScope`].
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
        // An owner may be what the first part of a repository's full name may be.
        let is_owner = format!("{owner}/any").parse::<QualifiedRepo>().is_ok();
        is_owner
            .then(|| Self::Organisation(owner.to_owned()))
            .ok_or(InvalidGithubScope)
    }
}

impl fmt::Display for GithubScope {
    /// Writes the path below the API's base URL, with its leading `/`.
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
    fn a_scope_cannot_leave_its_place_in_a_path() {
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
