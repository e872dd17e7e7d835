//! Tests of the errors of the driver.

use super::*;

#[tokio::test]
async fn a_guest_that_cannot_be_removed_stays_listed_and_is_tried_again() {
    let mut host = Host::new();
    let script = r#"echo $$ > "$DATA/leader"; touch "$DATA/ready"; exec sleep 60"#;
    host.start_until_ready(script).await;
    // A file in the place where the folder is moved to.
    let obstacle = host.guests_path().join(format!(".ended-{NAME}"));
    fs::write(&obstacle, "").unwrap();

    for _ in 0..2 {
        let failure = host.driver.destroy(NAME).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!("move the folder of guest {NAME}")
        );
        assert_eq!(host.names().await, [NAME]);
    }
    host.expect_event(NAME).await;
    assert!(host.events.try_recv().is_err(), "it ended once");
    assert!(!is_alive(host.pid_in("leader")), "only the disk failed");

    fs::remove_file(obstacle).unwrap();
    assert!(host.names().await.is_empty());
    host.until_only_logs_are_left().await;
}

#[tokio::test]
async fn the_wait_for_the_end_of_a_guest_has_a_timeout() {
    let no_patience = Timeouts {
        terminate_timeout: Duration::ZERO,
        kill_timeout: Duration::ZERO,
        list_timeout: Duration::ZERO,
    };
    let host = Host::with_timeouts(TempDir::new().unwrap(), no_patience);
    let lock = host.driver.watcher.locks.lock(NAME).unwrap();
    let (_progress, state) = tokio::sync::watch::channel(watch::WatchState::Running);
    lock.publish(watch::WatchedGuest {
        leader: None,
        state,
    });

    let failure = host.driver.destroy(NAME).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        format!("end guest {NAME}: some of its processes are still running")
    );
    assert!(failure.is_transient());
    assert_eq!(host.names().await, [NAME]);
}

#[tokio::test]
async fn a_guest_that_cannot_start_leaves_nothing_behind() {
    let host = Host::new();
    let mut spec = host.guest("");
    spec.kind = GuestKind::Process(vec!["no-such-program".to_owned()]);
    let refusal = host.driver.create(&spec).await.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!(
            "create guest {NAME}: its command names a program that does not exist or is not executable"
        )
    );
    assert!(!refusal.is_transient());

    // The system refuses a variable with a NUL.
    let mut spec = host.guest("sleep 60");
    spec.monitor_url = "http://\0".to_owned();
    let failure = host.driver.create(&spec).await.unwrap_err();
    assert_eq!(failure.to_string(), format!("start guest {NAME}"));
    assert!(host.names().await.is_empty());
    assert_eq!(file_names(&host.guests_path()), [".logs".to_owned()].into());
}

#[tokio::test]
async fn a_name_can_be_used_once() {
    let host = Host::new();
    let spec = host.guest("sleep 60");
    host.driver.create(&spec).await.unwrap();
    let refusal = host.driver.create(&spec).await.unwrap_err();
    assert!(matches!(refusal, HypervisorError::AlreadyExists { .. }));
    assert_eq!(host.names().await, [NAME]);
    host.driver.destroy(NAME).await.unwrap();

    // A folder that was not adopted yet may belong to a guest.
    fs::create_dir(host.guests_path().join(NAME)).unwrap();
    let refusal = host.driver.create(&spec).await.unwrap_err();
    assert!(matches!(refusal, HypervisorError::AlreadyExists { .. }));
    assert!(host.guests_path().join(NAME).exists());
}

#[tokio::test]
async fn a_guest_that_is_being_created_is_not_listed_and_cannot_be_destroyed() {
    let host = Host::new();
    let lock = host.driver.watcher.locks.lock(NAME).unwrap();
    let refusal = host.driver.destroy(NAME).await.unwrap_err();
    assert!(matches!(refusal, HypervisorError::Occupied { .. }));
    assert!(refusal.is_transient());
    assert!(host.names().await.is_empty());
    drop(lock);
    host.driver.destroy(NAME).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_listed_is_an_error_and_not_an_empty_list() {
    let host = Host::new();
    fs::remove_dir(host.guests_path()).unwrap();
    fs::write(host.guests_path(), "").unwrap();
    let failure = host.driver.list().await.unwrap_err();
    assert_eq!(failure.to_string(), "list the folders of guests");
    let failure = host.driver.create(&host.guest("true")).await.unwrap_err();
    assert_eq!(failure.to_string(), format!("start guest {NAME}"));
}
