//! The two example files: they are valid, and their comments are correct.

use std::{collections::BTreeSet, fs};

use shared::settings::{Environment, GuestDriver, Settings, SettingsError};

use super::{SHORTEST, folder_with, load, shown};

pub(super) const EXAMPLE: &str = include_str!("../../../monitor.toml.example");
const ENV_EXAMPLE: &str = include_str!("../../../.env.example");

#[test]
fn the_example_loads_unchanged() {
    let settings = load(EXAMPLE, &[]).unwrap();
    assert_eq!(
        format!("{:?}", settings.network.addresses(8000)),
        "[127.0.0.1:8000]"
    );
    let queue = settings.require_queue().unwrap();
    assert_eq!(
        queue.servers[..],
        *std::slice::from_ref(&settings.network.external_base_url)
    );
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

/// The lines of the example that belong to one of its tables.
fn table(head: &str) -> &'static str {
    let after = match EXAMPLE.split_once(&format!("\n[{head}]\n")) {
        Some((_, after)) => after,
        None if head.is_empty() => EXAMPLE,
        None => panic!("the example has no [{head}]"),
    };
    after.split("\n[").next().unwrap()
}

#[test]
fn the_example_shows_every_setting_in_its_table() {
    let queue = "[queue]\nservers = [\"http://a\"]";
    let profile = "[profiles.linux]\ngithub_runner_label = \"l\"\ntarget_count = 1\n\
                   requires_normal_memory = \"1G\"";
    let guest = format!("{profile}\n[profiles.linux.guest]");
    // What stands elsewhere: tables, and what only older files have.
    for (head, start, elsewhere) in [
        ("", "", &["profiles", "queue", "github_app", "mirrors"][..]),
        ("queue", queue, &["policy"]),
        ("profiles.linux", profile, &["guest", "image_type"]),
        ("profiles.linux.guest", &guest, &[]),
    ] {
        // A table tells all its keys when it meets one that it does not know.
        let error = load(&format!("{SHORTEST}{start}\nzzz = 1"), &[]).unwrap_err();
        let SettingsError::Unknown { place, allowed } = error else {
            panic!("zzz should be unknown: {error}");
        };
        assert_eq!(
            place.key.join("."),
            format!("{head}.zzz").trim_start_matches('.')
        );
        let lines = table(head).lines().filter_map(setting_line);
        let shown: BTreeSet<&str> = lines.map(|(key, _)| key).collect();
        let missing: Vec<&String> = allowed
            .iter()
            .filter(|key| !shown.contains(key.as_str()) && !elsewhere.contains(&key.as_str()))
            .collect();
        assert_eq!(missing, [] as [&String; 0], "[{head}]");
    }
    assert!(EXAMPLE.contains("\n#image_type = "));
    assert!(EXAMPLE.contains("\n#[github_app]\n#id = "));
    assert!(EXAMPLE.contains("\n#[mirrors.widgets]\n"));
}

#[test]
fn the_example_contains_the_defaults_as_comments() {
    // Those that have none show what they could be.
    let without_default = [
        "guest_base_url",
        "connections_per_address_max",
        "main_repo_path",
        "queue_url",
        "ticket_key",
        "jobs_per_repo_max",
        // These belong to tables that are commented out.
        "url",
        "branches",
        "interval",
        "id",
        "installation_id",
        "key_file",
        "ageing",
        "runners_per_repo_max",
        "half_life",
        "entry_penalty",
        "delay_max",
        "rank",
        "weight",
        "lane",
        "repository",
        "branch",
        "event",
        "workflow",
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

    let (_, mirror) = EXAMPLE.split_once("\n#[mirrors.widgets]").unwrap();
    let (mirror, _) = mirror.split_once("\n\n\n").unwrap();
    let mirror = mirror
        .lines()
        .filter_map(setting_line)
        .map(|(_, line)| line);
    let mirror: Vec<&str> = mirror.collect();
    let [url, ..] = &mirror[..] else {
        panic!("it shows its settings")
    };
    let with_mirror = |lines: &str| {
        let text = format!("{EXAMPLE}\n[mirrors.widgets]\n{lines}");
        load(&text, &[]).unwrap().mirrors
    };
    assert_eq!(with_mirror(url), with_mirror(&mirror.join("\n")));

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
