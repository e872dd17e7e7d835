//! The driver over real processes of this machine.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, getpid, kill_process};
use shared::secret::Secret;
use tempfile::TempDir;
use tokio::{
    runtime,
    sync::mpsc,
    task::yield_now,
    time::{Instant, timeout},
};

use super::{process, start::LOG_SIZE_MAX, *};
use crate::hypervisor::{
    Events, GUEST_COUNT_MAX, GuestSpec, HypervisorError, namespace::Namespace,
};

const NAME: &str = "ci-runner-test.1";

/// Long enough for a busy machine; only a test that fails ever waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A driver over `data`, and what it tells of.
fn driver_with(data: &TempDir, timeouts: Timeouts) -> (Driver, Events) {
    let (ended, events) = mpsc::channel(GUEST_COUNT_MAX);
    let namespace = Namespace::new("ci-runner").unwrap();
    let driver = Driver::new(data.path(), namespace, ended, timeouts).unwrap();
    (driver, events)
}

/// A driver that waits for nothing in vain but gives everything the time it needs.
fn driver(data: &TempDir) -> (Driver, Events) {
    let timeouts = Timeouts {
        terminate_timeout: PATIENCE,
        kill_timeout: PATIENCE,
        list_timeout: PATIENCE,
    };
    driver_with(data, timeouts)
}

/// A guest that is a shell script. It has `$DATA`, where it can leave word for the test.
fn guest(data: &TempDir, script: &str) -> GuestSpec {
    let script = format!("DATA='{}'; {script}", data.path().display());
    GuestSpec {
        name: NAME.to_owned(),
        runner_id: 1,
        profile_key: "test".parse().unwrap(),
        command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        monitor_url: "http://monitor.invalid:8000/".to_owned(),
        secret: Secret::new("hunter2"),
    }
}

/// Runs `script` as a guest of a monitor that then stops, and waits until it says `ready`.
fn guest_of_an_earlier_monitor(data: &TempDir, script: &str) {
    let run = || {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (driver, _events) = driver(data);
            driver.create(&guest(data, script)).await.unwrap();
            until("the guest is ready", || data.path().join("ready").exists()).await;
        });
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap());
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it does not happen that {what}");
        yield_now().await;
    }
}

async fn names(driver: &Driver) -> Vec<String> {
    let guests = driver.list().await.unwrap();
    assert!(guests.iter().all(|guest| guest.ipv4_address.is_none()));
    guests.into_iter().map(|guest| guest.name).collect()
}

async fn next(events: &mut Events) -> String {
    let event = timeout(PATIENCE, events.recv()).await;
    event.expect("an event in time").expect("a driver")
}

/// The pid that a guest has written to `$DATA/<file>`.
fn pid_in(data: &TempDir, file: &str) -> Pid {
    let text = fs::read_to_string(data.path().join(file)).unwrap();
    process::parse_pid(text.trim()).unwrap()
}

fn is_alive(pid: Pid) -> bool {
    process::stat(pid)
        .unwrap()
        .is_some_and(|stat| stat.is_alive)
}

fn guests_path(data: &TempDir) -> PathBuf {
    data.path().join("guests")
}

/// What lies in a folder, by name.
fn files(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn a_guest_is_listed_from_its_creation_to_its_destruction() {
    let data = TempDir::new().unwrap();
    let (driver, mut events) = driver(&data);
    assert!(names(&driver).await.is_empty());

    driver.create(&guest(&data, "sleep 60")).await.unwrap();
    assert_eq!(names(&driver).await, [NAME]);

    driver.destroy(NAME).await.unwrap();
    assert!(names(&driver).await.is_empty());
    assert_eq!(next(&mut events).await, NAME);
    assert!(!guests_path(&data).join(NAME).exists());
}

#[tokio::test]
async fn a_guest_that_ends_by_itself_is_news_and_leaves_only_its_log() {
    let data = TempDir::new().unwrap();
    let (driver, mut events) = driver(&data);
    let script = "echo said; echo shouted >&2; exit 3";
    driver.create(&guest(&data, script)).await.unwrap();

    assert_eq!(next(&mut events).await, NAME);
    assert!(names(&driver).await.is_empty());
    until("the folder is removed", || {
        files(&guests_path(&data)) == [".logs".to_owned()].into()
    })
    .await;
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

/// Leaves three processes behind: one in the group, one in the group that has lost the mark, one
/// that has left the group.
const LITTER: &str = r#"sleep 60 & echo $! > "$DATA/plain"
    env -i sleep 60 & echo $! > "$DATA/unmarked"
    setsid sleep 60 & echo $! > "$DATA/elsewhere";"#;
const LITTER_FILES: [&str; 3] = ["plain", "unmarked", "elsewhere"];

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
}

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
    until("the folder is removed", || {
        files(&guests_path(&data)) == [".logs".to_owned()].into()
    })
    .await;
}

#[tokio::test]
async fn a_pid_that_is_another_process_by_now_is_no_guest_and_is_left_alone() {
    let data = TempDir::new().unwrap();
    let (driver, mut events) = driver(&data);
    let script = r#"echo $$ > "$DATA/other"; touch "$DATA/ready"; exec sleep 60"#;
    driver.create(&guest(&data, script)).await.unwrap();
    until("the guest is ready", || data.path().join("ready").exists()).await;
    // One is this very test, the other a guest, but of another name.
    let other = pid_in(&data, "other");
    for (name, pid) in [("ci-runner-test.2", getpid()), ("ci-runner-test.3", other)] {
        fs::create_dir(guests_path(&data).join(name)).unwrap();
        let pid_path = guests_path(&data).join(name).join("pid");
        fs::write(pid_path, pid.as_raw_pid().to_string()).unwrap();
    }

    assert_eq!(names(&driver).await, [NAME]);
    let ended = [next(&mut events).await, next(&mut events).await];
    assert_eq!(
        BTreeSet::from(ended),
        BTreeSet::from(["ci-runner-test.2", "ci-runner-test.3"].map(str::to_owned))
    );
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
    fs::write(guests_path(&data).join("ci-runner-test.4/pid"), "not a pid").unwrap();
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
    let script = format!("head -c {size} /dev/zero");
    driver.create(&guest(&data, &script)).await.unwrap();

    // It has ended, so all that it said but a pipe's worth has been read.
    assert_eq!(next(&mut events).await, NAME);
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

#[tokio::test]
async fn a_guest_that_will_not_go_stays_listed_and_is_tried_again() {
    let data = TempDir::new().unwrap();
    let no_patience = Timeouts {
        terminate_timeout: Duration::ZERO,
        kill_timeout: Duration::ZERO,
        list_timeout: Duration::ZERO,
    };
    let (impatient, mut events) = driver_with(&data, no_patience);
    impatient
        .create(&guest(&data, "trap '' TERM; sleep 60"))
        .await
        .unwrap();

    let failure = impatient.destroy(NAME).await.unwrap_err();
    assert!(matches!(failure, HypervisorError::StillRunning { .. }));
    assert_eq!(
        failure.to_string(),
        format!("end guest {NAME}: there are still processes of it")
    );
    assert!(failure.is_transient());
    assert_eq!(next(&mut events).await, NAME);
    assert_eq!(names(&impatient).await, [NAME]);
    assert_eq!(next(&mut events).await, NAME);

    let (patient, _events) = driver(&data);
    assert!(names(&patient).await.is_empty());
}

#[tokio::test]
async fn a_guest_that_cannot_start_leaves_nothing_behind() {
    let data = TempDir::new().unwrap();
    let (driver, _events) = driver(&data);
    let mut spec = guest(&data, "");
    spec.command = vec!["no-such-program".to_owned()];
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
async fn a_guest_that_is_being_made_cannot_be_destroyed() {
    let data = TempDir::new().unwrap();
    let (driver, _events) = driver(&data);
    let claim = driver.claims.claim(NAME).unwrap();
    let refusal = driver.destroy(NAME).await.unwrap_err();
    assert!(matches!(refusal, HypervisorError::Occupied { .. }));
    assert!(refusal.is_transient());
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
