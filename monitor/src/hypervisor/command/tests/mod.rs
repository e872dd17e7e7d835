//! Tests of the driver with real processes of this machine; the guests are shell scripts.
//!
//! This module has the fixture [`Host`], and functions that wait for a condition.

mod failures;
mod lifecycle;
mod restart;

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

use super::{process, provision::LOG_SIZE_MAX, *};
use crate::hypervisor::{
    error::HypervisorError,
    guest::{EndedGuest, Events, GUEST_COUNT_MAX, GuestKind, GuestSpec},
    namespace::Namespace,
};

const NAME: &str = "ci-runner-test.1";

/// Long enough for a busy machine; only a test that fails ever waits that long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A data directory, the driver over it, and the events of that driver.
struct Host {
    data: TempDir,
    driver: Driver,
    events: Events,
}

impl Host {
    /// Timeouts that no test reaches.
    fn new() -> Self {
        Self::over(TempDir::new().unwrap())
    }

    fn over(data: TempDir) -> Self {
        Self::with_timeouts(
            data,
            Timeouts {
                terminate_timeout: PATIENCE,
                kill_timeout: PATIENCE,
                list_timeout: PATIENCE,
            },
        )
    }

    fn with_timeouts(data: TempDir, timeouts: Timeouts) -> Self {
        let (ended, events) = mpsc::channel(GUEST_COUNT_MAX);
        let namespace = Namespace::new("ci-runner").unwrap();
        let driver = Driver::new(data.path(), namespace, ended, timeouts).unwrap();
        Self {
            data,
            driver,
            events,
        }
    }

    /// A host whose earlier monitor has started `script` as a guest, and has stopped after the script
    /// created `$DATA/ready`.
    fn after_monitor_restart(script: &str) -> Self {
        let run = || {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let host = Self::new();
                host.start_until_ready(script).await;
                host.data
            })
        };
        let data = thread::scope(|scope| scope.spawn(run).join().unwrap());
        Self::over(data)
    }

    /// A guest that is a shell script. Its `$DATA` is a folder where it can leave files for the test.
    fn guest(&self, script: &str) -> GuestSpec {
        let script = format!("DATA='{}'; {script}", self.data.path().display());
        GuestSpec {
            name: NAME.to_owned(),
            runner_id: 1,
            profile_key: "test".parse().unwrap(),
            kind: GuestKind::Process(["sh", "-c", &script].map(str::to_owned).to_vec()),
            monitor_url: "http://monitor.invalid:8000/".to_owned(),
            secret: Secret::new("hunter2"),
            memory_max: crate::hypervisor::GuestMemory::default(),
        }
    }

    async fn start(&self, script: &str) {
        self.driver.create(&self.guest(script)).await.unwrap();
    }

    /// Starts a guest, and waits until its script has created `$DATA/ready`.
    async fn start_until_ready(&self, script: &str) {
        self.start(script).await;
        until("the guest is ready", || self.file("ready").exists()).await;
    }

    /// The names of the listed guests.
    async fn names(&self) -> Vec<String> {
        let guests = self.driver.list().await.unwrap();
        assert!(guests.iter().all(|guest| guest.ipv4_address.is_none()));
        guests.into_iter().map(|guest| guest.name).collect()
    }

    async fn expect_event(&mut self, name: &str) {
        assert_eq!(self.next_event().await.name, name);
    }

    async fn next_event(&mut self) -> EndedGuest {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event in time").expect("the driver exists")
    }

    fn guests_path(&self) -> PathBuf {
        self.data.path().join("guests")
    }

    /// A file that a script has created in `$DATA`.
    fn file(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    /// The pid that a script has written to `$DATA/<file>`.
    fn pid_in(&self, file: &str) -> Pid {
        let text = fs::read_to_string(self.file(file)).unwrap();
        process::parse_pid(text.trim()).unwrap()
    }

    /// Waits until only the logs of guests are left, after which nothing more is written.
    async fn until_only_logs_are_left(&self) {
        self.until_files_are(&[".logs"]).await;
    }

    /// Waits until these are the only entries among the guests' folders.
    async fn until_files_are(&self, expected: &[&str]) {
        let expected = expected.iter().map(ToString::to_string).collect();
        until("the other folders are removed", || {
            file_names(&self.guests_path()) == expected
        })
        .await;
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "timed out waiting until {what}");
        yield_now().await;
    }
}

/// The record of an earlier process with the same pid.
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

/// The names of the entries of a folder.
fn file_names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Leaves three processes behind: one in the group, one in the group without the marker, one outside
/// the group.
const ORPHANS: &str = r#"sleep 60 & echo $! > "$DATA/plain"
    env -i sleep 60 & echo $! > "$DATA/unmarked"
    setsid sleep 60 & echo $! > "$DATA/elsewhere";"#;
const ORPHAN_FILES: [&str; 3] = ["plain", "unmarked", "elsewhere"];

fn assert_orphans_ended(host: &Host) {
    for file in ORPHAN_FILES {
        assert!(!is_alive(host.pid_in(file)), "{file}");
    }
}
