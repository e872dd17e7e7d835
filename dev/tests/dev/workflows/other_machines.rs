//! The actions on machines other than ours: other locales, missing tools, other versions of tools, other
//! settings, and other networks.

use std::{
    env,
    ffi::OsString,
    fs,
    io::Write,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use emulator::{EmulatorSettings, EmulatorThread};
use serde_json::json;
use shared::secret::Secret;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Done, RunningAction,
    deployment::{GITHUB_TOKEN, job_at},
    files::repository,
    job::Job,
    scripted_queue::{Response, ScriptedQueue},
    start_action,
};

const LABEL: &str = "runner:1b4e28ba-2fa1-41d2-883f-0016d3cca427";

fn github() -> EmulatorThread {
    emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN))).unwrap()
}

fn ticket() -> Response {
    (200, None, "eyJ0.eyJ1-_.c2ln".to_owned())
}

fn runners() -> Response {
    let runners = json!({"id": 1, "runner": {}, "label": LABEL});
    (200, None, runners.to_string())
}

/// A queue with a job that waits once and then gets its runner.
fn queue() -> ScriptedQueue {
    let waiting = json!({"code": "waiting", "message": "wait", "position": 3,
        "estimate": {"p50_seconds": 1, "p90_seconds": 2}});
    ScriptedQueue::start(vec![
        ticket(),
        (503, Some(0), waiting.to_string()),
        runners(),
    ])
}

fn start_select(job: Job, queue_url: &str) -> RunningAction {
    let with = json!({
        "queue-url": queue_url, "github-hosted-runner-label": "ubuntu-latest",
        "self-hosted-image-name": "linux-2.a_B", "max-wait": "50 seconds", "unreachable-after": "40s",
    });
    start_action(job, "runner-select", with)
}

async fn select(job: Job, queue_url: &str) -> Done {
    start_select(job, queue_url).finish().await
}

#[track_caller]
fn assert_self_hosted(done: &Done) {
    assert_eq!(done.outputs["is-self-hosted"], "true", "{}", done.log);
    assert_eq!(done.outputs["selected-runner-label"], LABEL);
    assert_eq!(
        done.outputs["selected-runner-labels"],
        json!([LABEL]).to_string()
    );
    assert_eq!(done.outputs["selected-runner-indices"], "[1]");
}

/// A folder for `LOCPATH` with locales whose ranges follow the collation of a language. Compiled here,
/// because they are rarely installed; without them the test would pass whatever the scripts do.
fn locales() -> &'static Path {
    static LOCALES: OnceLock<TempDir> = OnceLock::new();
    let folder = LOCALES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for locale in ["en_US", "tr_TR"] {
            let mut localedef = Command::new("localedef");
            localedef.args(["-i", locale, "-f", "UTF-8"]);
            localedef.arg(folder.path().join(format!("{locale}.UTF-8")));
            let output = localedef.output();
            let output = output.expect("localedef runs: install the packages libc-bin and locales");
            assert!(output.status.success(), "{output:?}");
        }
        folder
    });
    folder.path()
}

fn set(job: &mut Job, name: &'static str, value: impl Into<OsString>) {
    job.variables.push((name, Some(value.into())));
}

#[actix_web::test]
async fn the_actions_work_in_every_locale() {
    let github = github();
    let collating = Command::new("bash")
        .args(["-c", "[[ a =~ ^[!-~]$ ]]"])
        .env("LOCPATH", locales())
        .env("LC_ALL", "en_US.UTF-8")
        .status();
    assert_eq!(collating.unwrap().code(), Some(1), "the locale collates");
    for (name, locale) in [
        ("LC_ALL", "en_US.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LC_COLLATE", "en_US.UTF-8"),
        ("LANG", "en_US.UTF-8"),
        ("LC_ALL", "C"),
        ("LC_ALL", "POSIX"),
        ("LC_ALL", "C.UTF-8"),
        ("LC_ALL", ""),
        ("LC_ALL", "no_such.LOCALE"),
    ] {
        let mut job = job_at(&github);
        for variable in ["LC_ALL", "LC_COLLATE", "LC_CTYPE", "LANG"] {
            job.variables.push((variable, None));
        }
        set(&mut job, "LOCPATH", locales());
        set(&mut job, name, locale);
        let done = select(job, &queue().url).await;
        assert_self_hosted(&done);
        done.assert_log_has("position 3, estimated wait: about 1 s");

        let mut job = job_at(&github);
        set(&mut job, "LOCPATH", locales());
        set(&mut job, name, locale);
        let with =
            json!({"selected-runner-labels": json!([LABEL]).to_string(), "timeout": "0 minutes"});
        let done = start_action(job, "runner-timeout", with).finish().await;
        assert_eq!(done.ended.status, "success", "{locale}: {}", done.log);
        done.assert_log_has("no job of this run has the labels");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the machines of the tests have our commands"
)]
fn search_path() -> OsString {
    env::var_os("PATH").unwrap()
}

/// A folder with the commands of this machine except some, for `PATH`.
fn commands_without(missing: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for place in env::split_paths(&search_path()) {
        for command in place.read_dir().into_iter().flatten().flatten() {
            let name = command.file_name();
            if !missing.iter().any(|missing| name == **missing) {
                // Fails for a command that is in an earlier place as well.
                let _ = symlink(command.path(), folder.path().join(name));
            }
        }
    }
    folder
}

#[actix_web::test]
async fn hosted_runners_are_used_where_a_tool_is_missing() {
    let github = github();
    for tool in ["jq", "curl"] {
        let queue = queue();
        let path = commands_without(&[tool]);
        let mut job = job_at(&github);
        set(&mut job, "PATH", path.path());
        let done = select(job, &queue.url).await;
        let reason = format!("the command {tool}, which this action needs, is not installed");
        done.assert_log_has(&format!("::warning title=runner-select::{reason}"));
        assert_eq!(done.outputs["fallback-reason"], "unsupported");
        assert_eq!(
            done.outputs["selected-runner-labels"],
            r#"["ubuntu-latest"]"#
        );
        assert_eq!(queue.requests(), Vec::<String>::new());

        let mut job = job_at(&github);
        set(&mut job, "PATH", path.path());
        let with = json!({"selected-runner-labels": "[\"a\"]"});
        let done = start_action(job, "runner-timeout", with).finish().await;
        assert_eq!(done.ended.status, "failure");
        done.assert_log_has(&format!("::error title=runner-timeout::the command {tool}"));
    }
}

/// A folder with one command, for the start of `PATH`.
fn command(name: &str, script: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, format!("#!/bin/bash\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Puts a folder in front of `PATH`.
fn prefer(job: &mut Job, folder: &Path) {
    let path = search_path();
    let all = std::iter::once(folder.to_owned()).chain(env::split_paths(&path));
    set(job, "PATH", env::join_paths(all).unwrap());
}

fn real(name: &str) -> PathBuf {
    let path = search_path();
    let found = env::split_paths(&path).find(|place| place.join(name).is_file());
    found.expect("it is installed").join(name)
}

/// On Windows jq ends its lines with CRLF.
#[actix_web::test]
async fn carriage_returns_of_jq_are_in_no_output() {
    let github = github();
    let script = format!(
        "set -o pipefail; {} \"$@\" | sed 's/$/\\r/'",
        real("jq").display()
    );
    let jq = command("jq", &script);
    let mut job = job_at(&github);
    prefer(&mut job, jq.path());
    let done = select(job, &queue().url).await;
    assert_self_hosted(&done);
    done.assert_log_has("position 3, estimated wait: about 1 s");
    let outputs = format!("{:?}", done.outputs);
    assert!(!outputs.contains('\r'), "{outputs}");

    let mut job = job_at(&github);
    prefer(&mut job, jq.path());
    let with = json!({"selected-runner-labels": "[\"a\", \"a\"]", "timeout": "0"});
    let done = start_action(job, "runner-timeout", with).finish().await;
    done.assert_log_has("jobs: 0 of 2 started, 0 waiting, 2 not created yet");
}

#[actix_web::test]
async fn the_settings_of_curl_and_the_shell_of_the_machine_do_not_apply() {
    let github = github();
    let home = tempfile::tempdir().unwrap();
    let curlrc = "include\nfail\nlocation\nuser-agent = \"x\"\nwrite-out = \"extra\"\noutput = \"/nonexistent/file\"\n";
    fs::write(home.path().join(".curlrc"), curlrc).unwrap();
    let mut job = job_at(&github);
    set(&mut job, "HOME", home.path());
    set(&mut job, "CURL_HOME", home.path());
    for (name, value) in [
        ("SECONDS", "100000"),
        ("IFS", "-"),
        ("CDPATH", "/"),
        ("POSIXLY_CORRECT", "1"),
        ("hold", "x"),
        ("GREP_OPTIONS", "--color=always"),
        ("JQ_COLORS", "1;31"),
    ] {
        set(&mut job, name, value);
    }
    assert_self_hosted(&select(job, &queue().url).await);
}

#[actix_web::test]
async fn paths_may_contain_blanks_and_scripts_need_not_be_executable() {
    let github = github();
    let folder = tempfile::tempdir().unwrap();
    let actions = folder.path().join("my actions (1)");
    fs::create_dir_all(actions.join("runner-select")).unwrap();
    let ours = repository().join(".github/actions/runner-select");
    for file in ours.read_dir().unwrap().flatten() {
        let text = fs::read_to_string(file.path()).unwrap();
        fs::write(actions.join("runner-select").join(file.file_name()), text).unwrap();
    }
    let mut job = job_at(&github);
    job.actions = Box::leak(actions.to_str().unwrap().into());
    let temporary = folder.path().join("a b's \"c\"");
    fs::create_dir(&temporary).unwrap();
    set(&mut job, "RUNNER_TEMP", &temporary);
    assert_self_hosted(&select(job, &queue().url).await);
    assert!(temporary.read_dir().unwrap().next().is_none());
}

#[actix_web::test]
async fn a_runner_without_output_files_gets_an_error_and_one_without_summary_works() {
    let github = github();
    for summary in [None, Some("/nonexistent/summary".into())] {
        let mut job = job_at(&github);
        job.variables.push(("GITHUB_STEP_SUMMARY", summary));
        assert_self_hosted(&select(job, &queue().url).await);
    }
    let mut job = job_at(&github);
    job.variables.push(("GITHUB_OUTPUT", None));
    let done = select(job, &queue().url).await;
    assert_eq!(done.ended.status, "failure");
    done.assert_log_has("::error title=runner-select::GITHUB_OUTPUT is not set");
}

#[actix_web::test]
async fn proxies_of_the_environment_are_used_and_exceptions_obeyed() {
    let github = github();
    let proxy = queue();
    let mut job = job_at(&github);
    set(&mut job, "http_proxy", &proxy.url);
    set(&mut job, "no_proxy", "127.0.0.1");
    assert_self_hosted(&select(job, "http://queue.invalid/queue/").await);
    assert!(
        proxy.targets()[0].contains("queue.invalid"),
        "{:?}",
        proxy.targets()
    );

    let mut job = job_at(&github);
    set(&mut job, "http_proxy", "http://127.0.0.1:9");
    set(&mut job, "NO_PROXY", "localhost,127.0.0.1");
    assert_self_hosted(&select(job, &queue().url).await);
}

/// A queue that sends bytes as they are, one element for each connection.
fn raw_queue(responses: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    actix_web::rt::spawn(async move {
        for response in responses {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|part| part == b"\r\n\r\n") {
                assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0);
            }
            connection.write_all(&response).await.unwrap();
            if response.is_empty() {
                // Ends the connection with a reset.
                connection.set_zero_linger().unwrap();
            } else {
                connection.shutdown().await.unwrap();
            }
        }
    });
    url
}

/// curl exits with 18, 52, 56, 1 and 8 here. Its own `--retry` would repeat none of these calls.
#[actix_web::test]
async fn broken_responses_are_repeated_and_odd_headers_understood() {
    let runners = runners().2;
    let response = |head: &str, body: &str| format!("{head}\r\n\r\n{body}").into_bytes();
    let length = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}");
    let responses = vec![
        Vec::new(),
        response(&length(100), "eyJ0"),
        response(&length(16), "eyJ0.eyJ1-_.c2ln"),
        response(&length(runners.len() + 1), &runners),
        Vec::new(),
        response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "zz\r\n"),
        b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(),
        response("HTTP/1.1 503 x\r\nRETRY-AFTER:0  \r\nContent-Length: 0", ""),
        response("HTTP/1.0 200 OK", &runners),
    ];
    let done = select(job_at(&github()), &raw_queue(responses)).await;
    assert_self_hosted(&done);
    assert_eq!(
        done.log.matches("the queue is unavailable").count(),
        7,
        "{}",
        done.log
    );
}

#[test]
fn scripts_have_unix_line_endings_on_every_system() {
    let listed = Command::new("git")
        .current_dir(repository())
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "actions",
            ".github",
            ".ci",
            "dev",
        ])
        .output()
        .unwrap();
    let mut check = Command::new("git");
    check.current_dir(repository());
    check.args(["check-attr", "--stdin", "text", "eol"]);
    let mut check = check
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    check
        .stdin
        .take()
        .unwrap()
        .write_all(&listed.stdout)
        .unwrap();
    let output = String::from_utf8(check.wait_with_output().unwrap().stdout).unwrap();
    let lines: Vec<&str> = output.lines().collect();
    assert!(lines.len() > 20, "{output}");
    for line in lines {
        let is_unix = line.ends_with(": text: auto") || line.ends_with(": eol: lf");
        assert!(is_unix, "{line}: see .gitattributes");
    }
}

#[test]
fn the_actions_of_both_paths_are_the_same() {
    let (ours, other) = (
        repository().join(".github/actions"),
        repository().join("actions"),
    );
    let names = |folder: &Path| {
        let mut names: Vec<String> = folder
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&ours), names(&other));
    for name in names(&ours) {
        let read =
            |folder: &Path| fs::read_to_string(folder.join(&name).join("action.yml")).unwrap();
        let path = format!("\"$GITHUB_ACTION_PATH/../../.github/actions/{name}/");
        let expected = read(&ours).replace("\"$GITHUB_ACTION_PATH/", &path);
        let found = read(&other);
        let (_, found) = found.split_once('\n').unwrap();
        assert_eq!(found, expected, "copy .github/actions/{name}/action.yml");
    }
}

#[actix_web::test]
async fn the_actions_work_below_the_path_of_servo() {
    let github = github();
    let mut job = job_at(&github);
    job.actions = "actions";
    assert_self_hosted(&select(job, &queue().url).await);
    let mut job = job_at(&github);
    job.actions = "actions";
    let with = json!({"unique-id": "x", "github_token": GITHUB_TOKEN, "timeout": "0"});
    let done = start_action(job, "runner-timeout", with).finish().await;
    assert_eq!(done.ended.status, "success", "{}", done.log);
}
