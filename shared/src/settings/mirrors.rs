//! The tables `[mirrors.<name>]`: git repositories that the monitor keeps up to date and serves to guests.
//!
//! Responsible for their defaults and limits. The repository at `main_repo_path` is not one of them.

use std::{collections::BTreeMap, time::Duration};

use super::{
    error::SettingsError,
    kind::{self, Kind},
    table::Table,
};
use crate::units::{DAY, MINUTE};

/// The name under which guests find the repository at `main_repo_path`.
pub const MAIN_REPO_NAME: &str = "servo";

/// The most mirrors of one server.
const MIRRORS_MAX: usize = 50;
/// The most branches that can be listed.
const BRANCHES_MAX: usize = 100;

/// A mirror. Each field is named as its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorSettings {
    /// The URL that it is fetched from.
    pub url: String,
    /// The branches that are fetched, as patterns of git; `*` for all of them.
    pub branches: Vec<String>,
    /// The pause between two updates.
    pub interval: Duration,
}

/// Reads `[mirrors]`; without it there are no mirrors.
pub(super) fn read_mirrors(
    top: &mut Table<'_>,
    has_main_repo: bool,
) -> Result<BTreeMap<String, MirrorSettings>, SettingsError> {
    let Some(mirrors) = top.table("mirrors")? else {
        return Ok(BTreeMap::new());
    };
    let tables = mirrors.tables()?;
    if tables.len() > MIRRORS_MAX {
        let found = format!("{} tables", tables.len());
        return Err(top.wrong("mirrors", found, format!("at most {MIRRORS_MAX} mirrors")));
    }
    let mirrors = tables.into_iter().map(|(name, table)| {
        let is_allowed = kind::name(64).read(&name.as_str().into()).is_ok();
        if !is_allowed || name.ends_with(".git") {
            let allowed = "1 to 64 characters of A-Z a-z 0-9 . _ -, the first one a letter or digit, \
                           without .git at the end";
            return Err(table.wrong_as_a_whole(format!("the name {name:?}"), allowed));
        }
        if has_main_repo && name == MAIN_REPO_NAME {
            let found = "main_repo_path, which guests find under the same name".to_owned();
            return Err(table.wrong_as_a_whole(found, "one of the two, or another name"));
        }
        Ok((name, read_mirror(table)?))
    });
    mirrors.collect()
}

fn read_mirror(mut table: Table<'_>) -> Result<MirrorSettings, SettingsError> {
    let mirror = MirrorSettings {
        url: table.required("url", &url())?,
        branches: table.or(
            "branches",
            vec!["*".to_owned()],
            &kind::distinct(branch(), 1..=BRANCHES_MAX),
        )?,
        interval: table.or("interval", MINUTE * 60, &kind::duration(MINUTE..=DAY * 30))?,
    };
    table.finish()?;
    Ok(mirror)
}

/// The URL of a repository. Its password would be readable in the list of processes.
fn url() -> Kind<String> {
    let allowed = "a URL of git without a password: \"https://…\", \"ssh://…\", \"git://…\", \"file:///…\" \
                   or \"<user>@<host>:<path>\"";
    kind::text(allowed, |url| {
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.len() > 1000 {
            return false;
        }
        match url.split_once("://") {
            Some((scheme, rest)) => {
                let authority = rest.split('/').next().unwrap_or_default();
                let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
                let is_known = ["http", "https", "ssh", "git", "file"].contains(&scheme);
                // A token may also be given as the user.
                is_known && !user.contains(':') && (scheme == "ssh" || user.is_empty())
            }
            None => {
                let host = url.split_once(':').map_or("", |(host, _)| host);
                host.contains('@') && !host.starts_with('-') && !url.contains("::")
            }
        }
    })
}

/// The name of a branch, with at most one `*`, as it may stand in a refspec.
fn branch() -> Kind<String> {
    kind::text(
        "the name of a branch such as \"main\" or \"release/*\"",
        |name| {
            let is_allowed =
                |byte: u8| byte.is_ascii_alphanumeric() || b"._-/+@#=*".contains(&byte);
            (1..=200).contains(&name.len())
                && name.bytes().all(is_allowed)
                && name.matches('*').count() <= 1
                && !name.starts_with(['-', '/', '.', '+'])
                && !name.ends_with(['/', '.'])
                && !["..", "//", "/.", "@{", ".lock"]
                    .iter()
                    .any(|part| name.contains(part))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_must_be_one_of_git_without_a_password() {
        for good in [
            "https://github.com/servo/servo",
            "https://github.com/servo/servo.git",
            "http://10.0.0.1:8080/a.git",
            "ssh://git@github.com/servo/servo",
            "ssh://git@github.com:22/servo/servo",
            "git@github.com:servo/servo.git",
            "git://host/a",
            "file:///srv/servo.git",
        ] {
            assert!(url().read(&good.into()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "servo/servo",
            "/srv/servo",
            "https://user:password@github.com/servo/servo",
            "https://ghp_token@github.com/servo/servo",
            "ssh://git:password@github.com/servo",
            "ext::sh -c true",
            "ext::sh@a:b",
            "-oProxyCommand=a@b:c",
            "ftp://host/a",
            "https://host/a b",
        ] {
            assert!(url().read(&bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_branch_may_have_one_star_and_no_syntax_of_refspecs() {
        for good in ["main", "*", "release/*", "v1.x", "a/b_c-d"] {
            assert!(branch().read(&good.into()).is_ok(), "{good}");
        }
        for bad in [
            "", "a b", "a:b", "+a", "-a", "a/", "a..b", "**", "^a", "a@{1}", "a~1",
        ] {
            assert!(branch().read(&bad.into()).is_err(), "{bad}");
        }
    }
}
