//! The daemons as processes, and calls to them and to the emulator with curl.

use std::{fs, path::Path, process::Stdio};

use serde_json::{Value, json};
use tokio::process::Command;

use super::{API_TOKEN, executable, finish, stdout_of};

/// The base URL of a server on `port`, without a slash at the end.
pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A settings file for both daemons, with a profile `linux` of `target_count` runners.
pub fn settings_of_both(
    github: &str,
    monitor_port: u16,
    queue_port: u16,
    target_count: usize,
) -> String {
    let linux = profile("linux", &format!("target_count = {target_count}"));
    settings_with(github, monitor_port, queue_port, target_count, &linux)
}

/// A profile whose runners need 1 GB each, with these further settings.
pub fn profile(key: &str, settings: &str) -> String {
    let agent = env!("CARGO_BIN_EXE_ci-runners-dev");
    // How long an agent survives the emulator.
    let command = json!([agent, "agent", "--give-up-after", "2s"]);
    format!(
        r#"
        [profiles.{key}]
        github_runner_label = "self-hosted-image:{key}"
        requires_normal_memory = "1G"
        {settings}
        [profiles.{key}.guest]
        driver = "command"
        command = {command}
        "#
    )
}

/// A settings file for both daemons, with room for so many runners of 1 GB.
pub fn settings_with(
    github: &str,
    monitor_port: u16,
    queue_port: u16,
    room: usize,
    profiles: &str,
) -> String {
    let monitor_url = url(monitor_port);
    format!(
        r#"
        listen_on = ["127.0.0.1"]
        port = {monitor_port}
        external_base_url = "{monitor_url}/"
        github_api_url = "{github}"
        github_api_scope = "/orgs/delan"
        github_api_suffix = "host"
        allowed_qualified_repo_prefix = "delan/"
        api_cache_timeout = 1
        monitor_poll_interval = "200ms"
        available_normal_memory = "{room}G"
        {profiles}
        [queue]
        servers = ["{monitor_url}"]
        port = {queue_port}
        settle = 1
        "#
    )
}

/// A daemon of the workspace, with its settings and data in `folder`.
pub fn daemon(name: &str, folder: &Path, settings: &str) -> Command {
    let file = folder.join("monitor.toml");
    fs::write(&file, settings).unwrap();
    let mut command = Command::new(executable(name));
    command
        .arg("--config")
        .arg(&file)
        .current_dir(folder)
        .env("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN)
        .env("GITHUB_TOKEN", "emulated")
        .env("SERVO_CI_MONITOR_DATA_PATH", folder.join("data"))
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The JSON at `url`; `None` if nothing listens there, or the response is not a success.
pub async fn get(url: &str) -> Option<Value> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--max-time", "10", url]);
    serde_json::from_str(&finish(curl).await.stdout).ok()
}

/// The same with the API token.
pub async fn get_authorised(url: &str) -> Option<Value> {
    let authorization = format!("authorization: Bearer {API_TOKEN}");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--max-time", "10", "-H"]);
    curl.args([&authorization, url]);
    serde_json::from_str(&finish(curl).await.stdout).ok()
}

/// Queues a workflow job at the emulator for the runner with `label`; returns its id.
pub async fn queue_workflow_job(github: &str, label: &Value, command: &str) -> u64 {
    let job = json!({"repo": "delan/servo", "run_id": 123, "labels": [label], "command": command});
    let url = format!("{github}/_emulator/jobs");
    let (json, job) = ("content-type: application/json", job.to_string());
    let queued = stdout_of("curl", &["-sSf", "-H", json, "-d", &job, &url]).await;
    let queued: Value = serde_json::from_str(&queued).unwrap();
    queued["id"].as_u64().unwrap()
}
