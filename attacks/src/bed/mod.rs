//! What is attacked: a monitor and a queue as processes, with an emulated GitHub.

mod agent;
mod daemon;
mod job;

use std::{fs, path::PathBuf};

use emulator::{EmulatorSettings, EmulatorThread};
use shared::secret::Secret;
use tempfile::TempDir;

pub use agent::{AGENT_ARGUMENT, run_agent};
pub use daemon::{Daemon, Launcher};
pub use job::Job;

use crate::{http::fetch, wait};

/// The header with the API token.
pub const AUTHORISED: &str = "Authorization: Bearer hunter2-opens-the-api\r\n";
/// The daemons' token for GitHub.
const GITHUB_TOKEN: &str = "hunter3-opens-github";

/// Where the executables `monitor` and `queue` are.
pub struct Daemons {
    pub folder: PathBuf,
}

/// How the daemons are started.
pub struct BedSettings<'a> {
    /// How many runners `linux` has.
    pub target_count: usize,
    /// Lines for the top of the settings file.
    pub settings: &'a str,
    /// Lines for the table `[queue]`.
    pub queue_settings: &'a str,
    /// URLs of further monitors.
    pub servers: &'a [String],
    /// Variables of the environment of both daemons.
    pub environment: &'a [(&'a str, &'a str)],
    /// More of them, which are left out for executables that do not know them.
    pub later_environment: &'a [(&'a str, &'a str)],
    /// The soft limit of open files of both daemons.
    pub open_files_max: u64,
}

/// What an operator starts with: systemd's limit of open files, one profile `linux`, and no runner.
impl Default for BedSettings<'_> {
    fn default() -> Self {
        Self {
            target_count: 0,
            settings: "",
            queue_settings: "",
            servers: &[],
            environment: &[],
            later_environment: &[],
            open_files_max: 1024,
        }
    }
}

/// The daemons under attack, which end with this.
pub struct Bed {
    // In the order in which they end.
    pub queue: Daemon,
    pub monitor: Daemon,
    pub github: EmulatorThread,
    /// Starts a daemon again.
    pub launcher: Launcher,
    folder: TempDir,
}

impl Bed {
    /// Starts everything, and waits until the queue assigns runners and all of them are idle.
    ///
    /// # Panics
    /// When something cannot be started.
    pub fn start(daemons: &Daemons, settings: &BedSettings<'_>) -> Self {
        let bed = Self::start_without_waiting(daemons, settings);
        bed.wait_until_idle(settings.target_count);
        bed
    }

    /// Starts everything.
    ///
    /// # Panics
    /// When something cannot be started.
    pub fn start_without_waiting(daemons: &Daemons, settings: &BedSettings<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        let github = emulator::spawn(EmulatorSettings::new(Secret::new(GITHUB_TOKEN)));
        let github = github.expect("the emulator can be started");
        let monitor_address = daemon::free_address();
        let queue_address = daemon::free_address();
        let mut servers = settings.servers.to_vec();
        servers.insert(0, format!("http://{monitor_address}"));
        let agent = std::env::current_exe().expect("this executable has a path");
        let text = format!(
            r#"
            listen_on = ["127.0.0.1"]
            port = {monitor_port}
            external_base_url = "http://{monitor_address}/"
            github_api_url = "{github_url}"
            github_api_scope = "/orgs/delan"
            github_api_suffix = "host"
            allowed_qualified_repo_prefix = "delan/"
            api_cache_timeout = 1
            monitor_poll_interval = "200ms"
            available_normal_memory = "{memory}G"
            {more}
            [profiles.linux]
            github_runner_label = "self-hosted-image:linux"
            target_count = {target_count}
            requires_normal_memory = "1G"
            [profiles.linux.guest]
            driver = "command"
            command = [{agent:?}, {AGENT_ARGUMENT:?}]
            [queue]
            servers = {servers:?}
            port = {queue_port}
            settle = 1
            {more_of_queue}
            "#,
            monitor_port = monitor_address.port(),
            queue_port = queue_address.port(),
            github_url = github.base_url,
            memory = settings.target_count.max(1),
            target_count = settings.target_count,
            more = settings.settings,
            more_of_queue = settings.queue_settings,
        );
        fs::write(folder.path().join("monitor.toml"), text).expect("the folder can be written to");
        let mut launcher = Launcher {
            executables: daemons.folder.clone(),
            folder: folder.path().to_owned(),
            environment: owned([settings.environment, settings.later_environment].concat()),
            open_files_max: settings.open_files_max,
        };
        let monitor = launcher.try_start("monitor", monitor_address);
        let monitor = monitor.unwrap_or_else(|_| {
            launcher.environment = owned(settings.environment.to_vec());
            launcher.start("monitor", monitor_address)
        });
        Self {
            monitor,
            queue: launcher.start("queue", queue_address),
            github,
            launcher,
            folder,
        }
    }

    /// A file or folder below the data folder of both daemons.
    pub fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    /// Enqueues a job with the API token; returns its ticket. As long as not all servers have reported, it
    /// asks again, as clients do.
    ///
    /// # Panics
    /// When the queue refuses it.
    pub fn enqueue(&self, unique_id: &str) -> String {
        let path = enqueue_path(unique_id);
        wait::until("the queue accepts a job", || {
            let response = fetch(self.queue.address, "POST", &path, AUTHORISED);
            assert!(matches!(response.status, 200 | 503), "{}", response.text());
            (response.status == 200).then(|| response.text())
        })
    }

    /// Waits until the queue assigns runners, and so many are idle.
    pub fn wait_until_idle(&self, count: usize) {
        wait::until("the runners are idle", || {
            let is_ready = fetch(self.queue.address, "GET", "/readyz", "").status == 200;
            let dashboard = fetch(self.queue.address, "GET", "/dashboard.json", "").json();
            let idle = dashboard["profiles"].as_array().into_iter().flatten();
            let idle: u64 = idle.filter_map(|profile| profile["idle"].as_u64()).sum();
            (is_ready && idle >= count as u64).then_some(())
        });
    }
}

fn owned(environment: Vec<(&str, &str)>) -> Vec<(String, String)> {
    let variables = environment.into_iter();
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    variables.collect()
}

/// The path with which a job of one runner is enqueued with the API token.
pub fn enqueue_path(unique_id: &str) -> String {
    format!("/profile/linux/enqueue?unique_id={unique_id}&qualified_repo=delan/servo&run_id=7")
}
