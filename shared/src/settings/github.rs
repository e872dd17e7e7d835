//! Where GitHub is, what runners are called there, and whose word from there is believed.
//!
//! Owns these settings, their defaults and limits. Makes no request; `shared::github` does.

use std::{path::PathBuf, time::Duration};

use super::{
    base_url::BaseUrl,
    error::SettingsError,
    github_scope::GithubScope,
    kind::{self, Kind},
    table::Table,
};
use crate::{
    units::{DAY, DURATION_MAX, SECOND},
    values::QualifiedRepo,
};

/// What both daemons need to know about GitHub. Each field is named as its key.
#[derive(Clone, Debug)]
pub struct GithubSettings {
    /// Where GitHub's API is.
    pub github_api_url: BaseUrl,
    /// Where at GitHub runners are registered.
    pub github_api_scope: GithubScope,
    /// The GitHub App as which GitHub is asked; without it, `GITHUB_TOKEN` is used.
    pub github_app: Option<GithubAppSettings>,
    /// What the names of this host's runners end with, after an `@`.
    pub github_api_suffix: String,
    /// The runner group that runners are registered in.
    pub runner_group_id: u64,
    /// The folder in a guest that jobs work in.
    pub work_folder: String,
    /// How long an answer of GitHub is used without asking again.
    pub api_cache_timeout: Duration,
    /// What a repository's full name begins with that may prove itself with an artifact.
    pub allowed_qualified_repo_prefix: String,
    /// How old such an artifact may be.
    pub tokenless_select_artifact_max_age: Duration,
}

/// A GitHub App, installed where the runners belong.
#[derive(Clone, Debug)]
pub struct GithubAppSettings {
    /// The App's id.
    pub id: u64,
    /// The id of its installation in the organisation or the account.
    pub installation_id: u64,
    /// The file with its private key, as GitHub lets one download it.
    pub key_file: PathBuf,
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
        github_api_suffix: top.required("github_api_suffix", &kind::name(100))?,
        github_app: read_github_app(top)?,
        runner_group_id: top.or("runner_group_id", 1, &runner_group_id())?,
        work_folder: top.or("work_folder", "_work".to_owned(), &work_folder())?,
        api_cache_timeout: top.or(
            "api_cache_timeout",
            SECOND * 60,
            &kind::duration(Duration::ZERO..=DAY),
        )?,
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

/// GitHub's number of a group of runners.
pub(super) fn runner_group_id() -> Kind<u64> {
    kind::number(1..=u64::from(u32::MAX))
}

/// A folder in a guest.
pub(super) fn work_folder() -> Kind<String> {
    kind::line(256)
}

/// The beginning of `<owner>/<repo>`, with the slash: without it, `servo` would also let in
/// everybody whose name only begins so.
fn repo_prefix() -> Kind<String> {
    kind::text("\"<owner>/\" or \"<owner>/<beginning of repo>\"", |text| {
        // With one more character it is a whole name, if it is the beginning of one.
        format!("{text}x").parse::<QualifiedRepo>().is_ok()
    })
}
