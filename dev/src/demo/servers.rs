//! The two servers of the demo: their runners and their settings files, in the same format as those
//! of real servers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use shared::settings::{Environment, Settings};

use super::ports::Ports;
use cli::failure::Failure;

/// The API token of the demo's queue and monitors. It protects nothing real.
pub const API_TOKEN: &str = "demo";
/// The token that the emulated GitHub accepts.
pub const GITHUB_TOKEN: &str = "demo-github";
/// The repository that all jobs are for.
pub const REPO: &str = "delan/servo";
/// The scope in which the runners are registered.
pub const SCOPE: &str = "/orgs/delan";
/// How long a runner stays reserved for a job that does not use it.
pub const RESERVE_TIMEOUT_SECONDS: u64 = 60;

/// The servers: the name of each, and its profiles with their targets.
pub const SERVERS: [(&str, &[(&str, usize)]); 2] =
    [("a", &[("linux", 2)]), ("b", &[("linux", 1), ("macos", 1)])];

/// The base URLs, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// In the order of [`SERVERS`].
    pub monitors: [String; 2],
    pub queue: String,
    pub github: String,
}

impl Addresses {
    /// The URLs of these ports of the loopback interface.
    pub fn of(ports: Ports) -> Self {
        let url = |port| format!("http://127.0.0.1:{port}");
        Self {
            monitors: [url(ports.monitor_a), url(ports.monitor_b)],
            queue: url(ports.queue),
            github: url(ports.github),
        }
    }
}

/// Writes `<data_dir>/<server>/monitor.toml` for each server and loads it. `agent` is the executable
/// of the runners; its argument is `agent`.
///
/// # Errors
/// When a file cannot be written, or its content is refused.
pub fn write_settings(
    data_dir: &Path,
    ports: Ports,
    agent: &Path,
) -> Result<[Settings; 2], Failure> {
    let agent = agent.to_str().ok_or_else(|| {
        Failure::Other(format!(
            "write {} to the settings: the path is not UTF-8",
            agent.display()
        ))
    })?;
    let [a, b] = [0, 1].map(|server| load(data_dir, server, &text(server, ports, agent)));
    Ok([a?, b?])
}

fn load(data_dir: &Path, server: usize, text: &str) -> Result<Settings, Failure> {
    let folder = data_dir.join(SERVERS[server].0);
    let file = folder.join("monitor.toml");
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, text));
    written.map_err(|error| Failure::Other(format!("write {}: {error}", file.display())))?;
    Settings::load(&file, &environment(&folder))
        .map_err(|error| Failure::Other(format!("load its own settings: {error}")))
}

/// The variables that a real server has in `.env`. The environment of the demo is not read, so that
/// settings of a real server on the same machine have no effect.
fn environment(folder: &Path) -> Environment {
    let data_path: PathBuf = folder.join("data");
    let data_path = data_path.to_string_lossy().into_owned();
    Environment::from_iter([
        ("SERVO_CI_MONITOR_API_TOKEN", API_TOKEN.to_owned()),
        ("GITHUB_TOKEN", GITHUB_TOKEN.to_owned()),
        ("SERVO_CI_MONITOR_DATA_PATH", data_path),
    ])
}

/// The settings of one server. The queue runs on the first.
fn text(server: usize, ports: Ports, agent: &str) -> String {
    let addresses = Addresses::of(ports);
    let (name, profiles) = SERVERS[server];
    let (port, url) = (
        [ports.monitor_a, ports.monitor_b][server],
        &addresses.monitors[server],
    );
    let (github, seconds) = (&addresses.github, RESERVE_TIMEOUT_SECONDS);
    let mut text = format!(
        "\
# Server {name} of the demo. monitor.toml.example explains every setting.
listen_on = [\"127.0.0.1\"]
port = {port}
external_base_url = \"{url}/\"
queue_member = true

github_api_url = \"{github}\"
github_api_scope = \"{SCOPE}\"
github_api_suffix = \"server-{name}\"
allowed_qualified_repo_prefix = \"delan/\"

# Far more requests than GitHub allows.
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
    if server == 0 {
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
    fn the_settings_of_both_servers_are_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let agent = Path::new("/opt/with \"quotes\" and \\/ci-runners-dev");
        let [a, b] = write_settings(folder.path(), PORTS, agent).unwrap();
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
            panic!("expected the command driver");
        };
        assert_eq!(
            command[..2],
            [agent.to_str().unwrap().to_owned(), "agent".to_owned()]
        );
    }

    #[test]
    fn each_server_has_the_documented_targets() {
        let folder = tempfile::tempdir().unwrap();
        let servers = write_settings(folder.path(), PORTS, Path::new("/ci-runners-dev")).unwrap();
        for (settings, (_, profiles)) in servers.iter().zip(SERVERS) {
            let targets: Vec<_> = settings
                .profiles
                .iter()
                .map(|(key, profile)| (key.as_str(), profile.target_count))
                .collect();
            assert_eq!(targets, profiles);
        }
    }
}
