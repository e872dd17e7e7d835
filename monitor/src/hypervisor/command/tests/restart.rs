//! What a new monitor makes of the guests of an earlier one.

use super::*;

#[tokio::test]
async fn a_guest_outlives_its_monitor_and_is_found_and_ended_by_the_next() {
    let data = TempDir::new().unwrap();
    let script = r#"echo $$ > "$DATA/leader"; touch "$DATA/ready"; exec sleep 60"#;
    guest_of_an_earlier_monitor(&data, script);
    let leader = pid_in(&data, "leader");

    let (driver, mut events) = driver(&data);
    assert_eq!(names(&driver).await, [NAME]);
    assert!(is_alive(leader));

    driver.destroy(NAME).await.unwrap();
    assert!(!is_alive(leader));
    assert!(names(&driver).await.is_empty());
    assert_eq!(next(&mut events).await, NAME);
}

#[tokio::test]
async fn a_guest_of_an_earlier_monitor_is_ended_politely_even_before_it_was_listed() {
    let data = TempDir::new().unwrap();
    let script = r#"trap 'echo bye > "$DATA/last-words"; exit' TERM
        touch "$DATA/ready"; while :; do sleep 0.01; done"#;
    guest_of_an_earlier_monitor(&data, script);

    let (driver, _events) = driver(&data);
    driver.destroy(NAME).await.unwrap();
    assert!(data.path().join("last-words").exists());
    assert!(names(&driver).await.is_empty());
}

#[tokio::test]
async fn the_end_of_a_guest_of_an_earlier_monitor_is_news_too() {
    let data = TempDir::new().unwrap();
    let script = r#"echo $$ > "$DATA/leader"; touch "$DATA/ready"; exec sleep 60"#;
    guest_of_an_earlier_monitor(&data, script);

    let (driver, mut events) = driver(&data);
    assert_eq!(names(&driver).await, [NAME]);
    kill_process(pid_in(&data, "leader"), Signal::KILL).unwrap();
    assert_eq!(next(&mut events).await, NAME);
    assert!(names(&driver).await.is_empty());
}

#[tokio::test]
async fn what_a_guest_left_running_that_ended_unseen_is_ended() {
    let data = TempDir::new().unwrap();
    let script = format!(r#"echo $$ > "$DATA/leader"; {LITTER} touch "$DATA/ready"; sleep 60"#);
    guest_of_an_earlier_monitor(&data, &script);
    let leader = pid_in(&data, "leader");
    kill_process(leader, Signal::KILL).unwrap();
    until("the leader is gone", || !is_alive(leader)).await;

    let (driver, _events) = driver(&data);
    assert!(names(&driver).await.is_empty());
    assert!(
        !LITTER_FILES
            .into_iter()
            .any(|file| is_alive(pid_in(&data, file)))
    );
    until_only_logs_are_left(&data).await;
}

#[tokio::test]
async fn a_pid_that_is_another_process_by_now_is_no_guest_and_is_left_alone() {
    let data = TempDir::new().unwrap();
    let (driver, _events) = driver(&data);
    let script = r#"echo $$ > "$DATA/other"; touch "$DATA/ready"; exec sleep 60"#;
    driver.create(&guest(&data, script)).await.unwrap();
    until("the guest is ready", || data.path().join("ready").exists()).await;
    // One is this very test, the other a guest, but of another name.
    let other = pid_in(&data, "other");
    for (name, pid) in [("ci-runner-test.2", getpid()), ("ci-runner-test.3", other)] {
        let folder = guests_path(&data).join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("leader"), record_of_an_earlier_process(pid)).unwrap();
    }

    assert_eq!(names(&driver).await, [NAME]);
    assert!(is_alive(other));
    until("the folders are removed", || {
        files(&guests_path(&data)) == [".logs", NAME].map(str::to_owned).into()
    })
    .await;
    driver.destroy(NAME).await.unwrap();
}

#[tokio::test]
async fn what_is_half_made_or_half_removed_is_removed_and_what_is_foreign_is_kept() {
    let data = TempDir::new().unwrap();
    let (driver, _events) = driver(&data);
    for folder in [
        "ci-runner-test.2/work",
        ".ended-ci-runner-test.3/work",
        "ci-template-test",
        "ci-runner",
        ".ended-ci-template-test",
    ] {
        fs::create_dir_all(guests_path(&data).join(folder)).unwrap();
    }
    fs::create_dir(guests_path(&data).join("ci-runner-test.4")).unwrap();
    fs::write(guests_path(&data).join("ci-runner-test.4/leader"), "nobody").unwrap();
    fs::write(guests_path(&data).join("ci-runner-a-file"), "").unwrap();

    assert!(names(&driver).await.is_empty());
    let kept = [
        ".ended-ci-template-test",
        ".logs",
        "ci-runner",
        "ci-runner-a-file",
        "ci-template-test",
    ];
    until("only the foreign is left", || {
        files(&guests_path(&data)) == kept.map(str::to_owned).into()
    })
    .await;
}
