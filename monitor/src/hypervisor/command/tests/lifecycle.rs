//! Tests of a guest from its creation to its end, and of what it leaves behind.

use super::*;

#[tokio::test]
async fn a_guest_is_listed_from_its_creation_to_its_destruction() {
    let mut host = Host::new();
    assert!(host.names().await.is_empty());

    host.start("sleep 60").await;
    assert_eq!(host.names().await, [NAME]);

    host.driver.destroy(NAME).await.unwrap();
    assert_eq!(file_names(&host.guests_path()), [".logs".to_owned()].into());
    assert!(host.names().await.is_empty());
    host.expect_event(NAME).await;
}

#[tokio::test]
async fn the_end_of_a_guest_is_an_event_and_leaves_only_its_log() {
    let mut host = Host::new();
    let script = "echo output; echo errors >&2; exit 3";
    host.start(script).await;

    let event = host.next_event().await;
    assert_eq!(event.name, NAME);
    assert_eq!(event.exit_status.as_deref(), Some("exit status: 3"));
    assert_eq!(event.output, ["output", "errors"]);
    assert!(host.names().await.is_empty());
    host.until_only_logs_are_left().await;
    let log = host.guests_path().join(".logs").join(format!("{NAME}.log"));
    until("the log is complete", || {
        fs::read(&log).unwrap() == b"output\nerrors\n"
    })
    .await;
}

#[tokio::test]
async fn destroying_a_guest_that_does_not_exist_succeeds() {
    let host = Host::new();
    host.driver.destroy(NAME).await.unwrap();
    host.start("sleep 60").await;
    host.driver.destroy(NAME).await.unwrap();
    host.driver.destroy(NAME).await.unwrap();
}

#[tokio::test]
async fn a_destroyed_guest_has_time_to_clean_up() {
    let host = Host::new();
    let script = r#"trap 'echo bye > "$DATA/clean-up"; exit' TERM
        touch "$DATA/ready"; while :; do sleep 0.01; done"#;
    host.start_until_ready(script).await;

    host.driver.destroy(NAME).await.unwrap();
    let clean_up = fs::read(host.file("clean-up")).unwrap();
    assert_eq!(clean_up, b"bye\n");
}

#[tokio::test]
async fn a_guest_that_ignores_sigterm_is_killed_with_its_children() {
    let timeouts = Timeouts {
        terminate_timeout: Duration::ZERO,
        kill_timeout: PATIENCE,
        list_timeout: PATIENCE,
    };
    let host = Host::with_timeouts(TempDir::new().unwrap(), timeouts);
    let script = r#"trap '' TERM; echo $$ > "$DATA/leader"
        sleep 60 & echo $! > "$DATA/child"; touch "$DATA/ready"; wait"#;
    host.start_until_ready(script).await;
    let pids = ["leader", "child"].map(|file| host.pid_in(file));
    assert!(pids.into_iter().all(is_alive));

    host.driver.destroy(NAME).await.unwrap();
    assert!(!pids.into_iter().any(is_alive));
}

#[tokio::test]
async fn the_processes_of_a_guest_end_with_its_leader() {
    let mut host = Host::new();
    host.start(ORPHANS).await;

    host.expect_event(NAME).await;
    assert_orphans_ended(&host);
    host.until_only_logs_are_left().await;
}

#[tokio::test]
async fn the_environment_of_a_guest_has_its_variables_and_none_of_the_monitor() {
    let mut host = Host::new();
    let script = r#"env > "$DATA/environment"; pwd > "$DATA/work""#;
    host.start(script).await;
    host.expect_event(NAME).await;

    let environment = fs::read_to_string(host.file("environment")).unwrap();
    let folder = host.guests_path().canonicalize().unwrap().join(NAME);
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
    let work = fs::read_to_string(host.file("work")).unwrap();
    assert_eq!(Path::new(work.trim()), folder.join("work"));
}

#[tokio::test]
async fn a_guest_that_talks_without_end_neither_waits_nor_fills_the_disk() {
    let mut host = Host::new();
    let size = LOG_SIZE_MAX * 3;
    let script = format!(r#"head -c {size} /dev/zero && touch "$DATA/written""#);
    host.start(&script).await;

    // So all but a pipe's worth has been read.
    host.expect_event(NAME).await;
    assert!(host.file("written").exists());
    let log = host.guests_path().join(".logs").join(format!("{NAME}.log"));
    until("the log is full", || {
        fs::metadata(&log).is_ok_and(|log| log.len() >= LOG_SIZE_MAX)
    })
    .await;
    assert_eq!(fs::metadata(&log).unwrap().len(), LOG_SIZE_MAX);
}

#[tokio::test]
async fn only_the_last_logs_are_kept() {
    let mut host = Host::new();
    let logs = host.guests_path().join(".logs");
    fs::create_dir(&logs).unwrap();
    for number in 0..40 {
        fs::write(logs.join(format!("ci-runner-old.{number}.log")), "").unwrap();
    }
    host.start("true").await;
    host.expect_event(NAME).await;
    until("all but the last are removed", || {
        file_names(&logs).len() == 16
    })
    .await;
    assert!(file_names(&logs).contains(&format!("{NAME}.log")));
}
