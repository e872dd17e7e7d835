//! Tests of the guests of an earlier monitor: found, adopted, or removed.

use super::*;

#[tokio::test]
async fn a_guest_outlives_its_monitor_and_is_found_and_ended_by_the_next() {
    let script = r#"echo $$ > "$DATA/leader"; touch "$DATA/ready"; exec sleep 60"#;
    let mut host = Host::after_monitor_restart(script);
    let leader = host.pid_in("leader");

    assert_eq!(host.names().await, [NAME]);
    assert!(is_alive(leader));

    host.driver.destroy(NAME).await.unwrap();
    assert!(!is_alive(leader));
    assert!(host.names().await.is_empty());
    host.expect_event(NAME).await;
}

#[tokio::test]
async fn a_guest_of_an_earlier_monitor_gets_sigterm_even_before_it_was_listed() {
    let script = r#"trap 'echo bye > "$DATA/clean-up"; exit' TERM
        touch "$DATA/ready"; while :; do sleep 0.01; done"#;
    let host = Host::after_monitor_restart(script);

    host.driver.destroy(NAME).await.unwrap();
    assert!(host.file("clean-up").exists());
    assert!(host.names().await.is_empty());
}

#[tokio::test]
async fn the_end_of_a_guest_of_an_earlier_monitor_is_an_event() {
    let script = r#"echo $$ > "$DATA/leader"; touch "$DATA/ready"; exec sleep 60"#;
    let mut host = Host::after_monitor_restart(script);

    assert_eq!(host.names().await, [NAME]);
    kill_process(host.pid_in("leader"), Signal::KILL).unwrap();
    host.expect_event(NAME).await;
    assert!(host.names().await.is_empty());
}

#[tokio::test]
async fn the_processes_of_a_guest_that_ended_while_no_monitor_ran_are_ended() {
    let script = format!(r#"echo $$ > "$DATA/leader"; {ORPHANS} touch "$DATA/ready"; sleep 60"#);
    let host = Host::after_monitor_restart(&script);
    let leader = host.pid_in("leader");
    kill_process(leader, Signal::KILL).unwrap();
    until("the leader is gone", || !is_alive(leader)).await;

    assert!(host.names().await.is_empty());
    assert_orphans_ended(&host);
    host.until_only_logs_are_left().await;
}

#[tokio::test]
async fn a_process_that_reused_the_pid_of_a_leader_is_left_alone() {
    let host = Host::new();
    let script = r#"echo $$ > "$DATA/other"; touch "$DATA/ready"; exec sleep 60"#;
    host.start_until_ready(script).await;
    // One is the process of this test, the other a guest with another name.
    let other = host.pid_in("other");
    for (name, pid) in [("ci-runner-test.2", getpid()), ("ci-runner-test.3", other)] {
        let folder = host.guests_path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("leader"), record_of_an_earlier_process(pid)).unwrap();
    }

    assert_eq!(host.names().await, [NAME]);
    assert!(is_alive(other));
    host.until_files_are(&[".logs", NAME]).await;
    host.driver.destroy(NAME).await.unwrap();
}

#[tokio::test]
async fn incomplete_folders_are_removed_and_other_folders_are_kept() {
    let host = Host::new();
    for folder in [
        "ci-runner-test.2/work",
        ".ended-ci-runner-test.3/work",
        "ci-template-test",
        "ci-runner",
        ".ended-ci-template-test",
    ] {
        fs::create_dir_all(host.guests_path().join(folder)).unwrap();
    }
    fs::create_dir(host.guests_path().join("ci-runner-test.4")).unwrap();
    fs::write(
        host.guests_path().join("ci-runner-test.4/leader"),
        "malformed",
    )
    .unwrap();
    fs::write(host.guests_path().join("ci-runner-a-file"), "").unwrap();

    assert!(host.names().await.is_empty());
    host.until_files_are(&[
        ".ended-ci-template-test",
        ".logs",
        "ci-runner",
        "ci-runner-a-file",
        "ci-template-test",
    ])
    .await;
}
