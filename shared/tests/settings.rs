//! The settings as those who run the daemons meet them: files and variables go in, and values or
//! one exact sentence come out.

use std::{collections::BTreeSet, fs, net::IpAddr, path::PathBuf, time::Duration};

use shared::settings::{
    Environment, GithubScope, GuestDriver, ReservationLabels, Settings, SettingsError,
};
use tempfile::TempDir;

/// A file with exactly the keys that are deployed today, in the form they have there.
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

/// The deployed file with its one line that begins with `start` replaced.
fn deployed_with(start: &str, line: &str) -> String {
    assert_eq!(
        DEPLOYED.matches(&format!("\n{start}")).count(),
        1,
        "{start}"
    );
    let lines = DEPLOYED
        .lines()
        .map(|old| if old.starts_with(start) { line } else { old });
    lines.collect::<Vec<_>>().join("\n")
}

/// All that is in the settings, but for the name of the file.
fn shown(settings: &Settings) -> String {
    let settings = Settings {
        file: PathBuf::new(),
        ..settings.clone()
    };
    format!("{settings:#?}")
}

#[test]
fn a_file_as_deployed_today_loads_unchanged() {
    let settings = load(DEPLOYED, &[]).unwrap();

    let network = &settings.network;
    let addresses: [IpAddr; 2] = ["::1".parse().unwrap(), "192.168.100.1".parse().unwrap()];
    assert_eq!(network.listen_on, addresses);
    assert_eq!(network.external_base_url.as_str(), "http://[::1]:8000/");

    let github = &settings.github;
    let repository = "delan/servo".parse().unwrap();
    assert_eq!(github.github_api_scope, GithubScope::Repository(repository));
    assert_eq!(github.github_api_suffix, "ci0.example");
    assert_eq!(github.api_cache_timeout, Duration::from_secs(30));
    assert_eq!(github.allowed_qualified_repo_prefix, "delan/");
    assert_eq!(
        github.tokenless_select_artifact_max_age,
        Duration::from_secs(300)
    );

    let pool = &settings.pool;
    assert_eq!(pool.monitor_poll_interval, Duration::from_secs(5));
    assert_eq!(pool.monitor_start_timeout, Duration::from_secs(120));
    assert_eq!(pool.monitor_reserve_timeout, Duration::from_secs(60));
    assert_eq!(pool.monitor_thread_send_timeout, Duration::from_secs(10));
    assert_eq!(pool.monitor_thread_recv_timeout, Duration::from_secs(10));

    let host = &settings.host;
    assert_eq!(host.main_repo_path, Some(PathBuf::from("/srv/servo")));
    assert_eq!(host.base_image_max_age, Duration::from_secs(86_400));
    assert_eq!(host.available_1g_hugepages, 96);
    assert_eq!(host.available_normal_memory, "16G".parse().unwrap());

    let queue = settings.require_queue().unwrap();
    let servers: Vec<&str> = queue.servers.iter().map(|server| server.as_str()).collect();
    assert_eq!(
        servers,
        ["https://ci0.example.org/", "https://ci1.example.org/"]
    );

    assert_eq!(settings.profiles.len(), 2);
    let windows = &settings.profiles["servo-windows10"];
    assert_eq!(
        windows.github_runner_label,
        "self-hosted-image:servo-windows10"
    );
    assert_eq!(windows.target_count, 4);
    assert_eq!(windows.requires_1g_hugepages, 24);
    assert_eq!(windows.requires_normal_memory, "1G".parse().unwrap());
    let linux = &settings.profiles["linux"];
    assert_eq!(linux.target_count, 0);
    assert_eq!(linux.requires_normal_memory, "1536M".parse().unwrap());
}

#[test]
fn what_a_deployed_file_does_not_say_has_its_default() {
    let settings = load(DEPLOYED, &[]).unwrap();

    assert_eq!(settings.data_path, PathBuf::from("./data"));
    assert_eq!(
        (settings.image_deps_dir, settings.lib_monitor_dir),
        (None, None)
    );
    assert_eq!(settings.log_filter, None);

    let network = &settings.network;
    assert_eq!(network.port, 8000);
    assert_eq!(network.guest_base_url, network.external_base_url);
    assert_eq!(network.trusted_proxies, [] as [IpAddr; 0]);

    let github = &settings.github;
    assert_eq!(github.github_api_url.as_str(), "https://api.github.com/");
    assert_eq!(github.runner_group_id, 1);
    assert_eq!(github.work_folder, "_work");

    let pool = &settings.pool;
    assert_eq!(pool.reservation_labels, ReservationLabels::FromBirth);
    assert!(!pool.destroy_all_non_busy_runners && !pool.dont_create_runners);
    assert!(!pool.dont_register_runners && !pool.queue_member && !pool.zeroes_targets());

    let host = &settings.host;
    assert!(!host.dont_update_cached_servo_repo);
    assert_eq!(host.libvirt_template_guest_prefix, "ci-template");
    assert_eq!(host.libvirt_rebuild_guest_prefix, "ci-rebuild");
    assert_eq!(host.libvirt_runner_guest_prefix, "ci-runner");

    let queue = settings.queue.unwrap();
    assert_eq!(queue.port, 8002);
    assert_eq!(queue.settle, Duration::from_secs(5));
    assert!(queue.ticket_key.is_none());
    assert_eq!(queue.jobs_max, 100_000);
    assert_eq!(queue.jobs_per_repo_max, None);
    assert_eq!(queue.held_requests_max, 10_000);
    assert_eq!(queue.abandon_after, Duration::from_secs(30));
    assert_eq!(queue.forward_timeout, Duration::from_secs(10));
    assert_eq!(queue.stale_after, Duration::from_secs(15));
    assert_eq!(queue.ticket_lifetime, Duration::from_secs(86_400));

    for profile in settings.profiles.values() {
        assert_eq!(profile.guest, GuestDriver::Libvirt);
    }
}

/// The shortest file there can be.
const SHORTEST: &str = r#"
listen_on = ["127.0.0.1"]
external_base_url = "http://127.0.0.1:8000/"
github_api_scope = "/orgs/servo"
github_api_suffix = "ci0"
allowed_qualified_repo_prefix = "servo/"
available_normal_memory = "16G"
"#;

#[test]
fn all_other_keys_may_be_left_out() {
    let settings = load(SHORTEST, &[]).unwrap();
    assert_eq!(
        settings.github.github_api_scope,
        GithubScope::Organisation("servo".to_owned())
    );
    assert_eq!(settings.host.main_repo_path, None);
    assert_eq!(settings.host.available_1g_hugepages, 0);
    assert_eq!(settings.profiles.len(), 0);
    assert!(settings.queue.is_none());
    // Where a deployed file says nothing else, it says what holds without it.
    let deployed = load(DEPLOYED, &[]).unwrap();
    assert_eq!(
        format!("{:?}", settings.pool),
        format!("{:?}", deployed.pool)
    );
    assert_eq!(
        settings.github.api_cache_timeout,
        deployed.github.api_cache_timeout
    );
    assert_eq!(
        settings.github.tokenless_select_artifact_max_age,
        deployed.github.tokenless_select_artifact_max_age
    );
    assert_eq!(
        settings.host.base_image_max_age,
        deployed.host.base_image_max_age
    );
}

#[test]
fn a_key_that_cannot_be_left_out_is_missed_by_name() {
    let line = "text of 1 to 256 characters, none of them a control character";
    for (key, name, allowed) in [
        (
            "listen_on",
            "listen_on",
            "a list of 1 to 32, each an IP address without a port, such as \"127.0.0.1\" or \
             \"::1\", none of them twice",
        ),
        (
            "external_base_url",
            "external_base_url",
            "an http or https URL that ends with \"/\", such as \"http://192.168.100.1:8000/\"",
        ),
        (
            "github_api_scope",
            "github_api_scope",
            "\"/repos/<owner>/<repo>\" or \"/orgs/<owner>\"",
        ),
        (
            "github_api_suffix",
            "github_api_suffix",
            "1 to 100 characters of A-Z a-z 0-9 . _ -, the first one a letter or digit",
        ),
        (
            "allowed_qualified_repo_prefix",
            "allowed_qualified_repo_prefix",
            "\"<owner>/\" or \"<owner>/<beginning of repo>\"",
        ),
        (
            "available_normal_memory",
            "available_normal_memory",
            "at most 1P of memory, as a whole number and one of B, K, M, G, T, P, such as \"16G\"",
        ),
        (
            "servers",
            "queue.servers",
            "a list of 1 to 1000, each an http or https URL such as \"https://ci0.example.org\", \
             none of them twice",
        ),
        (
            "github_runner_label = \"self-hosted-image:linux",
            "profiles.linux.github_runner_label",
            line,
        ),
        (
            "target_count = 4",
            "profiles.servo-windows10.target_count",
            "a whole number from 0 to 1000",
        ),
        (
            "requires_normal_memory = \"1G",
            "profiles.servo-windows10.requires_normal_memory",
            "at most 1P of memory, as a whole number and one of B, K, M, G, T, P, such as \"16G\"",
        ),
    ] {
        assert_eq!(
            refusal(&deployed_with(key, ""), &[]),
            format!(
                "monitor.toml: {name}: missing, allowed: {allowed}; monitor.toml.example explains it"
            )
        );
    }
}

/// A line that cannot stand, where in the deployed file it is put, and what is said about it.
struct Wrong {
    instead_of: &'static str,
    line: &'static str,
    sentence: &'static str,
}

const fn wrong(instead_of: &'static str, line: &'static str, sentence: &'static str) -> Wrong {
    Wrong {
        instead_of,
        line,
        sentence,
    }
}

/// One wrong value of each kind, and of each way to be wrong.
const WRONG_VALUES: &[Wrong] = &[
    wrong(
        "target_count = 4",
        "target_count = \"many\"",
        "profiles.servo-windows10.target_count: found string \"many\", allowed: a whole number from 0 to 1000",
    ),
    wrong(
        "target_count = 4",
        "target_count = 1001",
        "profiles.servo-windows10.target_count: found number 1001, allowed: a whole number from 0 to 1000",
    ),
    wrong(
        "target_count = 4",
        "target_count = -1",
        "profiles.servo-windows10.target_count: found number -1, allowed: a whole number from 0 to 1000",
    ),
    wrong(
        "target_count = 4",
        "target_count = 1.5",
        "profiles.servo-windows10.target_count: found number 1.5, allowed: a whole number from 0 to 1000",
    ),
    wrong(
        "available_1g_hugepages",
        "available_1g_hugepages = 65537",
        "available_1g_hugepages: found number 65537, allowed: a whole number from 0 to 65536",
    ),
    wrong(
        "monitor_poll_interval",
        "port = 65536",
        "port: found number 65536, allowed: a whole number from 0 to 65535",
    ),
    wrong(
        "monitor_poll_interval",
        "queue_member = \"yes\"",
        "queue_member: found string \"yes\", allowed: true or false",
    ),
    wrong(
        "monitor_poll_interval",
        "reservation_labels = \"never\"",
        "reservation_labels: found string \"never\", allowed: \"from_birth\" or \"on_take\"",
    ),
    wrong(
        "monitor_poll_interval",
        "monitor_poll_interval = 0",
        "monitor_poll_interval: found number 0, allowed: a duration from 10ms to 1h, in whole seconds or as text such as \"90s\", \"15m\", \"1h 30m\"",
    ),
    wrong(
        "monitor_reserve_timeout",
        "monitor_reserve_timeout = \"a while\"",
        "monitor_reserve_timeout: found string \"a while\", allowed: a duration from 10ms to 1day, in whole seconds or as text such as \"90s\", \"15m\", \"1h 30m\"",
    ),
    wrong(
        "base_image_max_age",
        "base_image_max_age = 18446744073709551",
        "base_image_max_age: found number 18446744073709551, allowed: a duration from 1s to 10years, in whole seconds or as text such as \"90s\", \"15m\", \"1h 30m\"",
    ),
    wrong(
        "monitor_start_timeout",
        "monitor_start_timeout = true",
        "monitor_start_timeout: found boolean true, allowed: a duration from 10ms to 1day, in whole seconds or as text such as \"90s\", \"15m\", \"1h 30m\"",
    ),
    wrong(
        "available_normal_memory",
        "available_normal_memory = \"16GB\"",
        "available_normal_memory: found string \"16GB\", allowed: at most 1P of memory, as a whole number and one of B, K, M, G, T, P, such as \"16G\"",
    ),
    wrong(
        "available_normal_memory",
        "available_normal_memory = 16",
        "available_normal_memory: found number 16, allowed: at most 1P of memory, as a whole number and one of B, K, M, G, T, P, such as \"16G\"",
    ),
    wrong(
        "available_normal_memory",
        "available_normal_memory = \"2P\"",
        "available_normal_memory: found string \"2P\", allowed: at most 1P of memory, as a whole number and one of B, K, M, G, T, P, such as \"16G\"",
    ),
    wrong(
        "external_base_url",
        "external_base_url = \"http://[::1]:8000\"",
        "external_base_url: found string \"http://[::1]:8000\", allowed: an http or https URL that ends with \"/\", such as \"http://192.168.100.1:8000/\"",
    ),
    wrong(
        "monitor_poll_interval",
        "guest_base_url = \"ftp://host/\"",
        "guest_base_url: found string \"ftp://host/\", allowed: an http or https URL that ends with \"/\", such as \"http://192.168.100.1:8000/\"",
    ),
    wrong(
        "monitor_poll_interval",
        "github_api_url = \"api.github.com\"",
        "github_api_url: found string \"api.github.com\", allowed: an http or https URL such as \"https://api.github.com\"",
    ),
    wrong(
        "github_api_scope",
        "github_api_scope = \"/users/delan\"",
        "github_api_scope: found string \"/users/delan\", allowed: \"/repos/<owner>/<repo>\" or \"/orgs/<owner>\"",
    ),
    wrong(
        "allowed_qualified_repo_prefix",
        "allowed_qualified_repo_prefix = \"delan\"",
        "allowed_qualified_repo_prefix: found string \"delan\", allowed: \"<owner>/\" or \"<owner>/<beginning of repo>\"",
    ),
    wrong(
        "allowed_qualified_repo_prefix",
        "allowed_qualified_repo_prefix = \"\"",
        "allowed_qualified_repo_prefix: found string \"\", allowed: \"<owner>/\" or \"<owner>/<beginning of repo>\"",
    ),
    wrong(
        "github_api_suffix",
        "github_api_suffix = \"ci@0\"",
        "github_api_suffix: found string \"ci@0\", allowed: 1 to 100 characters of A-Z a-z 0-9 . _ -, the first one a letter or digit",
    ),
    wrong(
        "main_repo_path",
        "main_repo_path = \"\"",
        "main_repo_path: found string \"\", allowed: a path",
    ),
    wrong(
        "monitor_poll_interval",
        "work_folder = \"a\\nb\"",
        "work_folder: found string \"a\\nb\", allowed: text of 1 to 256 characters, none of them a control character",
    ),
    wrong(
        "listen_on",
        "listen_on = \"::1\"",
        "listen_on: found string \"::1\", allowed: a list of 1 to 32, each an IP address without a port, such as \"127.0.0.1\" or \"::1\", none of them twice",
    ),
    wrong(
        "listen_on",
        "listen_on = []",
        "listen_on: found a list of 0, allowed: a list of 1 to 32, each an IP address without a port, such as \"127.0.0.1\" or \"::1\", none of them twice",
    ),
    wrong(
        "listen_on",
        "listen_on = [\"::1\", \"127.0.0.1:8000\"]",
        "listen_on: found string \"127.0.0.1:8000\" as entry 2, allowed: a list of 1 to 32, each an IP address without a port, such as \"127.0.0.1\" or \"::1\", none of them twice",
    ),
    wrong(
        "listen_on",
        "listen_on = [\"::1\", \"127.0.0.1\", \"0:0::1\"]",
        "listen_on: found ::1 twice, allowed: a list of 1 to 32, each an IP address without a port, such as \"127.0.0.1\" or \"::1\", none of them twice",
    ),
    wrong(
        "monitor_poll_interval",
        "trusted_proxies = [8]",
        "trusted_proxies: found number 8 as entry 1, allowed: a list of 0 to 100, each an IP address without a port, such as \"127.0.0.1\" or \"::1\", none of them twice",
    ),
    wrong(
        "servers",
        "servers = [\"https://a\", \"HTTPS://A/\"]",
        "queue.servers: found https://a/ twice, allowed: a list of 1 to 1000, each an http or https URL such as \"https://ci0.example.org\", none of them twice",
    ),
    wrong(
        "servers",
        "abandon_after = 9\nservers = [\"https://a\"]",
        "queue.abandon_after: found number 9, allowed: a duration from 10s to 1h, in whole seconds or as text such as \"90s\", \"15m\", \"1h 30m\"",
    ),
    wrong(
        "servers",
        "jobs_max = 0\nservers = [\"https://a\"]",
        "queue.jobs_max: found number 0, allowed: a whole number from 1 to 1000000",
    ),
    wrong(
        "servers",
        "ticket_key = \"hunter2\"\nservers = [\"https://a\"]",
        "queue.ticket_key: found [secret], allowed: text of 32 to 512 bytes",
    ),
    wrong(
        "profile_name = \"servo",
        "profile_name = \"servo-windows11\"",
        "profiles.servo-windows10.profile_name: found string \"servo-windows11\", allowed: \"servo-windows10\", as in the head of its table",
    ),
    wrong(
        "image_type",
        "image_type = \"Ubuntu\"",
        "profiles.linux.image_type: found string \"Ubuntu\", allowed: \"Rust\"",
    ),
    wrong(
        "image_type",
        "guest = \"libvirt\"",
        "profiles.linux.guest: found a string, allowed: a table",
    ),
    wrong(
        "image_type",
        "guest = { driver = \"docker\" }",
        "profiles.linux.guest.driver: found string \"docker\", allowed: \"libvirt\" or \"command\"",
    ),
    wrong(
        "image_type",
        "guest = { driver = \"libvirt\", command = [\"run\"] }",
        "profiles.linux.guest.command: found a command, allowed: nothing, unless driver = \"command\"",
    ),
    wrong(
        "image_type",
        "guest = { command = [\"run\"] }",
        "profiles.linux.guest.command: found a command, allowed: nothing, unless driver = \"command\"",
    ),
    wrong(
        "image_type",
        "guest = { driver = \"command\" }",
        "profiles.linux.guest.command: missing, allowed: a list of 1 to 64, each text of at most 4096 bytes without a NUL; monitor.toml.example explains it",
    ),
    wrong(
        "image_type",
        "guest = { driver = \"command\", command = [\"\", \"a\"] }",
        "profiles.linux.guest.command: found an empty first entry, allowed: a program to start",
    ),
    wrong(
        "image_type",
        "guest = { driver = \"command\", command = [\"a\", \"b\\u0000\"] }",
        "profiles.linux.guest.command: found string \"b\\0\" as entry 2, allowed: a list of 1 to 64, each text of at most 4096 bytes without a NUL",
    ),
    wrong(
        "[profiles.linux]",
        "[profiles.\"li/nux\"]",
        "profiles.\"li/nux\": found the key \"li/nux\", allowed: 1 to 64 characters of A-Z a-z 0-9 . _ -, and neither . nor ..",
    ),
    wrong(
        "monitor_poll_interval",
        "libvirt_template_guest_prefix = \"ci runner\"",
        "libvirt_template_guest_prefix: found string \"ci runner\", allowed: 1 to 40 characters of A-Z a-z 0-9 . _ -, the first one a letter or digit",
    ),
];

#[test]
fn a_wrong_value_is_named_with_what_is_allowed() {
    for wrong in WRONG_VALUES {
        let text = deployed_with(wrong.instead_of, wrong.line);
        assert_eq!(
            refusal(&text, &[]),
            format!("monitor.toml: {}", wrong.sentence)
        );
    }
}

#[test]
fn a_long_wrong_value_is_cut_short() {
    let line = format!("github_api_scope = \"{}\"", "é".repeat(10_000));
    assert_eq!(
        refusal(&deployed_with("github_api_scope", &line), &[]),
        format!(
            "monitor.toml: github_api_scope: found string \"{}…\", allowed: \
             \"/repos/<owner>/<repo>\" or \"/orgs/<owner>\"",
            "é".repeat(60)
        )
    );
}

#[test]
fn every_limit_can_be_reached() {
    let limits = r#"
port = 0
trusted_proxies = []
runner_group_id = 4294967295
api_cache_timeout = 0
monitor_poll_interval = "10ms"
monitor_start_timeout = "1day"
base_image_max_age = "10years"
main_repo_path = "a"
available_1g_hugepages = 65536
"#;
    let queue = r#"
[queue]
servers = ["https://a"]
port = 65535
settle = "10m"
ticket_key = "01234567890123456789012345678901"
jobs_max = 1000000
jobs_per_repo_max = 1
held_requests_max = 0
abandon_after = 10
forward_timeout = 300
stale_after = "1h"
ticket_lifetime = "30days"
"#;
    let memory = SHORTEST.replace("\"16G\"", "\"1P\"");
    let settings = load(&format!("{memory}{limits}{queue}"), &[]).unwrap();
    assert_eq!(settings.network.port, 0);
    assert_eq!(
        settings.pool.monitor_poll_interval,
        Duration::from_millis(10)
    );
    assert_eq!(
        settings.host.base_image_max_age,
        Duration::from_secs(315_576_000)
    );
    let queue = settings.require_queue().unwrap();
    assert_eq!(
        (queue.jobs_per_repo_max, queue.held_requests_max),
        (Some(1), 0)
    );
    assert_eq!(queue.abandon_after, Duration::from_secs(10));
    assert!(
        queue
            .ticket_key
            .as_ref()
            .unwrap()
            .matches("01234567890123456789012345678901")
    );
}

#[test]
fn a_host_has_at_most_200_profiles() {
    let profile = |number| {
        format!(
            "[profiles.p{number}]\ngithub_runner_label = \"l\"\ntarget_count = 1\n\
             requires_normal_memory = \"1G\"\n"
        )
    };
    let with = |count: usize| SHORTEST.to_owned() + &(0..count).map(profile).collect::<String>();
    assert_eq!(load(&with(200), &[]).unwrap().profiles.len(), 200);
    assert_eq!(
        refusal(&with(201), &[]),
        "monitor.toml: profiles: found 201 tables, allowed: at most 200 profiles"
    );
}

#[test]
fn an_unknown_key_is_refused_with_those_that_are_known() {
    for (instead_of, line, sentence) in [
        (
            "image_type",
            "colour = \"red\"",
            "profiles.linux.colour: there is no such setting, allowed there: github_runner_label, \
             guest, image_type, profile_name, requires_1g_hugepages, requires_normal_memory, \
             target_count",
        ),
        (
            "image_type",
            "guest = { drivers = \"libvirt\" }",
            "profiles.linux.guest.drivers: there is no such setting, allowed there: command, driver",
        ),
        (
            "servers",
            "servers = [\"http://a\"]\n\"a b\" = 1",
            "queue.\"a b\": there is no such setting, allowed there: abandon_after, \
             forward_timeout, held_requests_max, jobs_max, jobs_per_repo_max, port, servers, \
             settle, stale_after, ticket_key, ticket_lifetime",
        ),
    ] {
        let text = deployed_with(instead_of, line);
        assert_eq!(refusal(&text, &[]), format!("monitor.toml: {sentence}"));
    }
    let top = refusal(&deployed_with("main_repo_path", "colour = \"red\""), &[]);
    let start = "monitor.toml: colour: there is no such setting, allowed there: \
                 allowed_qualified_repo_prefix, api_cache_timeout, ";
    assert!(top.starts_with(start), "{top}");
}

#[test]
fn prefixes_of_guests_cannot_be_confused() {
    let with = |template, rebuild, runner| {
        let keys = format!(
            "libvirt_template_guest_prefix = \"{template}\"\n\
             libvirt_rebuild_guest_prefix = \"{rebuild}\"\n\
             libvirt_runner_guest_prefix = \"{runner}\"\n"
        );
        format!("{SHORTEST}{keys}")
    };
    for (template, rebuild, runner) in [
        ("a", "b", "c"),
        ("ci", "ci2", "ci_3"),
        ("a-b", "a-c", "a-bc"),
    ] {
        let settings = load(&with(template, rebuild, runner), &[]).unwrap();
        assert_eq!(settings.host.libvirt_runner_guest_prefix, runner);
    }
    let allowed = "prefixes of which none is another, or another's beginning before a -";
    for (template, rebuild, runner, sentence) in [
        (
            "a",
            "a",
            "b",
            "libvirt_rebuild_guest_prefix: found \"a\" beside libvirt_template_guest_prefix = \"a\"",
        ),
        (
            "a",
            "b",
            "a-b",
            "libvirt_runner_guest_prefix: found \"a-b\" beside libvirt_template_guest_prefix = \"a\"",
        ),
        (
            "a",
            "b-c",
            "b",
            "libvirt_runner_guest_prefix: found \"b\" beside libvirt_rebuild_guest_prefix = \"b-c\"",
        ),
    ] {
        assert_eq!(
            refusal(&with(template, rebuild, runner), &[]),
            format!("monitor.toml: {sentence}, allowed: {allowed}")
        );
    }
    // A default counts as well.
    assert_eq!(
        refusal(
            &format!("{SHORTEST}libvirt_template_guest_prefix = \"ci-runner\""),
            &[]
        ),
        format!(
            "monitor.toml: libvirt_runner_guest_prefix: found \"ci-runner\" beside \
             libvirt_template_guest_prefix = \"ci-runner\", allowed: {allowed}"
        )
    );
}

#[test]
fn each_switch_zeroes_the_targets_it_should() {
    for (line, creates_none, zeroes) in [
        ("destroy_all_non_busy_runners = true", true, true),
        (
            "destroy_all_non_busy_runners = true\ndont_create_runners = false",
            true,
            true,
        ),
        ("dont_create_runners = true", true, true),
        ("dont_register_runners = true", false, true),
        ("queue_member = true", false, false),
        ("dont_create_runners = false", false, false),
    ] {
        let pool = load(&format!("{SHORTEST}{line}"), &[]).unwrap().pool;
        assert_eq!(
            (pool.dont_create_runners, pool.zeroes_targets()),
            (creates_none, zeroes),
            "{line}"
        );
        assert_eq!(
            pool.destroy_all_non_busy_runners,
            line.contains("destroy"),
            "{line}"
        );
        assert_eq!(
            pool.dont_register_runners,
            line.contains("register"),
            "{line}"
        );
        assert_eq!(pool.queue_member, line.contains("queue_member"), "{line}");
    }
}

#[test]
fn a_profile_may_run_a_command_for_each_runner() {
    let line = "guest = { driver = \"command\", command = [\"run\", \"\", \"--once\"] }";
    let settings = load(&deployed_with("image_type", line), &[]).unwrap();
    let command = ["run", "", "--once"].map(str::to_owned).to_vec();
    assert_eq!(
        settings.profiles["linux"].guest,
        GuestDriver::Command(command)
    );
    let settings = load(&deployed_with("image_type", "guest = {}"), &[]).unwrap();
    assert_eq!(settings.profiles["linux"].guest, GuestDriver::Libvirt);
}

#[test]
fn a_variable_overrides_what_the_file_says() {
    let settings = load(
        DEPLOYED,
        &[
            ("SERVO_CI_MONITOR_PORT", "8001"),
            ("SERVO_CI_MONITOR_LISTEN_ON", r#"["127.0.0.1","::1"]"#),
            ("SERVO_CI_MONITOR_QUEUE_MEMBER", "true"),
            ("SERVO_CI_MONITOR_MONITOR_POLL_INTERVAL", "250ms"),
            ("SERVO_CI_MONITOR_AVAILABLE_NORMAL_MEMORY", "8G"),
            ("SERVO_CI_MONITOR_WORK_FOLDER", r#""8""#),
            ("SERVO_CI_MONITOR_API_CACHE_TIMEOUT", ""),
            ("SERVO_CI_MONITOR_QUEUE__PORT", "8003"),
            (
                "SERVO_CI_MONITOR_QUEUE__TICKET_KEY",
                "01234567890123456789012345678901",
            ),
            (
                "SERVO_CI_MONITOR_PROFILES__SERVO_WINDOWS10__TARGET_COUNT",
                "7",
            ),
            ("SERVO_CI_MONITOR_PROFILES__LINUX__GUEST__DRIVER", "command"),
            (
                "SERVO_CI_MONITOR_PROFILES__LINUX__GUEST__COMMAND",
                r#"["run"]"#,
            ),
            ("SERVO_CI_MONITOR_DATA_PATH", "/var/lib/ci"),
            ("IMAGE_DEPS_DIR", "/srv/deps"),
            ("LIB_MONITOR_DIR", "/usr/lib/ci"),
            ("RUST_LOG", "debug"),
        ],
    )
    .unwrap();
    assert_eq!(settings.network.port, 8001);
    assert_eq!(
        format!("{:?}", settings.network.listen_on),
        "[127.0.0.1, ::1]"
    );
    assert!(settings.pool.queue_member);
    assert_eq!(
        settings.pool.monitor_poll_interval,
        Duration::from_millis(250)
    );
    assert_eq!(settings.host.available_normal_memory, "8G".parse().unwrap());
    assert_eq!(settings.github.work_folder, "8");
    let unset = settings.github.api_cache_timeout;
    assert_eq!(
        unset,
        Duration::from_secs(30),
        "a variable that is set to nothing says nothing"
    );

    let queue = settings.require_queue().unwrap();
    assert_eq!((queue.port, queue.servers.len()), (8003, 2));
    assert!(
        queue
            .ticket_key
            .as_ref()
            .unwrap()
            .matches("01234567890123456789012345678901")
    );

    assert_eq!(settings.profiles["servo-windows10"].target_count, 7);
    assert_eq!(
        settings.profiles["servo-windows10"].requires_1g_hugepages,
        24
    );
    let command = GuestDriver::Command(vec!["run".to_owned()]);
    assert_eq!(settings.profiles["linux"].guest, command);

    assert_eq!(settings.data_path, PathBuf::from("/var/lib/ci"));
    assert_eq!(settings.image_deps_dir, Some(PathBuf::from("/srv/deps")));
    assert_eq!(settings.lib_monitor_dir, Some(PathBuf::from("/usr/lib/ci")));
    assert_eq!(settings.log_filter.as_deref(), Some("debug"));
}

#[test]
fn a_wrong_variable_is_named_instead_of_the_file() {
    for (name, value, sentence) in [
        (
            "PORT",
            "many",
            "port: found string \"many\", allowed: a whole number from 0 to 65535",
        ),
        (
            "PROFILES__SERVO_WINDOWS10__TARGET_COUNT",
            "-1",
            "profiles.servo-windows10.target_count: found number -1, allowed: a whole number from 0 to 1000",
        ),
        (
            "WORK_FOLDER",
            "8",
            "work_folder: found number 8, allowed: text of 1 to 256 characters, none of them a control character",
        ),
        (
            "QUEUE__JOBS_MAX",
            "[1]",
            "queue.jobs_max: found a list, allowed: a whole number from 1 to 1000000",
        ),
        (
            "QUEUE",
            "hunter2",
            "queue: found a string, allowed: a table",
        ),
        (
            "QUEUE__TICKET_KEY",
            "12345",
            "queue.ticket_key: found [secret], allowed: text of 32 to 512 bytes",
        ),
        (
            "PROFILES",
            "{linux=hunter2}",
            "profiles.linux: found a string, allowed: a table",
        ),
        (
            "LIBVIRT_REBUILD_GUEST_PREFIX",
            "ci",
            "libvirt_rebuild_guest_prefix: found \"ci\" beside libvirt_template_guest_prefix = \"ci-template\", allowed: prefixes of which none is another, or another's beginning before a -",
        ),
        (
            "PROFILES__MACOS__TARGET_COUNT",
            "1",
            "profiles.macos.target_count: there is no such setting, allowed there: SERVO_CI_MONITOR_PROFILES__LINUX__*, SERVO_CI_MONITOR_PROFILES__SERVO_WINDOWS10__*",
        ),
        (
            "PROFILES__LINUX__GUEST__DRIVERS",
            "1",
            "profiles.linux.guest.drivers: there is no such setting, allowed there: command, driver",
        ),
    ] {
        let name = format!("SERVO_CI_MONITOR_{name}");
        assert_eq!(
            refusal(DEPLOYED, &[(&name, value)]),
            format!("{name}: {sentence}")
        );
    }
    for (name, key) in [
        ("SERVO_CI_MONITOR_XYZ", "xyz"),
        ("SERVO_CI_MONITOR_XYZ__PORT", "xyz"),
        ("SERVO_CI_MONITOR_API_TOKEN_2", "api_token_2"),
        ("SERVO_CI_MONITOR_", "\"\""),
    ] {
        let sentence = refusal(DEPLOYED, &[(name, "hunter2")]);
        let start = format!("{name}: {key}: there is no such setting, allowed there: allowed_");
        assert!(sentence.starts_with(&start), "{sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }
}

#[test]
fn variables_may_stand_beside_the_file() {
    let folder = folder_with(DEPLOYED);
    let text = "SERVO_CI_MONITOR_API_TOKEN=hunter4\nSERVO_CI_MONITOR_PORT=8001\nSERVO_CI_MONITOR_QUEUE__PORT=8003\n";
    fs::write(folder.path().join(".env"), text).unwrap();
    let settings = load_from(&folder, &[("SERVO_CI_MONITOR_PORT", "8005")]).unwrap();
    assert_eq!(settings.network.port, 8005, "the process wins");
    assert_eq!(settings.require_queue().unwrap().port, 8003);
    assert!(
        settings.secrets.api_token.matches("hunter2"),
        "the process wins"
    );

    let file = folder.path().join("monitor.toml");
    let settings = Settings::load(&file, &Environment::default()).unwrap();
    assert!(settings.secrets.api_token.matches("hunter4"));
    assert_eq!(settings.network.port, 8001);
    assert_eq!(settings.file, file);
}

#[test]
fn the_secrets_are_read_and_never_shown() {
    let key = (
        "SERVO_CI_MONITOR_QUEUE__TICKET_KEY",
        "hunter4-hunter4-hunter4-hunter4-hunter4",
    );
    let settings = load(DEPLOYED, &[key]).unwrap();
    assert!(settings.secrets.api_token.matches("hunter2"));
    assert!(
        settings
            .secrets
            .require_github_token()
            .unwrap()
            .matches("hunter3")
    );
    assert!(!shown(&settings).contains("hunter"), "{settings:?}");
}

#[test]
fn a_secret_that_cannot_be_used_stops_the_start() {
    let file = folder_with(DEPLOYED);
    let error = load_from(&file, &[("SERVO_CI_MONITOR_API_TOKEN", "ChangeMe")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "SERVO_CI_MONITOR_API_TOKEN: still ChangeMe, as in the example; set it to a value of your own"
    );
}

#[test]
fn a_queue_needs_its_table() {
    let folder = folder_with(SHORTEST);
    let error = load_from(&folder, &[])
        .unwrap()
        .require_queue()
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(
            "monitor.toml: queue: missing, allowed: a table [queue] with the servers of the \
             queue; monitor.toml.example explains it"
        ),
        "{error}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named_with_what_to_do() {
    let folder = folder_with(DEPLOYED);
    for name in [
        "other.toml",
        "monitor.toml/monitor.toml",
        "nowhere/monitor.toml",
    ] {
        let file = folder.path().join(name);
        let error = Settings::load(&file, &Environment::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{}: no such file; --config PATH names another one, and monitor.toml.example is a \
                 file to start from",
                file.display()
            )
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let folder = folder_with(DEPLOYED);
    let file = folder.path().join("other");
    fs::create_dir(&file).unwrap();
    let error = Settings::load(&file, &Environment::default()).unwrap_err();
    let expected = format!(
        "{}: cannot be read: Is a directory (os error 21)",
        file.display()
    );
    assert_eq!(error.to_string(), expected);
    fs::write(folder.path().join("monitor.toml"), b"port = \xff").unwrap();
    let error = load_from(&folder, &[]).unwrap_err().to_string();
    assert!(
        error.ends_with("monitor.toml: cannot be read: stream did not contain valid UTF-8"),
        "{error}"
    );
}

#[test]
fn what_is_not_toml_is_named_by_line_and_not_repeated() {
    for (text, sentence) in [
        (
            "port = \n",
            "line 1, column 8: not TOML: invalid string, expected `\"`, `'`",
        ),
        (
            "port = 1\nport = 2",
            "line 2, column 1: not TOML: duplicate key `port` in document root",
        ),
        (
            "[queue]\nticket_key = \"hunter2\n",
            "line 2, column 22: not TOML: invalid basic string",
        ),
        (
            "a = 1\n\n  ñ = hunter2",
            "line 3, column 3: not TOML: invalid key",
        ),
        (
            "[queue]\nticket_key = hunter2",
            "line 2, column 14: not TOML: invalid string, expected `\"`, `'`",
        ),
    ] {
        assert_eq!(refusal(text, &[]), format!("monitor.toml: {sentence}"));
    }
}

const EXAMPLE: &str = include_str!("../../monitor.toml.example");
const ENV_EXAMPLE: &str = include_str!("../../.env.example");

#[test]
fn the_example_loads_as_it_stands() {
    let settings = load(EXAMPLE, &[]).unwrap();
    assert_eq!(
        format!("{:?}", settings.network.addresses(8000)),
        "[127.0.0.1:8000]"
    );
    let queue = settings.require_queue().unwrap();
    assert_eq!(queue.servers, [settings.network.external_base_url.clone()]);
    let linux = &settings.profiles["linux"];
    assert!(matches!(linux.guest, GuestDriver::Command(_)), "{linux:?}");
    let taken = linux.requires_normal_memory * linux.target_count as u64;
    assert!(taken <= settings.host.available_normal_memory);
}

/// A line of the example that shows a setting, commented or not, as its key and the whole line.
fn setting_line(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix('#').unwrap_or(line);
    let (key, _) = line.split_once(" = ")?;
    let is_key = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_key.then_some((key, line))
}

#[test]
fn the_example_shows_every_setting_in_its_table() {
    // Each table names its keys when it meets one that it does not know.
    for (head, unknown, also_tables) in [
        (
            "",
            format!("zzz = 1\n{SHORTEST}"),
            &["profiles", "queue"][..],
        ),
        (
            "queue",
            format!("{SHORTEST}[queue]\nzzz = 1\nservers = [\"http://a\"]"),
            &[],
        ),
        (
            "profiles.linux",
            deployed_with("image_type", "zzz = 1"),
            &["guest", "image_type"],
        ),
        (
            "profiles.linux.guest",
            deployed_with("image_type", "guest = { zzz = 1 }"),
            &[],
        ),
    ] {
        let Err(SettingsError::Unknown { allowed, .. }) = load(&unknown, &[]) else {
            panic!("zzz is unknown");
        };
        let heading = format!("\n[{head}]\n");
        let table = match EXAMPLE.split_once(&heading) {
            Some((_, rest)) => rest,
            None => EXAMPLE,
        };
        let table = table.split("\n[").next().unwrap();
        let shown: BTreeSet<&str> = table
            .lines()
            .filter_map(setting_line)
            .map(|(key, _)| key)
            .collect();
        for key in allowed
            .iter()
            .filter(|key| !also_tables.contains(&key.as_str()))
        {
            assert!(shown.contains(key.as_str()), "[{head}] lacks {key}");
        }
    }
    for rest in [
        "\n[queue]\n",
        "\n[profiles.linux]\n",
        "\n[profiles.linux.guest]\n",
        "\n#image_type = ",
    ] {
        assert!(EXAMPLE.contains(rest), "{rest}");
    }
}

#[test]
fn what_the_example_comments_out_are_the_defaults() {
    // Those that have none show what they could be.
    let without_default = [
        "guest_base_url",
        "main_repo_path",
        "ticket_key",
        "jobs_per_repo_max",
    ];
    let (settings, profile) = EXAMPLE.split_once("\n#[profiles.servo-windows10]").unwrap();
    let mut count = 0;
    let lines = settings.lines().map(|line| match setting_line(line) {
        Some((key, setting)) if setting != line && !without_default.contains(&key) => {
            count += 1;
            setting
        }
        _ => line,
    });
    let uncommented = lines.collect::<Vec<_>>().join("\n");
    assert!(count > 20, "only {count} lines were found");
    let with_defaults = load(&uncommented, &[]).unwrap();
    assert_eq!(shown(&with_defaults), shown(&load(EXAMPLE, &[]).unwrap()));

    let profile: Vec<&str> = profile
        .lines()
        .filter_map(setting_line)
        .map(|(_, line)| line)
        .collect();
    let with_profile = format!(
        "{EXAMPLE}\n[profiles.servo-windows10]\n{}",
        profile.join("\n")
    );
    assert_eq!(load(&with_profile, &[]).unwrap().profiles.len(), 2);
}

#[test]
fn the_example_of_secrets_is_refused_until_both_are_changed() {
    let folder = folder_with(EXAMPLE);
    let file = folder.path().join("monitor.toml");
    let load = |text: &str| {
        fs::write(folder.path().join(".env"), text).unwrap();
        Settings::load(&file, &Environment::default()).map_err(|error| error.to_string())
    };
    let still = "still ChangeMe, as in the example; set it to a value of your own";
    let sentence = load(ENV_EXAMPLE).unwrap_err();
    assert_eq!(sentence, format!("SERVO_CI_MONITOR_API_TOKEN: {still}"));
    let sentence = load(&ENV_EXAMPLE.replacen("ChangeMe", "hunter2", 1)).unwrap_err();
    assert_eq!(sentence, format!("GITHUB_TOKEN: {still}"));
    assert!(load(&ENV_EXAMPLE.replace("ChangeMe", "hunter2")).is_ok());
    assert!(load(&ENV_EXAMPLE.replace("#", "").replace("ChangeMe", "hunter2")).is_err());
}
