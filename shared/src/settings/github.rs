//! Settings of the access to GitHub and of artifact authentication.
//!
//! Responsible for their defaults and limits. The crate `github` sends the requests.

use std::{path::PathBuf, time::Duration};

use super::{
    base_url::BaseUrl,
    error::SettingsError,
    github_scope::GithubScope,
    kind::{self, Kind},
    table::{Table, User},
};
use crate::{
    units::{DAY, DURATION_MAX, SECOND},
    values::QualifiedRepo,
};

/// Access to GitHub for both daemons. Each field is named as its key.
#[derive(Clone, Debug)]
pub struct GithubSettings {
    /// The base URL of GitHub's API.
    pub github_api_url: BaseUrl,
    /// The organisation or repository in which runners are registered.
    pub github_api_scope: GithubScope,
    /// The GitHub App that authenticates requests; without it, `GITHUB_TOKEN` does.
    pub github_app: Option<GithubAppSettings>,
    /// The end of the names of this server's runners, after an `@`.
    pub github_api_suffix: String,
    /// The runner group that runners are registered in.
    pub runner_group_id: u64,
    /// The folder in a guest in which jobs work.
    pub work_folder: String,
    /// How long the list of runners is used before it is requested again.
    pub api_cache_timeout: Duration,
    /// The prefix of repositories that may use artifact authentication.
    pub allowed_qualified_repo_prefix: String,
    /// The highest age of such an artifact.
    pub tokenless_select_artifact_max_age: Duration,
}

/// A GitHub App that is installed in the organisation or repository of the runners.
#[derive(Clone, Debug)]
pub struct GithubAppSettings {
    /// The id of the App.
    pub id: u64,
    /// The id of its installation in the organisation or the account.
    pub installation_id: u64,
    /// The file with its private key, as GitHub generates it.
    pub key_file: PathBuf,
}

impl GithubSettings {
    /// The base URL of GitHub's pages, which follows from that of its API: `https://github.com/` from
    /// `https://api.github.com/`, `https://ghes.example/` from `https://ghes.example/api/v3/`.
    pub fn web_url(&self) -> String {
        web_url(self.github_api_url.as_str())
    }
}

fn web_url(api_url: &str) -> String {
    let url = api_url.strip_suffix("api/v3/").unwrap_or(api_url);
    url.replacen("://api.", "://", 1)
}

pub(super) fn read_github(top: &mut Table<'_>) -> Result<GithubSettings, SettingsError> {
    let api_url = "https://api.github.com"
        .parse()
        .expect("that is a base URL");
    Ok(GithubSettings {
        github_api_url: top.or(
            "github_api_url",
            api_url,
            &kind::parsed("an http or https URL such as \"https://api.github.com\""),
        )?,
        github_api_scope: top.required(
            "github_api_scope",
            &kind::parsed("\"/repos/<owner>/<repo>\" or \"/orgs/<owner>\""),
        )?,
        github_api_suffix: top.only_for(User::Monitor, |top| {
            top.required("github_api_suffix", &kind::name(100))
        })?,
        github_app: read_github_app(top)?,
        runner_group_id: top.only_for(User::Monitor, |top| {
            top.or("runner_group_id", 1, &runner_group_id())
        })?,
        work_folder: top.only_for(User::Monitor, |top| {
            top.or("work_folder", "_work".to_owned(), &work_folder())
        })?,
        api_cache_timeout: top.only_for(User::Monitor, |top| {
            let kind = kind::duration(Duration::ZERO..=DAY);
            top.or("api_cache_timeout", SECOND * 60, &kind)
        })?,
        allowed_qualified_repo_prefix: top
            .required("allowed_qualified_repo_prefix", &repo_prefix())?,
        tokenless_select_artifact_max_age: top.or(
            "tokenless_select_artifact_max_age",
            SECOND * 300,
            &kind::duration(SECOND..=DURATION_MAX),
        )?,
    })
}

fn read_github_app(top: &mut Table<'_>) -> Result<Option<GithubAppSettings>, SettingsError> {
    let Some(mut table) = top.table("github_app")? else {
        return Ok(None);
    };
    let id = kind::number(1..=u64::MAX);
    let app = GithubAppSettings {
        id: table.required("id", &id)?,
        installation_id: table.required("installation_id", &id)?,
        key_file: table.required("key_file", &kind::path())?,
    };
    table.finish()?;
    Ok(Some(app))
}

/// The id of a runner group.
pub(super) fn runner_group_id() -> Kind<u64> {
    kind::number(1..=u64::from(u32::MAX))
}

/// A folder in a guest.
pub(super) fn work_folder() -> Kind<String> {
    kind::line(256)
}

/// The beginning of `<owner>/<repo>`, including the slash: without it, `servo` would also allow all
/// other owners whose names begin with it.
fn repo_prefix() -> Kind<String> {
    kind::text("\"<owner>/\" or \"<owner>/<beginning of repo>\"", |text| {
        // With one more character it is a whole name, if it is the beginning of one.
        format!("{text}x").parse::<QualifiedRepo>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::web_url;

    #[test]
    fn the_address_of_pages_follows_from_that_of_the_api() {
        for (api, web) in [
            ("https://api.github.com/", "https://github.com/"),
            ("https://api.octo.ghe.com/", "https://octo.ghe.com/"),
            ("https://ghes.example/api/v3/", "https://ghes.example/"),
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000/"),
        ] {
            assert_eq!(web_url(api), web);
        }
    }
}
