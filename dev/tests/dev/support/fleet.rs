//! A fleet whose processes can be killed and stopped: the emulator as GitHub, several monitors whose
//! runners are agents, and a queue in front of them.

use std::{
    fs::{self, File},
    process::Stdio,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{
    API_TOKEN, Running, daemon, free_ports, get, get_authorised, start_emulator, url, wait_until,
    waiting_jobs,
};

/// The pool of one monitor.
pub struct Pool {
    /// The name of the monitor and of its directory.
    pub name: &'static str,
    /// Its only profile.
    pub profile: &'static str,
    pub target: usize,
}

/// The processes. Dropping this kills them; agents exit by themselves soon after the emulator.
pub struct Fleet {
    /// The base URL of the emulator, without a slash at the end.
    pub github: String,
    /// The base URL of the queue, without a slash at the end.
    pub queue_url: String,
    /// The base URL of each monitor, without a slash at the end.
    pub monitor_urls: Vec<String>,
    monitors: Vec<Child>,
    /// The name and the settings of each monitor.
    monitor_settings: Vec<(&'static str, String)>,
    queue: Child,
    queue_settings: String,
    /// Dropped after the daemons.
    _emulator: Running,
    /// Has a directory for each daemon.
    pub folder: TempDir,
}

impl Fleet {
    /// Starts a fleet and waits until all runners are idle. The startup grace period of the queue is
    /// `settle` seconds.
    pub async fn start(pools: &[Pool], settle: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (emulator, github) = start_emulator().await;
        let (mut monitors, mut monitor_urls) = (Vec::new(), Vec::new());
        let mut all_settings = Vec::new();
        for pool in pools {
            let [port] = free_ports();
            let settings = monitor_settings(pool, &github, port);
            monitors.push(spawn(&folder, "monitor", pool.name, &settings, API_TOKEN));
            all_settings.push((pool.name, settings));
            monitor_urls.push(url(port));
        }
        let [port] = free_ports();
        let queue_settings = queue_settings(&github, port, &monitor_urls, settle);
        let fleet = Self {
            queue: spawn(&folder, "queue", "queue", &queue_settings, API_TOKEN),
            queue_url: url(port),
            github,
            monitor_urls,
            monitors,
            monitor_settings: all_settings,
            queue_settings,
            _emulator: emulator,
            folder,
        };
        fleet.wait_until_all_idle(pools).await;
        fleet
    }

    /// Waits until every pool has its target of idle runners, by the queue's dashboard.
    pub async fn wait_until_all_idle(&self, pools: &[Pool]) {
        let url = format!("{}/dashboard.json", self.queue_url);
        wait_until("every runner is idle", async || {
            let dashboard = get(&url).await.unwrap_or_default();
            pools.iter().all(|pool| {
                let all: u64 = pools
                    .iter()
                    .filter(|other| other.profile == pool.profile)
                    .map(|other| other.target as u64)
                    .sum();
                let profiles = dashboard["profiles"].as_array();
                profiles.is_some_and(|profiles| {
                    profiles
                        .iter()
                        .any(|shown| shown["profile_key"] == pool.profile && shown["idle"] == all)
                })
            })
        })
        .await;
    }

    /// Kills the queue with SIGKILL, and starts it again with the same address and data.
    pub async fn kill_and_restart_queue(&mut self) {
        self.queue.kill().await.unwrap();
        let settings = &self.queue_settings;
        self.queue = spawn(&self.folder, "queue", "queue", settings, API_TOKEN);
    }

    /// Kills a monitor with SIGKILL. Its runners go on.
    pub async fn kill_monitor(&mut self, index: usize) {
        self.monitors[index].kill().await.unwrap();
    }

    /// Starts a killed monitor again, with the same address and data, and this API token.
    pub fn restart_monitor(&mut self, index: usize, token: &str) {
        let (name, settings) = &self.monitor_settings[index];
        self.monitors[index] = spawn(&self.folder, "monitor", name, settings, token);
    }

    /// Sends a monitor a signal, such as `STOP`.
    pub async fn signal_monitor(&self, index: usize, name: &str) {
        let pid = self.monitors[index].id().expect("it runs");
        let mut kill = Command::new("kill");
        let sent = kill.args([format!("-{name}"), pid.to_string()]).status();
        assert!(sent.await.unwrap().success());
    }

    /// The reservations on a monitor's dashboard, by `unique_id`.
    pub async fn reservations(&self, index: usize) -> Value {
        let url = format!("{}/dashboard.json", self.monitor_urls[index]);
        let dashboard = get_authorised(&url).await.expect("the monitor responds");
        dashboard["reservations"].clone()
    }

    /// The names of the waiting jobs; empty while the queue is down.
    pub async fn waiting_jobs(&self) -> Vec<String> {
        let dashboard = get(&format!("{}/dashboard.json", self.queue_url)).await;
        waiting_jobs(&dashboard.unwrap_or_default())
    }

    /// The log of all daemons.
    pub fn logs(&self) -> String {
        let folders = self.folder.path().read_dir().unwrap().flatten();
        folders
            .filter_map(|folder| fs::read_to_string(folder.path().join("log")).ok())
            .collect()
    }
}

/// Starts a daemon in a directory of its own, where the file `log` has its log.
fn spawn(folder: &TempDir, daemon_name: &str, name: &str, settings: &str, token: &str) -> Child {
    let folder = folder.path().join(name);
    fs::create_dir_all(&folder).unwrap();
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    daemon(daemon_name, &folder, settings)
        .env("SERVO_CI_MONITOR_API_TOKEN", token)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn monitor_settings(pool: &Pool, github: &str, port: u16) -> String {
    let agent = env!("CARGO_BIN_EXE_ci-runners-dev");
    let command = json!([agent, "agent", "--give-up-after", "5s"]);
    let common = common_settings(github, port);
    format!(
        r#"
        {common}
        port = {port}
        github_api_suffix = "{name}"
        api_cache_timeout = 1
        monitor_poll_interval = "200ms"
        available_normal_memory = "64G"
        [profiles.{profile}]
        github_runner_label = "self-hosted-image:{profile}"
        target_count = {target}
        requires_normal_memory = "1G"
        [profiles.{profile}.guest]
        driver = "command"
        command = {command}
        "#,
        name = pool.name,
        profile = pool.profile,
        target = pool.target,
    )
}

fn queue_settings(github: &str, port: u16, servers: &[String], settle: u64) -> String {
    let common = common_settings(github, port);
    format!(
        r#"
        {common}
        github_api_suffix = "queue"
        available_normal_memory = "1G"
        [queue]
        servers = {servers:?}
        port = {port}
        settle = {settle}
        "#
    )
}

fn common_settings(github: &str, port: u16) -> String {
    format!(
        r#"
        listen_on = ["127.0.0.1"]
        external_base_url = "{}/"
        github_api_url = "{github}"
        github_api_scope = "/orgs/delan"
        allowed_qualified_repo_prefix = "delan/"
        "#,
        url(port)
    )
}
