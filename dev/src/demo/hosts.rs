//! The two hosts of the demo: which runners each keeps, and the settings that make it so.
//!
//! Owns the files that it writes, which are of the form that a real host has. Starts nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use shared::settings::{Environment, Settings};

use super::ports::Ports;
use cli::failure::Failure;

/// The token of the demo's queue and monitors. It opens nothing but what is made up.
pub const API_TOKEN: &str = "demo";
/// The token that the made-up GitHub accepts.
pub const GITHUB_TOKEN: &str = "demo-github";
/// The repository that all jobs are for.
pub const REPO: &str = "delan/servo";
/// Where the runners are registered.
pub const SCOPE: &str = "/orgs/delan";
/// How long a runner is kept for whoever took it and does not use it.
pub const RESERVE_TIMEOUT_SECONDS: u64 = 60;

/// Which runners each host keeps: its name, then profiles and how many of each.
pub const HOSTS: [(&str, &[(&str, usize)]); 2] =
    [("a", &[("linux", 2)]), ("b", &[("linux", 1), ("macos", 1)])];

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The monitors' base URLs, in the order of [`HOSTS`].
    pub monitors: [String; 2],
    /// The queue's base URL.
    pub queue: String,
    /// The made-up GitHub's base URL.
    pub github: String,
}

impl Addresses {
    /// All on this host.
    pub fn of(ports: Ports) -> Self {
        let url = |port| format!("http://127.0.0.1:{port}");
        Self {
            monitors: [url(ports.monitor_a), url(ports.monitor_b)],
            queue: url(ports.queue),
            github: url(ports.github),
        }
    }
}

/// Writes `<folder>/<host>/monitor.toml` for each host and loads it. `agent` is the executable
/// that is a runner when it is started with the argument `agent`.
///
/// # Errors
/// When a file cannot be written, or its content is refused.
pub fn make(folder: &Path, ports: Ports, agent: &Path) -> Result<[Settings; 2], Failure> {
    let agent = agent.to_str().ok_or_else(|| {
        Failure::Other(format!(
            "name {} in its settings: that path is not UTF-8",
            agent.display()
        ))
    })?;
    let [a, b] = [0, 1].map(|host| load(folder, host, &text(host, ports, agent)));
    Ok([a?, b?])
}

fn load(folder: &Path, host: usize, text: &str) -> Result<Settings, Failure> {
    let folder = folder.join(HOSTS[host].0);
    let file = folder.join("monitor.toml");
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, text));
    written.map_err(|error| Failure::Other(format!("write {}: {error}", file.display())))?;
    Settings::load(&file, &environment(&folder))
        .map_err(|error| Failure::Other(format!("read its own settings: {error}")))
}

/// What is otherwise in `.env`. The demo reads nothing of the kind from its own environment, so
/// that the settings of a real host next to it change nothing.
fn environment(folder: &Path) -> Environment {
    let data_path: PathBuf = folder.join("data");
    let data_path = data_path.to_string_lossy().into_owned();
    Environment::from_iter([
        ("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN.to_owned()),
        ("GITHUB_TOKEN", GITHUB_TOKEN.to_owned()),
        ("SERVO_CI_MONITOR_DATA_PATH", data_path),
    ])
}

/// The settings of one host. The queue runs on the first.
fn text(host: usize, ports: Ports, agent: &str) -> String {
    let addresses = Addresses::of(ports);
    let (name, profiles) = HOSTS[host];
    let (port, url) = (
        [ports.monitor_a, ports.monitor_b][host],
        &addresses.monitors[host],
    );
    let (github, seconds) = (&addresses.github, RESERVE_TIMEOUT_SECONDS);
    let mut text = format!(
        "\
# Host {name} of the demo. See monitor.toml.example for what all of this means.
listen_on = [\"127.0.0.1\"]
port = {port}
external_base_url = \"{url}/\"
queue_member = true

github_api_url = \"{github}\"
github_api_scope = \"{SCOPE}\"
github_api_suffix = \"host-{name}\"
allowed_qualified_repo_prefix = \"delan/\"

# Far quicker than GitHub would like.
api_cache_timeout = 1
monitor_poll_interval = \"200ms\"
monitor_start_timeout = 60
monitor_reserve_timeout = {seconds}

available_normal_memory = \"4G\"
"
    );
    for (key, target) in profiles {
        // A JSON string is a TOML string too.
        let command = json!([agent, "agent", "--give-up-after", "20s"]);
        text += &format!(
            "
[profiles.{key}]
github_runner_label = \"self-hosted-image:{key}\"
target_count = {target}
requires_normal_memory = \"1G\"

[profiles.{key}.guest]
driver = \"command\"
command = {command}
"
        );
    }
    if host == 0 {
        let (servers, port) = (json!(addresses.monitors), ports.queue);
        text += &format!("\n[queue]\nservers = {servers}\nport = {port}\nsettle = 1\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::settings::GuestDriver;

    use super::*;

    const PORTS: Ports = Ports {
        monitor_a: 1,
        monitor_b: 2,
        queue: 3,
        github: 4,
    };

    #[test]
    fn the_settings_of_both_hosts_are_right() {
        let folder = tempfile::tempdir().unwrap();
        let agent = Path::new("/opt/with \"quotes\" and \\/ci-runners");
        let [a, b] = make(folder.path(), PORTS, agent).unwrap();
        for (settings, port) in [(&a, 1), (&b, 2)] {
            assert_eq!(settings.network.port, port);
            assert!(settings.data_path.starts_with(folder.path()));
            assert!(settings.secrets.api_token.matches(API_TOKEN));
            assert_eq!(
                settings.github.github_api_url.as_str(),
                "http://127.0.0.1:4/"
            );
        }
        assert_ne!(a.data_path, b.data_path);
        let queue = a.require_queue().unwrap();
        let servers: Vec<_> = queue.servers.iter().map(|server| server.as_str()).collect();
        assert_eq!(servers, ["http://127.0.0.1:1/", "http://127.0.0.1:2/"]);
        assert_eq!((queue.port, queue.settle), (3, Duration::from_secs(1)));
        let GuestDriver::Command(command) = &b.profiles["macos"].guest else {
            panic!("guests are processes");
        };
        assert_eq!(
            command[..2],
            [agent.to_str().unwrap().to_owned(), "agent".to_owned()]
        );
    }

    #[test]
    fn each_host_keeps_the_runners_that_are_shown() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = make(folder.path(), PORTS, Path::new("/ci-runners")).unwrap();
        for (settings, (_, profiles)) in hosts.iter().zip(HOSTS) {
            let targets: Vec<_> = settings
                .profiles
                .iter()
                .map(|(key, profile)| (key.as_str(), profile.target_count))
                .collect();
            assert_eq!(targets, profiles);
        }
    }
}
