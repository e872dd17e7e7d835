//! The record by which the leader process of a guest is identified after a restart of the monitor.
//!
//! A pid alone is not enough, because pids are reused, and a process can change its environment and
//! its name. So the record has the pid, the clock tick in which the process was started, and the id of
//! the boot that both belong to. These never change, and no other process has the same three.

use std::{fs, io};

use rustix::process::Pid;

use super::process::{self, Process};

/// Maximum size in bytes. The first line has 36 characters, the second some 50 numbers.
pub const RECORD_SIZE_MAX: u64 = 2048;

/// Script of the leader's shell: writes the boot id and the leader's `/proc/<pid>/stat`, one per
/// line, to the file `$0`, then replaces itself by the command in the same process.
///
/// The record is written atomically. If that fails because the folder was moved aside, the command is
/// not started.
pub const RECORD_AND_EXEC: &str = r#"
    read -r boot < /proc/sys/kernel/random/boot_id &&
    read -r stat < "/proc/$$/stat" &&
    printf '%s\n' "$boot" "$stat" > "$0.new" &&
    mv -f "$0.new" "$0" &&
    exec "$@""#;

/// Identifies a process across restarts of the monitor and of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderRecord {
    boot_id: String,
    pid: Pid,
    started_ticks: u64,
}

impl LeaderRecord {
    /// Parses a record. None if it is malformed.
    pub fn parse(record: &str) -> Option<Self> {
        let (boot_id, stat) = record.trim_end().split_once('\n')?;
        let (pid, _) = stat.split_once(' ')?;
        Some(Self {
            boot_id: boot_id.to_owned(),
            pid: process::parse_pid(pid)?,
            started_ticks: process::parse_stat(stat)?.started_ticks,
        })
    }

    /// The pid, which may have been reused if the process has ended.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Opens the process. None if it has ended. Must be called within a runtime.
    pub fn find(&self) -> io::Result<Option<Process>> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        if boot_id.trim_end() != self.boot_id {
            return Ok(None);
        }
        // Opened before it is compared, so that the opened process is the one that was compared.
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
        let record = LeaderRecord::parse(&record_of(getpid())).unwrap();
        assert_eq!(record.pid(), getpid());
        assert_eq!(record.find().unwrap().unwrap().pid(), getpid());
    }

    #[tokio::test]
    async fn a_process_that_reused_the_pid_is_not_found() {
        let record = LeaderRecord::parse(&record_of(getpid())).unwrap();
        let others = [
            LeaderRecord {
                boot_id: "5eed0000-0000-4000-8000-000000000000".to_owned(),
                ..record.clone()
            },
            LeaderRecord {
                started_ticks: record.started_ticks - 1,
                ..record
            },
        ];
        for other in others {
            assert!(other.find().unwrap().is_none(), "{other:?}");
        }
    }

    #[tokio::test]
    async fn a_zombie_is_not_found() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = process::parse_pid(&child.id().to_string()).unwrap();
        let process = Process::open(pid).unwrap().unwrap();
        process.ended().await.unwrap();
        let record = LeaderRecord::parse(&record_of(pid)).unwrap();
        assert!(record.find().unwrap().is_none());
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn a_malformed_record_is_rejected() {
        let record = record_of(getpid());
        let (boot_id, stat) = record.split_once('\n').unwrap();
        let as_init = format!("{boot_id}\n1{}", &stat[stat.find(' ').unwrap()..]);
        for text in ["", "\n", "4242", boot_id, &record[..60], stat, &as_init] {
            assert_eq!(LeaderRecord::parse(text), None, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_command_is_not_started_if_its_record_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let run = async |path: &Path| {
            let output = Command::new("/bin/sh")
                .args(["-c", RECORD_AND_EXEC])
                .arg(path)
                .args(["sh", "-c", "echo $$"])
                .output()
                .await
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(run(&folder.path().join("moved-aside/leader")).await, "");

        let path = folder.path().join("leader");
        let output = run(&path).await;
        let record = LeaderRecord::parse(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(output.trim(), record.pid().as_raw_pid().to_string());
    }
}
