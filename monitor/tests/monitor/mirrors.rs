//! Tests of the git repositories that guests clone from the monitor, and of the folder that jobs work in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::support::{Host, Running, bearer, expect_refusal, in_time, until_file};

/// Runs git, and asserts that it succeeds.
async fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        .output();
    let output = output.await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with one commit, in a folder of the host.
async fn repository(host: &Host, name: &str) -> PathBuf {
    let path = host.path(name);
    fs::create_dir(&path).unwrap();
    git(&path, &["init", "--quiet", "-b", "main", "."]).await;
    fs::write(path.join("file"), name).unwrap();
    git(&path, &["add", "file"]).await;
    let author = ["-c", "user.name=a", "-c", "user.email=a@b"];
    git(
        &path,
        &[&author[..], &["commit", "--quiet", "-m", "first"]].concat(),
    )
    .await;
    path
}

/// Clones a repository of the monitor as a guest does; returns the content of its file.
async fn clone(host: &Host, monitor: &Running, path: &str, secret: &str) -> String {
    let url = format!("{}cache/{path}", monitor.url);
    let header = format!("http.extraHeader=Authorization: {}", bearer(secret));
    let target = host.path("clone");
    let target = target.to_str().unwrap();
    git(
        host.folder.path(),
        &["-c", &header, "clone", "--quiet", &url, target],
    )
    .await;
    let content = fs::read_to_string(host.path("clone/file")).unwrap();
    fs::remove_dir_all(target).unwrap();
    content
}

#[actix_web::test]
async fn guests_clone_mirrors_and_the_main_repository_and_read_nothing_else() {
    let host = Host::new();
    let widgets = repository(&host, "widgets").await;
    let servo = repository(&host, "servo").await;
    git(&servo, &["update-server-info"]).await;
    let settings = format!(
        "main_repo_path = {:?}\n[mirrors.widgets]\nurl = \"file://{}\"\n",
        servo.display().to_string(),
        widgets.display(),
    );
    let monitor = host.start(host.settings(1, &settings)).await;
    monitor.until_idle(1).await;
    let secret = until_file(&host.path("secret-0"), |it| !it.is_empty()).await;
    let served = host.path("data/mirrors/widgets.git/info/refs");
    until_file(&served, |it| it.contains("refs/heads/main")).await;
    for (path, content) in [
        ("servo/.git", "servo"),
        ("servo", "servo"),
        ("widgets/.git", "widgets"),
        ("widgets", "widgets"),
    ] {
        let cloned = clone(&host, &monitor, path, &secret);
        assert_eq!(in_time("the clone exists", cloned).await, content);
    }

    let stranger = monitor.get("cache/servo/.git/HEAD").await;
    expect_refusal(&stranger, 401, "unauthorised", "a stranger");
    let own = bearer(&secret);
    for path in [
        "servo/.git/config",
        "servo/.git/hooks/pre-commit.sample",
        "servo/file",
        "servo/.git/",
        "servo/.git/objects/",
        "servo/.git/..%2f..%2fmonitor.toml",
        "servo/..%2f.git/HEAD",
        "unknown/.git/HEAD",
        "..%2fdata/mirrors/widgets.git/HEAD",
    ] {
        let path = format!("cache/{path}");
        let headers = [("authorization", own.as_str())];
        let answer = monitor.call_with(http_client::Method::GET, &path, &headers);
        assert_eq!(answer.await.status, 404, "{path}");
    }
    let headers = [("authorization", own.as_str())];
    let path = "cache/servo/.git/info/refs";
    let written = monitor.call_with(http_client::Method::PUT, path, &headers);
    assert_eq!(written.await.status, 405);
    monitor.stop().await;
}

#[actix_web::test]
async fn a_mirror_that_cannot_be_updated_is_a_problem() {
    let host = Host::new();
    let settings = "[mirrors.widgets]\nurl = \"file:///nonexistent/widgets\"\n";
    let monitor = host.start(host.settings(0, settings)).await;
    let dashboard = monitor
        .until(|dashboard| !dashboard.problems.is_empty())
        .await;
    let problem = &dashboard.problems[0];
    assert_eq!(
        (&*problem.code, &*problem.subject),
        ("repository_not_updated", "mirror widgets")
    );
    assert!(problem.cause.contains("`git fetch` failed"), "{problem}");
    monitor.stop().await;
}

#[actix_web::test]
async fn jobs_work_in_the_folder_of_their_profile() {
    let host = Host::new();
    let profile = |name: &str, work_folder: &str| {
        format!(
            "[profiles.{name}]\ngithub_runner_label = \"l\"\ntarget_count = 1\n\
             requires_normal_memory = \"1G\"\n{work_folder}\n\
             guest = {{ driver = \"command\", command = [\"bash\", {:?}, {:?}] }}\n",
            host.path("agent.sh"),
            host.folder.path(),
        )
    };
    let profiles = [
        profile("a-linux", "work_folder = \"/a\""),
        profile("b-windows", "work_folder = 'C:\\a'"),
        profile("c-macos", "work_folder = \"/Users/servo/a\""),
        profile("d-other", ""),
    ];
    let monitor = host.start(host.settings_with(&profiles.concat(), "")).await;
    let dashboard = monitor.until_idle(4).await;
    for (profile_key, expected) in [
        ("a-linux", "/a"),
        // As JSON.
        ("b-windows", "C:\\\\a"),
        ("c-macos", "/Users/servo/a"),
        ("d-other", "_work"),
    ] {
        let mut runners = dashboard.runners.iter();
        let runner = runners.find(|it| {
            it.runner
                .guest_name
                .as_deref()
                .is_some_and(|name| name.contains(profile_key))
        });
        let file = host.path(&format!("work-folder-{}", runner.unwrap().id));
        let found = until_file(&file, |it| it.ends_with('\n')).await;
        assert_eq!(found.trim(), expected, "{profile_key}");
    }
    monitor.stop().await;
}
