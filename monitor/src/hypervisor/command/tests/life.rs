//! A guest from its creation to its end, and all that it leaves behind.

use super::*;

#[tokio::test]
async fn a_guest_is_listed_from_its_creation_to_its_destruction() {
    let data = TempDir::new().unwrap();
    let (driver, mut events) = driver(&data);
    assert!(names(&driver).await.is_empty());

    driver.create(&guest(&data, "sleep 60")).await.unwrap();
    assert_eq!(names(&driver).await, [NAME]);

    driver.destroy(NAME).await.unwrap();
    assert_eq!(files(&guests_path(&data)), [".logs".to_owned()].into());
    assert!(names(&driver).await.is_empty());
    assert_eq!(next(&mut events).await, NAME);
}

#[tokio::test]
async fn a_guest_that_ends_by_itself_is_news_and_leaves_only_its_log() {
    let data = TempDir::new().unwrap();
    let (driver, mut events) = driver(&data);
    let script = "echo said; echo shouted >&2; exit 3";
    driver.create(&guest(&data, script)).await.unwrap();

    assert_eq!(next(&mut events).await, NAME);
    assert!(names(&driver).await.is_empty());
    until_only_logs_are_left(&data).await;
    let log = guests_path(&data).join(".logs").join(format!("{NAME}.log"));
    until("the log is complete", || {
        fs::read(&log).unwrap() == b"said\nshouted\n"
    })
    .await;
}

#[tokio::test]
async fn destroying_what_is_not_there_is_done_already() {
    let data = TempDir::new().unwrap();
    let (driver, _events) = driver(&data);
    driver.destroy(NAME).await.unwrap();
    driver.create(&guest(&data, "sleep 60")).await.unwrap();
    driver.destroy(NAME).await.unwrap();
    driver.destroy(NAME).await.unwrap();
}

#[tokio::test]
async fn a_guest_has_the_time_for_its_last_words() {
    let data = TempDir::new().unwrap();
    let (driver, _events) = driver(&data);
    let script = r#"trap 'echo bye > "$DATA/last-words"; exit' TERM
        touch "$DATA/ready"; while :; do sleep 0.01; done"#;
    driver.create(&guest(&data, script)).await.unwrap();
    until("the guest is ready", || data.path().join("ready").exists()).await;

    driver.destroy(NAME).await.unwrap();
    let last_words = fs::read(data.path().join("last-words")).unwrap();
    assert_eq!(last_words, b"bye\n");
}

#[tokio::test]
async fn a_guest_that_ignores_sigterm_is_killed_with_its_children() {
    let data = TempDir::new().unwrap();
    let timeouts = Timeouts {
        terminate_timeout: Duration::ZERO,
        kill_timeout: PATIENCE,
        list_timeout: PATIENCE,
    };
    let (driver, _events) = driver_with(&data, timeouts);
    let script = r#"trap '' TERM; echo $$ > "$DATA/leader"
        sleep 60 & echo $! > "$DATA/child"; touch "$DATA/ready"; wait"#;
    driver.create(&guest(&data, script)).await.unwrap();
    until("the guest is ready", || data.path().join("ready").exists()).await;
    let pids = ["leader", "child"].map(|file| pid_in(&data, file));
    assert!(pids.into_iter().all(is_alive));

    driver.destroy(NAME).await.unwrap();
    assert!(!pids.into_iter().any(is_alive));
}

#[tokio::test]
async fn what_a_guest_leaves_running_ends_with_it() {
    let data = TempDir::new().unwrap();
    let (driver, mut events) = driver(&data);
    driver.create(&guest(&data, LITTER)).await.unwrap();

    assert_eq!(next(&mut events).await, NAME);
    assert!(
        !LITTER_FILES
            .into_iter()
            .any(|file| is_alive(pid_in(&data, file)))
    );
    until_only_logs_are_left(&data).await;
}

#[tokio::test]
async fn a_guest_knows_what_it_needs_and_nothing_of_the_monitor() {
    let data = TempDir::new().unwrap();
    let (driver, mut events) = driver(&data);
    let script = r#"env > "$DATA/environment"; pwd > "$DATA/work""#;
    driver.create(&guest(&data, script)).await.unwrap();
    next(&mut events).await;

    let environment = fs::read_to_string(data.path().join("environment")).unwrap();
    let folder = guests_path(&data).canonicalize().unwrap().join(NAME);
    let told = [
        format!("CI_RUNNERS_GUEST_NAME={NAME}"),
        format!("CI_RUNNERS_GUEST_FOLDER={}", folder.display()),
        "CI_RUNNERS_RUNNER_ID=1".to_owned(),
        "CI_RUNNERS_PROFILE=test".to_owned(),
        "CI_RUNNERS_MONITOR_URL=http://monitor.invalid:8000/".to_owned(),
        "CI_RUNNERS_GUEST_SECRET=hunter2".to_owned(),
    ];
    for line in &told {
        assert!(environment.lines().any(|other| other == line), "{line}");
    }
    // What the shell adds by itself, and what may come from the monitor. Tests run with many more
    // variables than that.
    let others = ["PATH", "HOME", "LANG", "TZ", "PWD", "OLDPWD", "SHLVL", "_"];
    for line in environment
        .lines()
        .filter(|line| !told.contains(&(*line).to_owned()))
    {
        let (name, _) = line.split_once('=').unwrap();
        assert!(others.contains(&name), "{name}");
    }
    let work = fs::read_to_string(data.path().join("work")).unwrap();
    assert_eq!(Path::new(work.trim()), folder.join("work"));
}

#[tokio::test]
async fn a_guest_that_talks_without_end_neither_waits_nor_fills_the_disk() {
    let data = TempDir::new().unwrap();
    let (driver, mut events) = driver(&data);
    let size = LOG_SIZE_MAX * 3;
    let script = format!(r#"head -c {size} /dev/zero && touch "$DATA/said-all""#);
    driver.create(&guest(&data, &script)).await.unwrap();

    // So all but a pipe's worth has been read.
    assert_eq!(next(&mut events).await, NAME);
    assert!(data.path().join("said-all").exists());
    let log = guests_path(&data).join(".logs").join(format!("{NAME}.log"));
    until("the log is full", || {
        fs::metadata(&log).is_ok_and(|log| log.len() >= LOG_SIZE_MAX)
    })
    .await;
    assert_eq!(fs::metadata(&log).unwrap().len(), LOG_SIZE_MAX);
}

#[tokio::test]
async fn only_the_last_logs_are_kept() {
    let data = TempDir::new().unwrap();
    let (driver, mut events) = driver(&data);
    let logs = guests_path(&data).join(".logs");
    fs::create_dir(&logs).unwrap();
    for number in 0..40 {
        fs::write(logs.join(format!("ci-runner-old.{number}.log")), "").unwrap();
    }
    driver.create(&guest(&data, "true")).await.unwrap();
    next(&mut events).await;
    until("all but the last are removed", || files(&logs).len() == 16).await;
    assert!(files(&logs).contains(&format!("{NAME}.log")));
}
