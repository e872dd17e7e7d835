//! Settings from the view of an operator: from files and variables to values, or to one exact error
//! message.

mod deployed;
mod example;
mod files;
mod image;
mod policy;
mod refusals;
mod rules;
mod variables;

use std::{fs, path::PathBuf};

use shared::settings::{Environment, Settings, SettingsError};
use tempfile::TempDir;

/// A file with exactly the keys and forms that are deployed today.
const DEPLOYED: &str = r#"
listen_on = ["::1", "192.168.100.1"]
external_base_url = "http://[::1]:8000/"
github_api_scope = "/repos/delan/servo"
allowed_qualified_repo_prefix = "delan/"
github_api_suffix = "ci0.example"
monitor_poll_interval = 5
api_cache_timeout = 30
tokenless_select_artifact_max_age = 300
monitor_start_timeout = 120
monitor_reserve_timeout = 60
monitor_thread_send_timeout = 10
monitor_thread_recv_timeout = 10
# destroy_all_non_busy_runners = true
# dont_register_runners = true
# dont_create_runners = true
main_repo_path = "/srv/servo"
base_image_max_age = 86400
# dont_update_cached_servo_repo = true
available_1g_hugepages = 96
available_normal_memory = "16G"

[queue]
servers = ["https://ci0.example.org", "https://ci1.example.org"]

[profiles.servo-windows10]
profile_name = "servo-windows10"
github_runner_label = "self-hosted-image:servo-windows10"
target_count = 4
requires_1g_hugepages = 24
requires_normal_memory = "1G"

[profiles.linux]
profile_name = "linux"
github_runner_label = "self-hosted-image:linux"
target_count = 0
requires_1g_hugepages = 16
requires_normal_memory = "1536M"
image_type = "Rust"
"#;

/// The shortest file there can be.
const SHORTEST: &str = r#"
listen_on = ["127.0.0.1"]
external_base_url = "http://127.0.0.1:8000/"
github_api_scope = "/orgs/servo"
github_api_suffix = "ci0"
allowed_qualified_repo_prefix = "servo/"
available_normal_memory = "16G"
"#;

/// The environment in which nothing is missing.
const SECRETS: [(&str, &str); 2] = [
    ("SERVO_CI_MONITOR_API_TOKEN", "hunter2"),
    ("GITHUB_TOKEN", "hunter3"),
];

/// A folder with a `monitor.toml` of this text.
fn folder_with(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("monitor.toml"), text).unwrap();
    folder
}

/// Loads `monitor.toml` from `folder`, with the secrets and these variables.
fn load_from(folder: &TempDir, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let environment: Environment = SECRETS.iter().chain(variables).copied().collect();
    Settings::load(&folder.path().join("monitor.toml"), &environment)
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    load_from(&folder_with(text), variables)
}

/// The sentence with which a file of this text and these variables is refused, as if the file had
/// been named without its folder.
fn refusal(text: &str, variables: &[(&str, &str)]) -> String {
    let folder = folder_with(text);
    let error = load_from(&folder, variables).expect_err("these settings are wrong");
    let sentence = error.to_string();
    sentence.replace(&format!("{}/", folder.path().display()), "")
}

/// All that is in the settings, but for the name of the file.
fn shown(settings: &Settings) -> String {
    let mut settings = settings.clone();
    settings.file = PathBuf::new();
    format!("{settings:#?}")
}
