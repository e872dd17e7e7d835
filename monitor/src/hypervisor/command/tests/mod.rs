//! The driver over real processes of this machine.
//!
//! Owns what the tests have in common: the guests, which are shell scripts, and how to wait for them.

mod life;
mod restart;
mod trouble;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, getpid, kill_process};
use shared::{secret::Secret, units::Memory};
use tempfile::TempDir;
use tokio::{
    runtime,
    sync::mpsc,
    task::yield_now,
    time::{Instant, timeout},
};

use super::{process, start::LOG_SIZE_MAX, *};
use crate::hypervisor::{
    Events, GUEST_COUNT_MAX, GuestSpec, HypervisorError, Means, namespace::Namespace,
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
        means: Means::Process(["sh", "-c", &script].map(str::to_owned).to_vec()),
        monitor_url: "http://monitor.invalid:8000/".to_owned(),
        secret: Secret::new("hunter2"),
        memory_max: Memory::default(),
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

/// Waits until nothing is left of the guests but their logs, so that nobody writes any more.
async fn until_only_logs_are_left(data: &TempDir) {
    until("only logs are left", || {
        files(&guests_path(data)) == [".logs".to_owned()].into()
    })
    .await;
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

/// What a process would have left behind that had this number before the one that has it now.
fn record_of_an_earlier_process(pid: Pid) -> String {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap();
    let mut fields: Vec<_> = stat.split(' ').collect();
    fields[21] = "1";
    boot_id + &fields.join(" ")
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

/// Leaves three processes behind: one in the group, one in the group that has lost the mark, one
/// that has left the group.
const LITTER: &str = r#"sleep 60 & echo $! > "$DATA/plain"
    env -i sleep 60 & echo $! > "$DATA/unmarked"
    setsid sleep 60 & echo $! > "$DATA/elsewhere";"#;
const LITTER_FILES: [&str; 3] = ["plain", "unmarked", "elsewhere"];
