//! Calls of `git`, which update a repository and prepare it to be served as plain files.
//!
//! Responsible for running no code of the repository (hooks, file system monitors, transports that are
//! programs), and for never waiting for a password.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use shared::settings::MirrorSettings;

use crate::hypervisor::program::{ProgramError, call_with};

/// The first fetch of a large repository takes minutes.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3600);
/// For everything else.
const TIMEOUT: Duration = Duration::from_secs(300);

/// For every call, before the command.
const OPTIONS: [&str; 8] = [
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    // In the foreground, so that it ends before guests are served.
    "-c",
    "gc.autoDetach=false",
    // One pack for each fetch instead of a file, and a request of each guest, for each object.
    "-c",
    "fetch.unpackLimit=1",
];
const VARIABLES: [(&str, &str); 4] = [
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "true"),
    ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
    ("GIT_ALLOW_PROTOCOL", "http:https:ssh:git:file"),
];

/// Why a repository could not be updated. Each text is a clause.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("`git {command}` failed: {source}")]
    Git {
        command: &'static str,
        source: ProgramError,
    },
    #[error("the folder {} cannot be created: {source}", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{} is no git repository", .path.display())]
    NoRepository { path: PathBuf },
}

/// Creates the mirror at `path` if it does not exist, and fetches the branches of its settings and all tags.
pub async fn update_mirror(mirror: &MirrorSettings, path: &Path) -> Result<(), GitError> {
    if !path.join("HEAD").is_file() {
        let created = tokio::fs::create_dir_all(path).await;
        created.map_err(|source| GitError::Folder {
            path: path.to_owned(),
            source,
        })?;
        git(path, "init", &["--quiet", "--bare", "."], TIMEOUT).await?;
    }
    let branches = mirror.branches.iter();
    let mut refspecs: Vec<String> = branches
        .map(|branch| format!("+refs/heads/{branch}:refs/heads/{branch}"))
        .collect();
    refspecs.push("+refs/tags/*:refs/tags/*".to_owned());
    let mut arguments = vec!["--quiet", "--prune", "--no-tags", "--", &mirror.url];
    arguments.extend(refspecs.iter().map(String::as_str));
    git(path, "fetch", &arguments, FETCH_TIMEOUT).await?;

    // What guests check out: the default branch, which may have been renamed.
    let arguments = ["--symref", "--", &mirror.url, "HEAD"];
    let heads = git(path, "ls-remote", &arguments, TIMEOUT).await?;
    let default = heads.lines().find_map(|line| {
        let (target, name) = line.strip_prefix("ref: ")?.split_once('\t')?;
        (name == "HEAD" && target.starts_with("refs/heads/")).then_some(target)
    });
    if let Some(target) = default {
        git(path, "symbolic-ref", &["HEAD", target], TIMEOUT).await?;
    }
    git(path, "update-server-info", &[], TIMEOUT)
        .await
        .map(drop)
}

/// Makes the repository at `path` what its branch `main` is at its remote `origin`, or the default branch if
/// there is no `main`.
pub async fn update_main_repo(path: &Path) -> Result<(), GitError> {
    if !path.is_dir() {
        return Err(GitError::NoRepository {
            path: path.to_owned(),
        });
    }
    let is_bare = git(path, "rev-parse", &["--is-bare-repository"], TIMEOUT).await?;
    let has_files = is_bare.trim() == "false";
    if has_files {
        git(path, "reset", &["--quiet", "--hard"], TIMEOUT).await?;
    }
    let heads = git(path, "ls-remote", &["origin", "refs/heads/main"], TIMEOUT).await?;
    let branch = if heads.trim().is_empty() {
        "HEAD"
    } else {
        "main"
    };
    git(path, "fetch", &["--quiet", "origin", branch], FETCH_TIMEOUT).await?;
    if has_files {
        let arguments = ["--quiet", "--detach", "FETCH_HEAD"];
        git(path, "switch", &arguments, TIMEOUT).await?;
    } else {
        let arguments = ["--no-deref", "HEAD", "FETCH_HEAD"];
        git(path, "update-ref", &arguments, TIMEOUT).await?;
    }
    git(path, "update-server-info", &[], TIMEOUT)
        .await
        .map(drop)
}

async fn git(
    path: &Path,
    command: &'static str,
    arguments: &[&str],
    timeout: Duration,
) -> Result<String, GitError> {
    let mut words: Vec<OsString> = vec!["-C".into(), path.into()];
    words.extend(OPTIONS.map(OsString::from));
    words.push(command.into());
    words.extend(arguments.iter().map(OsString::from));
    let variables: [(OsString, OsString); 4] =
        VARIABLES.map(|(name, value)| (name.into(), value.into()));
    call_with("git", &words, &variables, timeout)
        .await
        .map_err(|source| GitError::Git { command, source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// A repository with a commit on `branch`, and a hook that would leave a file.
    async fn origin(branch: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        git(path, "init", &["--quiet", "-b", branch, "."], TIMEOUT)
            .await
            .unwrap();
        commit(path, "first").await;
        folder
    }

    /// Commits a file with this content.
    async fn commit(path: &Path, content: &str) {
        fs::write(path.join("file"), content).unwrap();
        git(path, "add", &["file"], TIMEOUT).await.unwrap();
        for (key, value) in [("user.name", "a"), ("user.email", "a@b")] {
            git(path, "config", &[key, value], TIMEOUT).await.unwrap();
        }
        git(path, "commit", &["--quiet", "-m", content], TIMEOUT)
            .await
            .unwrap();
    }

    async fn head(path: &Path) -> String {
        git(path, "rev-parse", &["HEAD"], TIMEOUT).await.unwrap()
    }

    fn settings(origin: &Path) -> MirrorSettings {
        MirrorSettings {
            url: format!("file://{}", origin.display()),
            branches: vec!["*".to_owned()],
            interval: TIMEOUT,
        }
    }

    #[tokio::test]
    async fn a_mirror_is_created_and_follows_its_origin() {
        let origin = origin("trunk").await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mirrors/a.git");
        let settings = settings(origin.path());
        update_mirror(&settings, &path).await.unwrap();
        assert_eq!(head(&path).await, head(origin.path()).await);

        commit(origin.path(), "second").await;
        git(origin.path(), "branch", &["-m", "main"], TIMEOUT)
            .await
            .unwrap();
        git(origin.path(), "tag", &["v1"], TIMEOUT).await.unwrap();
        update_mirror(&settings, &path).await.unwrap();
        assert_eq!(head(&path).await, head(origin.path()).await);
        let refs = fs::read_to_string(path.join("info/refs")).unwrap();
        let names: Vec<&str> = refs
            .lines()
            .filter_map(|line| line.split('\t').nth(1))
            .collect();
        assert_eq!(names, ["refs/heads/main", "refs/tags/v1"], "trunk is gone");
    }

    #[tokio::test]
    async fn a_mirror_may_have_some_branches_only() {
        let origin = origin("main").await;
        for branch in ["release/1", "other"] {
            git(origin.path(), "branch", &[branch], TIMEOUT)
                .await
                .unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let settings = MirrorSettings {
            branches: vec!["main".to_owned(), "release/*".to_owned()],
            ..settings(origin.path())
        };
        update_mirror(&settings, folder.path()).await.unwrap();
        let refs = fs::read_to_string(folder.path().join("info/refs")).unwrap();
        assert!(refs.contains("refs/heads/release/1"), "{refs}");
        assert!(!refs.contains("other"), "{refs}");
    }

    #[tokio::test]
    async fn the_main_repository_follows_main_with_and_without_a_working_tree() {
        for clone in [&["--quiet"][..], &["--quiet", "--bare"]] {
            for branch in ["main", "trunk"] {
                let origin = origin(branch).await;
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("servo");
                let url = origin.path().to_str().unwrap();
                let arguments = [clone, &[url, path.to_str().unwrap()]].concat();
                git(folder.path(), "clone", &arguments, TIMEOUT)
                    .await
                    .unwrap();
                commit(origin.path(), "second").await;
                let has_files = path.join("file").exists();
                if has_files {
                    fs::write(path.join("file"), "changed by hand").unwrap();
                }
                update_main_repo(&path).await.unwrap();
                assert_eq!(head(&path).await, head(origin.path()).await, "{clone:?}");
                if has_files {
                    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "second");
                }
                // A second time there is nothing to do.
                update_main_repo(&path).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn no_hook_and_no_program_of_the_repository_runs() {
        let origin = origin("main").await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("servo");
        let arguments = [
            "--quiet",
            origin.path().to_str().unwrap(),
            path.to_str().unwrap(),
        ];
        git(folder.path(), "clone", &arguments, TIMEOUT)
            .await
            .unwrap();
        let trace = folder.path().join("trace");
        let script = format!("#!/bin/sh\necho \"$0\" >> {}\n", trace.display());
        for name in [
            "post-checkout",
            "reference-transaction",
            "post-merge",
            "fsmonitor",
        ] {
            let hook = path.join(".git/hooks").join(name);
            fs::create_dir_all(hook.parent().unwrap()).unwrap();
            fs::write(&hook, &script).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&hook, mode).unwrap();
        }
        let fsmonitor = path.join(".git/hooks/fsmonitor");
        let config = format!("[core]\n\tfsmonitor = {}\n", fsmonitor.display());
        let file = path.join(".git/config");
        fs::write(&file, fs::read_to_string(&file).unwrap() + &config).unwrap();
        commit(origin.path(), "second").await;
        update_main_repo(&path).await.unwrap();
        assert!(!trace.exists(), "{}", fs::read_to_string(&trace).unwrap());
    }

    #[tokio::test]
    async fn a_repository_that_cannot_be_updated_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = update_main_repo(&missing).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{} is no git repository", missing.display())
        );
        let path = folder.path().join("a.git");
        let error = update_mirror(&settings(&missing), &path).await.unwrap_err();
        assert!(
            error.to_string().starts_with("`git fetch` failed: "),
            "{error}"
        );
        let mirror = MirrorSettings {
            url: "ext::sh -c true".to_owned(),
            ..settings(&missing)
        };
        let error = update_mirror(&mirror, &path).await.unwrap_err();
        assert!(
            error.to_string().contains("transport 'ext' not allowed"),
            "{error}"
        );
    }
}
