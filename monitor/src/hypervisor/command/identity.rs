//! What a guest's leader writes down about itself, and how it is known again by that.
//!
//! Owns the form of the record. A pid alone proves nothing, because pids are used again, and a
//! process can change its environment and its name: so the record is the pid, the clock tick in
//! which the process was started, and the boot that both belong to. These never change, and no
//! other process has the same.

use std::{fs, io};

use rustix::process::Pid;

use super::process::{self, Process};

/// Largest record, in bytes. The first line is 36 characters, the second some 50 numbers.
pub const RECORD_SIZE_MAX: u64 = 2048;

/// Run by the leader's shell: writes the boot's id and the leader's `/proc/<pid>/stat`, a line
/// each, to the file that is `$0`; then becomes the command, which is the same process.
///
/// The record appears whole or not at all. If it cannot be written, because the folder has been
/// moved aside, the command is never started.
pub const RECORD_AND_BECOME: &str = r#"
    read -r boot < /proc/sys/kernel/random/boot_id &&
    read -r stat < "/proc/$$/stat" &&
    printf '%s\n' "$boot" "$stat" > "$0.new" &&
    mv -f "$0.new" "$0" &&
    exec "$@""#;

/// A process, for as long as the host keeps no other books than `/proc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    boot_id: String,
    pid: Pid,
    started_ticks: u64,
}

impl Identity {
    /// Reads a record. None if it is none.
    pub fn parse(record: &str) -> Option<Self> {
        let (boot_id, stat) = record.trim_end().split_once('\n')?;
        let (pid, _) = stat.split_once(' ')?;
        Some(Self {
            boot_id: boot_id.to_owned(),
            pid: process::parse_pid(pid)?,
            started_ticks: process::parse_stat(stat)?.started_ticks,
        })
    }

    /// Its number, which is another's by now if the process has ended.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Takes hold of the process. None if it has ended. Must be called within a runtime.
    pub fn find(&self) -> io::Result<Option<Process>> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        if boot_id.trim_end() != self.boot_id {
            return Ok(None);
        }
        // Held first and looked at then, so that it is the one held that was looked at.
        let process = Process::open(self.pid)?;
        let is_it = process::stat(self.pid)?
            .is_some_and(|stat| stat.is_alive && stat.started_ticks == self.started_ticks);
        Ok(process.filter(|_| is_it))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rustix::process::getpid;
    use tokio::process::Command;

    use super::*;

    fn record_of(pid: Pid) -> String {
        let read = |path: &str| fs::read_to_string(path).unwrap();
        let stat_path = format!("/proc/{}/stat", pid.as_raw_pid());
        read("/proc/sys/kernel/random/boot_id") + &read(&stat_path)
    }

    #[tokio::test]
    async fn a_process_is_found_by_its_record() {
        let identity = Identity::parse(&record_of(getpid())).unwrap();
        assert_eq!(identity.pid(), getpid());
        assert_eq!(identity.find().unwrap().unwrap().pid(), getpid());
    }

    #[tokio::test]
    async fn a_process_of_the_same_number_is_another() {
        let identity = Identity::parse(&record_of(getpid())).unwrap();
        let others = [
            Identity {
                boot_id: "5eed0000-0000-4000-8000-000000000000".to_owned(),
                ..identity.clone()
            },
            Identity {
                started_ticks: identity.started_ticks - 1,
                ..identity
            },
        ];
        for other in others {
            assert!(other.find().unwrap().is_none(), "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_zombie_is_nobody() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = process::parse_pid(&child.id().to_string()).unwrap();
        let process = Process::open(pid).unwrap().unwrap();
        process.ended().await.unwrap();
        let identity = Identity::parse(&record_of(pid)).unwrap();
        assert!(identity.find().unwrap().is_none());
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn what_is_no_record_is_nobody() {
        let record = record_of(getpid());
        let (boot_id, stat) = record.split_once('\n').unwrap();
        let as_init = format!("{boot_id}\n1{}", &stat[stat.find(' ').unwrap()..]);
        for text in ["", "\n", "4242", boot_id, &record[..60], stat, &as_init] {
            assert_eq!(Identity::parse(text), None, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_guest_that_finds_no_place_for_its_record_does_not_start() {
        let folder = tempfile::tempdir().unwrap();
        let run = async |path: &Path| {
            let output = Command::new("/bin/sh")
                .args(["-c", RECORD_AND_BECOME])
                .arg(path)
                .args(["sh", "-c", "echo $$"])
                .output()
                .await
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(run(&folder.path().join("moved-aside/leader")).await, "");

        let path = folder.path().join("leader");
        let said = run(&path).await;
        let identity = Identity::parse(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(said.trim(), identity.pid().as_raw_pid().to_string());
    }
}
