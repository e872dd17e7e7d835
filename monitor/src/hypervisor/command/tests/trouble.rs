//! What the driver says when it cannot do what it was asked to.

use super::*;

#[tokio::test]
async fn what_cannot_be_removed_stays_listed_and_is_tried_again() {
    let data = TempDir::new().unwrap();
    let (driver, mut events) = driver(&data);
    let script = r#"echo $$ > "$DATA/leader"; touch "$DATA/ready"; exec sleep 60"#;
    driver.create(&guest(&data, script)).await.unwrap();
    until("the guest is ready", || data.path().join("ready").exists()).await;
    // A file where a folder has to be moved to.
    let obstacle = guests_path(&data).join(format!(".ended-{NAME}"));
    fs::write(&obstacle, "").unwrap();

    for _ in 0..2 {
        let failure = driver.destroy(NAME).await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!("move the folder of guest {NAME}")
        );
        assert_eq!(names(&driver).await, [NAME]);
    }
    assert_eq!(next(&mut events).await, NAME);
    assert!(events.try_recv().is_err(), "it ended once");
    assert!(!is_alive(pid_in(&data, "leader")), "the disk's fault alone");

    fs::remove_file(obstacle).unwrap();
    assert!(names(&driver).await.is_empty());
    until_only_logs_are_left(&data).await;
}

#[tokio::test]
async fn a_guest_that_will_not_go_is_not_waited_for_for_ever() {
    let data = TempDir::new().unwrap();
    let no_patience = Timeouts {
        terminate_timeout: Duration::ZERO,
        kill_timeout: Duration::ZERO,
        list_timeout: Duration::ZERO,
    };
    let (driver, _events) = driver_with(&data, no_patience);
    let claim = driver.claims.claim(NAME).unwrap();
    let (_progress, stage) = tokio::sync::watch::channel(watch::Stage::Present);
    claim.show(claims::Watched {
        leader: None,
        stage,
    });

    let failure = driver.destroy(NAME).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        format!("end guest {NAME}: there are still processes of it")
    );
    assert!(failure.is_transient());
    assert_eq!(names(&driver).await, [NAME]);
}

#[tokio::test]
async fn a_guest_that_cannot_start_leaves_nothing_behind() {
    let data = TempDir::new().unwrap();
    let (driver, _events) = driver(&data);
    let mut spec = guest(&data, "");
    spec.means = Means::Process(vec!["no-such-program".to_owned()]);
    let refusal = driver.create(&spec).await.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!(
            "create guest {NAME}: its command names a program that is not there, or not executable"
        )
    );
    assert!(!refusal.is_transient());

    // The system refuses a variable that has a NUL in it.
    let mut spec = guest(&data, "sleep 60");
    spec.monitor_url = "http://\0".to_owned();
    let failure = driver.create(&spec).await.unwrap_err();
    assert_eq!(failure.to_string(), format!("start guest {NAME}"));
    assert!(names(&driver).await.is_empty());
    assert_eq!(files(&guests_path(&data)), [".logs".to_owned()].into());
}

#[tokio::test]
async fn a_name_is_used_once() {
    let data = TempDir::new().unwrap();
    let (driver, _events) = driver(&data);
    let spec = guest(&data, "sleep 60");
    driver.create(&spec).await.unwrap();
    let refusal = driver.create(&spec).await.unwrap_err();
    assert!(matches!(refusal, HypervisorError::AlreadyExists { .. }));
    assert_eq!(names(&driver).await, [NAME]);
    driver.destroy(NAME).await.unwrap();

    // A folder that nobody has looked at yet may be that of a guest.
    fs::create_dir(guests_path(&data).join(NAME)).unwrap();
    let refusal = driver.create(&spec).await.unwrap_err();
    assert!(matches!(refusal, HypervisorError::AlreadyExists { .. }));
    assert!(guests_path(&data).join(NAME).exists());
}

#[tokio::test]
async fn a_guest_that_is_being_made_is_not_there_yet_and_cannot_be_destroyed() {
    let data = TempDir::new().unwrap();
    let (driver, _events) = driver(&data);
    let claim = driver.claims.claim(NAME).unwrap();
    let refusal = driver.destroy(NAME).await.unwrap_err();
    assert!(matches!(refusal, HypervisorError::Occupied { .. }));
    assert!(refusal.is_transient());
    assert!(names(&driver).await.is_empty());
    drop(claim);
    driver.destroy(NAME).await.unwrap();
}

#[tokio::test]
async fn a_host_that_cannot_be_asked_is_an_error_and_not_an_empty_list() {
    let data = TempDir::new().unwrap();
    let (driver, _events) = driver(&data);
    fs::remove_dir(guests_path(&data)).unwrap();
    fs::write(guests_path(&data), "").unwrap();
    let failure = driver.list().await.unwrap_err();
    assert_eq!(failure.to_string(), "list the folders of guests");
    let failure = driver.create(&guest(&data, "true")).await.unwrap_err();
    assert_eq!(failure.to_string(), format!("start guest {NAME}"));
}
