//! The action `checkout`.

use std::{fs, path::PathBuf, process::Command};

use emulator::{EmulatorSettings, EmulatorThread};
use serde_json::{Value, json};
use shared::secret::Secret;
use tempfile::TempDir;

use super::{
    Done,
    deployment::{GITHUB_TOKEN, REPO, job_at},
    job::Job,
    start_action,
};

/// A server with a repository of four commits and a pull request, and the workspace of a runner whose image
/// has the first two of them.
struct Server {
    github: EmulatorThread,
    folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let server = Self {
            github: emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN))).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        let bare = server.path("server").join(REPO);
        fs::create_dir_all(&bare).unwrap();
        server.git(
            "server",
            &[
                "init",
                "--quiet",
                "--bare",
                "-b",
                "main",
                bare.to_str().unwrap(),
            ],
        );
        server.git(".", &["init", "--quiet", "-b", "main", "author"]);
        server.git(
            "author",
            &["remote", "add", "origin", bare.to_str().unwrap()],
        );
        fs::write(server.path("author/.gitignore"), "target\n").unwrap();
        for commit in ["1", "2", "3", "4"] {
            server.commit(commit);
            if commit == "2" {
                server.git("author", &["push", "--quiet", "origin", "main"]);
                let url = server.url();
                server.git(".", &["clone", "--quiet", &url, "work space"]);
            }
        }
        server.git("author", &["checkout", "--quiet", "-b", "fork"]);
        server.commit("of a pull request");
        server.git("author", &["push", "--quiet", "origin", "main", "fork"]);
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> String {
        format!("file://{}", self.path("server").join(REPO).display())
    }

    /// Runs git, independently of the settings of this account.
    fn git(&self, folder: &str, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.current_dir(self.path(folder)).args(arguments);
        for (name, value) in self.variables() {
            git.env(name, value);
        }
        let output = git.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn variables(&self) -> [(&'static str, String); 6] {
        [
            ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
            ("GIT_CONFIG_NOSYSTEM", "1".into()),
            ("GIT_AUTHOR_NAME", "a".into()),
            ("GIT_AUTHOR_EMAIL", "a@example.org".into()),
            ("GIT_COMMITTER_NAME", "a".into()),
            ("GIT_COMMITTER_EMAIL", "a@example.org".into()),
        ]
    }

    fn commit(&self, text: &str) {
        fs::write(self.path("author/file"), text).unwrap();
        self.git("author", &["add", "."]);
        self.git("author", &["commit", "--quiet", "-m", text]);
    }

    fn commit_id(&self, revision: &str) -> String {
        self.git("author", &["rev-parse", revision])
    }

    /// The file in the workspace.
    fn checked_out(&self) -> String {
        fs::read_to_string(self.path("work space/file")).unwrap()
    }

    /// A job on a self-hosted runner for a commit.
    fn job(&self, revision: &str) -> Job {
        let mut job = job_at(&self.github);
        job.environment = "self-hosted";
        let server = format!("file://{}", self.path("server").display());
        let workspace = self.path("work space").into_os_string();
        for (name, value) in [
            ("GITHUB_SHA", self.commit_id(revision).into()),
            ("GITHUB_SERVER_URL", server.into()),
            ("GITHUB_WORKSPACE", workspace),
        ] {
            job.variables.push((name, Some(value)));
        }
        for (name, value) in self.variables() {
            job.variables.push((name, Some(value.into())));
        }
        job
    }

    async fn check_out(&self, job: Job, with: Value) -> Done {
        start_action(job, "checkout", with).finish().await
    }
}

fn pull_request(server: &Server, event: &str) -> Value {
    json!({"event_name": event, "event": {"pull_request": {"head": {"sha": server.commit_id("fork")}}}})
}

#[actix_web::test]
async fn the_repository_of_the_image_is_updated_and_build_results_stay() {
    let server = Server::start();
    // The image was made in the middle of a build and of a merge.
    fs::create_dir(server.path("work space/target")).unwrap();
    fs::write(server.path("work space/target/result"), "").unwrap();
    fs::write(server.path("work space/file"), "changed").unwrap();
    fs::write(server.path("work space/.git/index.lock"), "").unwrap();
    fs::write(
        server.path("work space/.git/MERGE_HEAD"),
        server.commit_id("main~2"),
    )
    .unwrap();
    let hook = server.path("work space/.git/hooks/post-checkout");
    fs::write(&hook, "#!/bin/sh\ntouch hooked\n").unwrap();
    Command::new("chmod")
        .arg("755")
        .arg(&hook)
        .status()
        .unwrap();
    let before = fs::read_to_string(server.path("work space/.git/config")).unwrap();

    let done = server.check_out(server.job("main"), json!({})).await;
    assert_eq!(done.ended.status, "success", "{}", done.log);
    assert_eq!(server.checked_out(), "4", "{}", done.log);
    assert_eq!(done.outputs["commit"], server.commit_id("main"));
    assert_eq!(
        server.git("work space", &["rev-list", "--count", "HEAD"]),
        "1"
    );
    assert_eq!(server.git("work space", &["status", "--porcelain"]), "");
    assert!(server.path("work space/target/result").exists());
    assert!(!server.path("work space/hooked").exists());
    let after = fs::read_to_string(server.path("work space/.git/config")).unwrap();
    assert_eq!(after, before, "no token is stored");
    assert!(!done.log.contains("actions/checkout"), "{}", done.log);
}

#[actix_web::test]
async fn the_depth_is_as_requested() {
    let server = Server::start();
    for (depth, count) in [("2", "2"), ("1", "1"), ("0", "4"), ("3", "3")] {
        let done = server
            .check_out(server.job("main"), json!({"fetch-depth": depth}))
            .await;
        assert_eq!(done.ended.status, "success", "{}", done.log);
        let commits = server.git("work space", &["rev-list", "--count", "HEAD"]);
        assert_eq!(commits, count, "{depth}: {}", done.log);
    }
}

#[actix_web::test]
async fn a_commit_that_the_origin_of_the_image_lacks_is_fetched_from_the_server() {
    let server = Server::start();
    server.git(
        "work space",
        &["remote", "set-url", "origin", "file:///nonexistent"],
    );
    let done = server.check_out(server.job("main~1"), json!({})).await;
    assert_eq!(done.ended.status, "success", "{}", done.log);
    assert_eq!(server.checked_out(), "3");
}

#[actix_web::test]
async fn the_code_of_a_pull_request_is_checked_out_under_pull_request_target_only_on_request() {
    let server = Server::start();
    for (more, expected, notice) in [
        (json!({}), "4", true),
        (json!({"allow-unsafe-pr-checkout": "false"}), "4", true),
        (
            json!({"allow-unsafe-pr-checkout": "true"}),
            "of a pull request",
            false,
        ),
    ] {
        let mut job = server.job("main");
        job.event = pull_request(&server, "pull_request_target");
        let done = server.check_out(job, more).await;
        assert_eq!(done.ended.status, "success", "{}", done.log);
        assert_eq!(server.checked_out(), expected, "{}", done.log);
        let text = "::notice title=checkout::checking out the target branch, not the pull request";
        assert_eq!(done.log.contains(text), notice, "{}", done.log);
    }
    // For other events the commit is that of the run, which for a pull request is its merge.
    let mut job = server.job("main~1");
    job.event = pull_request(&server, "pull_request");
    let done = server.check_out(job, json!({})).await;
    assert_eq!(server.checked_out(), "3", "{}", done.log);
}

#[actix_web::test]
async fn elsewhere_the_ordinary_checkout_is_used() {
    let server = Server::start();
    let mut hosted = server.job("main");
    hosted.environment = "github-hosted";
    let without_repository = server.job("main");
    let mut bare = without_repository;
    bare.variables.push((
        "GITHUB_WORKSPACE",
        Some(server.path("author/..").into_os_string()),
    ));
    for job in [hosted, bare] {
        let done = server.check_out(job, json!({"fetch-depth": "7"})).await;
        assert_eq!(done.ended.status, "success", "{}", done.log);
        let inputs = json!({"allow-unsafe-pr-checkout": "false", "fetch-depth": "7",
            "persist-credentials": "false", "ref": server.commit_id("main"), "token": GITHUB_TOKEN});
        done.assert_log_has(&format!("actions/checkout with {inputs}"));
    }
    assert_eq!(
        server.checked_out(),
        "2",
        "the repository of the image is as it was"
    );
}

#[actix_web::test]
async fn invalid_inputs_are_errors() {
    let server = Server::start();
    for (with, text) in [
        (
            json!({"fetch-depth": "all"}),
            "fetch-depth must be a number of commits",
        ),
        (
            json!({"fetch-depth": "-1"}),
            "fetch-depth must be a number of commits",
        ),
        (
            json!({"allow-unsafe-pr-checkout": "yes"}),
            "allow-unsafe-pr-checkout must be true or false",
        ),
    ] {
        let done = server.check_out(server.job("main"), with).await;
        assert_eq!(done.ended.status, "failure");
        done.assert_log_has(&format!("::error title=checkout::{text}"));
    }
    let mut job = server.job("main");
    job.event = json!({"event_name": "pull_request_target",
        "event": {"pull_request": {"head": {"sha": "main; id"}}}});
    let done = server
        .check_out(job, json!({"allow-unsafe-pr-checkout": "true"}))
        .await;
    assert_eq!(done.ended.status, "failure");
    done.assert_log_has("the commit of this run is not known");
}
