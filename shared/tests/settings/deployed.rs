//! A file as it is deployed today, and the shortest valid file.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use shared::settings::{GithubScope, GuestDriver, ReservationLabels, User};

use super::{DEPLOYED, SHORTEST, load};

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
fn a_setting_that_a_deployed_file_does_not_contain_has_its_default() {
    let settings = load(DEPLOYED, &[]).unwrap();

    assert_eq!(settings.data_path, PathBuf::from("./data"));
    assert_eq!(
        (settings.image_deps_dir, settings.lib_monitor_dir),
        (None, None)
    );
    assert_eq!(settings.libvirt_uri, "qemu:///system");
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
    // The other settings of the deployed file are equal to the defaults.
    let deployed = load(DEPLOYED, &[]).unwrap();
    assert_eq!(
        format!("{:?}", settings.pool),
        format!("{:?}", deployed.pool)
    );
    // Two defaults differ: requests to GitHub count against a limit, and fewer are needed.
    assert_eq!(settings.github.api_cache_timeout, Duration::from_secs(60));
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
fn which_daemon_uses_a_setting_follows_from_where_it_is_read() {
    let settings = load(DEPLOYED, &[]).unwrap();
    let is_used = |name| [User::Monitor, User::Queue].map(|user| settings.is_used_by(user, name));
    for name in [
        "listen_on",
        // Both names are allowed in requests to either daemon.
        "external_base_url",
        "guest_base_url",
        "github_app.id",
        "journal_max_age",
        "SERVO_CI_MONITOR_API_TOKEN",
        "RUST_LOG",
    ] {
        assert_eq!(is_used(name), [true, true], "{name}");
    }
    for name in [
        "port",
        "github_api_suffix",
        "work_folder",
        "queue_url",
        "main_repo_path",
        "monitor_start_timeout",
        "profiles.linux.target_count",
        "mirrors.servo.path",
        "GITHUB_WEBHOOK_SECRET",
        "SERVO_CI_MONITOR_QUEUE_TOKEN",
    ] {
        assert_eq!(is_used(name), [true, false], "{name}");
    }
    for name in [
        "queue.servers",
        "queue.port",
        "SERVO_CI_MONITOR_SERVER_TOKENS",
    ] {
        assert_eq!(is_used(name), [false, true], "{name}");
    }
    assert!(settings.has_table("profiles.linux") && !settings.has_table("profiles.linu"));
}
