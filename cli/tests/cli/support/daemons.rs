//! The daemons as processes of their own, and what they say over HTTP.

use std::{fs, path::Path, process::Stdio};

use serde_json::{Value, json};
use tokio::process::Command;

use super::{API_TOKEN, end_of, executable, text_of};

/// The base URL of what listens on `port`, without a slash at the end.
pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A daemon of the workspace that works in `folder`, where its settings and its data are.
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

/// The JSON at `url`; none if nobody is there, or the answer is no success.
pub async fn get(url: &str) -> Option<Value> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--max-time", "10", url]);
    serde_json::from_str(&end_of(curl).await.stdout).ok()
}

/// Queues a workflow job at the emulator that runs on the runner with `label`; returns its number.
pub async fn queue_workflow_job(github: &str, label: &Value, command: &str) -> u64 {
    let job = json!({"repo": "delan/servo", "run_id": 123, "labels": [label], "command": command});
    let url = format!("{github}/_emulator/jobs");
    let (json, job) = ("content-type: application/json", job.to_string());
    let queued = text_of("curl", &["-sSf", "-H", json, "-d", &job, &url]).await;
    let queued: Value = serde_json::from_str(&queued).unwrap();
    queued["id"].as_u64().unwrap()
}
