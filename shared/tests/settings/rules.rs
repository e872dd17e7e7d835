//! Limits of settings, and rules that involve several settings.

use std::time::Duration;

use shared::settings::{Environment, GuestDriver, LogFormat, Settings};

use super::{SHORTEST, load, refusal};

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
journal_max_age = "1h"
journal_max_size = "1M"
log_format = "json"
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
    assert_eq!(settings.journal.size_max.bytes(), 1 << 20);
    assert_eq!(settings.log_format, LogFormat::Json);
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
fn prefixes_of_guests_cannot_be_mistaken_for_each_other() {
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
    let allowed = "prefixes that differ, none of which continues another one after a -";
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
fn a_daemon_continues_without_a_profile_whose_settings_are_invalid() {
    let folder = super::folder_with(
        &super::DEPLOYED
            .replace("target_count = 4", "target_count = \"many\"")
            .replace(
                "[profiles.linux]",
                "[profiles.\"no key\"]\n[profiles.linux]",
            ),
    );
    let file = folder.path().join("monitor.toml");
    let environment: Environment = super::SECRETS.into_iter().collect();
    let settings = Settings::load_usable(&file, &environment).unwrap();
    let keys: Vec<&str> = settings.profiles.keys().map(|key| key.as_str()).collect();
    assert_eq!(keys, ["linux"]);
    let unusable: Vec<&str> = settings
        .unusable_profiles
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(unusable, ["no key", "servo-windows10"]);
    let sentence = &settings.unusable_profiles["servo-windows10"];
    assert!(
        sentence.contains("target_count: found string \"many\""),
        "{sentence}"
    );
    // A check reports it, and so does a start for which nothing would be left.
    assert!(Settings::load(&file, &environment).is_err());
    let only = super::DEPLOYED.replace("target_count", "target_cuont");
    std::fs::write(&file, only).unwrap();
    assert!(Settings::load_usable(&file, &environment).is_err());
}

#[test]
fn a_profile_can_override_group_folder_and_labels() {
    let profile = "[profiles.a]\ngithub_runner_label = \"l\"\ntarget_count = 1\n\
                   requires_normal_memory = \"1G\"\n";
    let text = format!(
        "{SHORTEST}reservation_labels = \"on_take\"\nrunner_group_id = 2\nwork_folder = \"w\"\n\
         {profile}runner_group_id = 7\nwork_folder = \"/mnt/a\"\nextra_labels = [\"gpu\", \"big\"]\n{}",
        profile.replace("profiles.a", "profiles.b")
    );
    let settings = load(&text, &[]).unwrap();
    let [a, b] = ["a", "b"].map(|key| &settings.profiles[key]);
    assert_eq!((a.runner_group_id, a.work_folder.as_str()), (7, "/mnt/a"));
    assert_eq!(a.extra_labels, ["gpu", "big"]);
    assert_eq!((b.runner_group_id, b.work_folder.as_str()), (2, "w"));
    assert_eq!(b.extra_labels, [""; 0]);
}

#[test]
fn each_switch_affects_the_right_targets() {
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
fn a_profile_can_run_a_command_for_each_runner() {
    let with_guest = |guest: &str| {
        format!(
            "{SHORTEST}[profiles.linux]\ngithub_runner_label = \"l\"\ntarget_count = 1\n\
             requires_normal_memory = \"1G\"\nguest = {guest}"
        )
    };
    let command = |arguments: &[&str]| {
        GuestDriver::Command(
            arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
        )
    };
    for (guest, driver) in [
        (
            r#"{ driver = "command", command = ["run", "", "--once"] }"#,
            command(&["run", "", "--once"]),
        ),
        (r#"{ driver = "libvirt" }"#, GuestDriver::Libvirt),
        ("{}", GuestDriver::Libvirt),
    ] {
        let settings = load(&with_guest(guest), &[]).unwrap();
        assert_eq!(settings.profiles["linux"].guest, driver);
        assert_eq!(settings.profiles["linux"].requires_1g_hugepages, 0);
    }
    let argument = |length| {
        format!(
            r#"{{ driver = "command", command = ["{}"] }}"#,
            "x".repeat(length)
        )
    };
    assert!(load(&with_guest(&argument(4096)), &[]).is_ok());
    assert!(load(&with_guest(&argument(4097)), &[]).is_err());
}
