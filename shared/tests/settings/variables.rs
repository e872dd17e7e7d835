//! Settings and secrets from the environment and from `.env`.

use std::{fs, path::PathBuf, time::Duration};

use shared::settings::{Environment, GuestDriver, Settings};

use super::{DEPLOYED, folder_with, load, load_from, shown};

#[test]
fn a_variable_overrides_the_file() {
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
                "[1234567890123456789012345678901]",
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
            ("LIBVIRT_DEFAULT_URI", "qemu:///session"),
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
        "an empty variable counts as not set"
    );

    let queue = settings.require_queue().unwrap();
    assert_eq!((queue.port, queue.servers.len()), (8003, 2));
    let ticket_key = queue.ticket_key.as_ref().unwrap();
    assert!(ticket_key.matches("[1234567890123456789012345678901]"));

    let windows = &settings.profiles["servo-windows10"];
    assert_eq!(
        (windows.target_count, windows.requires_1g_hugepages),
        (7, 24)
    );
    let linux = &settings.profiles["linux"].guest;
    assert_eq!(*linux, GuestDriver::Command(vec!["run".to_owned()]));

    assert_eq!(settings.data_path, PathBuf::from("/var/lib/ci"));
    assert_eq!(settings.image_deps_dir, Some(PathBuf::from("/srv/deps")));
    assert_eq!(settings.lib_monitor_dir, Some(PathBuf::from("/usr/lib/ci")));
    let values = (&*settings.libvirt_uri, settings.log_filter.as_deref());
    assert_eq!(values, ("qemu:///session", Some("debug")));
}

#[test]
fn variables_can_be_set_in_a_file_beside_the_settings() {
    let folder = folder_with(DEPLOYED);
    let text = "SERVO_CI_MONITOR_API_TOKEN=hunter4\nSERVO_CI_MONITOR_PORT=8001\nSERVO_CI_MONITOR_QUEUE__PORT=8003\n";
    fs::write(folder.path().join(".env"), text).unwrap();
    let settings = load_from(&folder, &[("SERVO_CI_MONITOR_PORT", "8005")]).unwrap();
    assert_eq!(
        settings.network.port, 8005,
        "the process overrides the file"
    );
    assert_eq!(settings.require_queue().unwrap().port, 8003);
    assert!(
        settings.secrets.api_token.matches("hunter2"),
        "the process overrides the file"
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
fn an_unusable_secret_is_an_error() {
    let file = folder_with(DEPLOYED);
    let error = load_from(&file, &[("SERVO_CI_MONITOR_API_TOKEN", "ChangeMe")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "SERVO_CI_MONITOR_API_TOKEN: still ChangeMe, as in the example; set it to a value of your own"
    );
}
