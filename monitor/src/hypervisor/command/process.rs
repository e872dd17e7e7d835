//! A process as the kernel reports it: its state, group, environment and end.
//!
//! Responsible for all reads of `/proc` and all signals, and that no process is mistaken for another
//! that reused its pid. Not responsible for which process belongs to which guest.

use std::{
    fs,
    io::{self, Read},
    os::fd::OwnedFd,
    thread,
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use tokio::io::{Interest, unix::AsyncFd};

/// Maximum number of bytes that are read of an environment. The kernel allows a quarter of the
/// stack limit, which is 2 MiB by default.
const ENVIRONMENT_SIZE_MAX: u64 = 4 << 20;

/// How often the environment of a process is read while it has none. That is so during `exec`, which
/// takes a millisecond at most unless the disk is slow.
const ENVIRONMENT_READ_COUNT_MAX: usize = 1_000;

/// The content of `/proc/<pid>/stat`. Source: proc_pid_stat(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// False for a zombie, whose parent has not read its exit status yet.
    pub is_alive: bool,
    /// The process group; zero for kernel threads.
    pub group: i32,
    /// Start time in clock ticks since boot. Together with the pid it identifies a process.
    pub started_ticks: u64,
    /// Whether the process has an environment, which may be empty. It has none while it ends, and
    /// during `exec`.
    has_environment: bool,
}

/// The state of a process. None if no process has that pid.
pub fn stat(pid: Pid) -> io::Result<Option<Stat>> {
    let Some(text) = read(pid, "stat", 4096)? else {
        return Ok(None);
    };
    parse_stat(&String::from_utf8_lossy(&text))
        .map(Some)
        .ok_or_else(|| io::Error::other("/proc/<pid>/stat has an unknown format"))
}

/// Parses the content of a `stat` file. None if it is malformed.
pub fn parse_stat(text: &str) -> Option<Stat> {
    // The second field is the program's name in brackets, and may itself hold brackets and spaces.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    let started_ticks = fields.nth(16)?.parse().ok()?;
    // The address where the environment ends.
    let has_environment = fields.nth(28)? != "0";
    Some(Stat {
        is_alive: !matches!(state, "Z" | "X" | "x"),
        group,
        started_ticks,
        has_environment,
    })
}

/// Whether all `entries` (`NAME=value`) are in the environment that the process was started with.
/// False if the process is gone, or belongs to another user.
pub fn environment_has(pid: Pid, entries: &[Vec<u8>]) -> io::Result<bool> {
    for _ in 0..ENVIRONMENT_READ_COUNT_MAX {
        let Some(environment) = read(pid, "environ", ENVIRONMENT_SIZE_MAX)? else {
            return Ok(false);
        };
        if !environment.is_empty() {
            let has = |entry: &Vec<u8>| environment.split(|byte| *byte == 0).any(|e| e == entry);
            return Ok(entries.iter().all(has));
        }
        let is_in_exec = |stat: Stat| stat.is_alive && stat.group != 0 && !stat.has_environment;
        if !stat(pid)?.is_some_and(is_in_exec) {
            return Ok(false);
        }
        thread::yield_now();
    }
    Ok(false)
}

/// A file of a process. None if the process is gone, or its files are not readable for this user.
fn read(pid: Pid, file: &str, size_max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let outcome = fs::File::open(format!("/proc/{}/{file}", pid.as_raw_pid()))
        .and_then(|file| file.take(size_max).read_to_end(&mut content));
    match outcome {
        Ok(_) => Ok(Some(content)),
        Err(error) if is_gone(&error) || error.kind() == io::ErrorKind::PermissionDenied => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The pids of all processes.
pub fn all() -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(parse_pid));
    }
    Ok(pids)
}

/// Parses a pid. Rejects that of init: a signal to group 1 would go to every process.
pub fn parse_pid(text: &str) -> Option<Pid> {
    let raw = text.parse().ok().filter(|raw: &i32| *raw > 1)?;
    Pid::from_raw(raw)
}

/// An open process: its end is noticed at once, and a signal for it never reaches another process.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    started_ticks: u64,
    /// Readable once the process has ended. Source: pidfd_open(2).
    handle: AsyncFd<OwnedFd>,
}

impl Process {
    /// Opens a process, which may be a zombie. None if no process has that pid. Must be called within
    /// a runtime.
    pub fn open(pid: Pid) -> io::Result<Option<Self>> {
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            opened => opened?,
        };
        let Some(stat) = stat(pid)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            pid,
            started_ticks: stat.started_ticks,
            handle: register(handle)?,
        }))
    }

    /// The pid, which may have been reused.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Start time, as in [`Stat`].
    pub fn started_ticks(&self) -> u64 {
        self.started_ticks
    }

    /// Waits for its end. A zombie counts as ended.
    pub async fn ended(&self) -> io::Result<()> {
        self.handle.readable().await.map(drop)
    }

    /// Sends a signal. A process that has ended is not an error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        unless_gone(pidfd_send_signal(self.handle.get_ref(), signal))
    }

    /// Sends a signal to the group that it leads, while it exists, if only as a zombie.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        if stat(self.pid)?.is_some_and(|stat| stat.started_ticks == self.started_ticks) {
            signal_group(self.pid, signal)?;
        }
        Ok(())
    }
}

#[expect(
    deprecated,
    reason = "its replacement is unsafe, which is forbidden here; the condition of that one, that \
              the file stays open and the same, holds for an `OwnedFd` in an `AsyncFd`"
)]
fn register(handle: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(handle, Interest::READABLE)
}

/// Sends a signal to all processes of a group. A group that does not exist is not an error.
pub fn signal_group(group: Pid, signal: Signal) -> io::Result<()> {
    unless_gone(kill_process_group(group, signal))
}

fn unless_gone(outcome: rustix::io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Whether an error from `/proc` means that the process is gone.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

#[cfg(test)]
mod tests {
    use rustix::process::getpid;

    use super::*;

    #[test]
    fn a_program_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let rest = format!(
            "S 1 4242 4242 0 -1{} 987654{} 77 0",
            " 7".repeat(13),
            " 8".repeat(28)
        );
        let expected = Stat {
            is_alive: true,
            group: 4242,
            started_ticks: 987_654,
            has_environment: true,
        };
        for name in ["sh", "a) Z 1 (b", "two words", ""] {
            let text = format!("4243 ({name}) {rest}");
            assert_eq!(parse_stat(&text), Some(expected), "{name:?}");
        }
        let zombie = format!("4243 (sh) {}", rest.replacen('S', "Z", 1));
        assert!(!parse_stat(&zombie).unwrap().is_alive);
        let between = format!("4243 (sh) {}", rest.replacen("77", "0", 1));
        assert!(!parse_stat(&between).unwrap().has_environment);
        for torn in ["", "4243 (sh", "4243 (sh) S 1", "4243 (sh) S 1 x 1"] {
            assert_eq!(parse_stat(torn), None, "{torn:?}");
        }
    }

    #[test]
    fn this_process_is_alive_and_listed() {
        let stat = stat(getpid()).unwrap().unwrap();
        assert!(stat.is_alive);
        assert!(all().unwrap().contains(&getpid()));
    }

    #[test]
    fn a_pid_is_a_number_above_that_of_init() {
        assert_eq!(parse_pid("4242").map(|pid| pid.as_raw_pid()), Some(4242));
        for text in ["", "0", "1", "-1", "-4242", "self", "99999999999", "42 "] {
            assert_eq!(parse_pid(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_environment_has_entries_only_if_it_has_all_of_them() {
        let path = std::env::vars_os()
            .find(|(name, _)| name == "PATH")
            .map(|(_, value)| [b"PATH=", value.as_encoded_bytes()].concat())
            .unwrap();
        let has = |entries: &[Vec<u8>]| environment_has(getpid(), entries).unwrap();
        assert!(has(std::slice::from_ref(&path)));
        assert!(!has(&[path.clone(), b"CI_RUNNERS_NO_SUCH=1".to_vec()]));
        assert!(!has(&[path[..path.len() - 1].to_vec()]), "a prefix only");
    }
}
