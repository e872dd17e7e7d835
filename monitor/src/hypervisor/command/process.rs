//! One process, as the kernel shows it: alive or not, its group, its environment, its end.
//!
//! Owns every look into `/proc` and every signal. Never decides which process is whose. Nothing in
//! here mistakes one process for another that got its number later.

use std::{
    fs,
    io::{self, Read},
    os::fd::OwnedFd,
    thread,
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use tokio::io::{Interest, unix::AsyncFd};

/// Largest environment that is looked at, in bytes. The kernel allows a quarter of the stack's
/// limit, which is 2 MiB as systems come.
const ENVIRONMENT_SIZE_MAX: u64 = 4 << 20;

/// How often a process is asked that is between two environments. It is so while it becomes
/// another program (exec), which takes a millisecond at most unless the disk is slow.
const ENVIRONMENT_LOOK_COUNT_MAX: usize = 1_000;

/// What `/proc/<pid>/stat` says. Source: proc_pid_stat(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// False for a zombie, which only waits for its parent to ask how it ended.
    pub is_alive: bool,
    /// The process group, zero for the kernel's own threads.
    pub group: i32,
    /// When it was started, in clock ticks since boot. With the pid, this is one process for sure.
    pub started_ticks: u64,
    /// Whether it has an environment, if only an empty one. Only one that is ending, or is just
    /// becoming another program, has none.
    has_environment: bool,
}

/// The state of a process. None if there is none of that number.
pub fn stat(pid: Pid) -> io::Result<Option<Stat>> {
    let Some(text) = read(pid, "stat", 4096)? else {
        return Ok(None);
    };
    parse_stat(&String::from_utf8_lossy(&text))
        .map(Some)
        .ok_or_else(|| io::Error::other("/proc/<pid>/stat has an unknown form"))
}

/// Reads the text of a `stat`. None if it is none.
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

/// Whether every one of `entries` (`NAME=value`) is in the environment that the process was given.
/// False if it is gone, or belongs to another user.
pub fn environment_has(pid: Pid, entries: &[Vec<u8>]) -> io::Result<bool> {
    for _ in 0..ENVIRONMENT_LOOK_COUNT_MAX {
        let Some(environment) = read(pid, "environ", ENVIRONMENT_SIZE_MAX)? else {
            return Ok(false);
        };
        if !environment.is_empty() {
            let has = |entry: &Vec<u8>| environment.split(|byte| *byte == 0).any(|e| e == entry);
            return Ok(entries.iter().all(has));
        }
        let is_between = |stat: Stat| stat.is_alive && stat.group != 0 && !stat.has_environment;
        if !stat(pid)?.is_some_and(is_between) {
            return Ok(false);
        }
        thread::yield_now();
    }
    Ok(false)
}

/// A file of a process. None if the process is gone or its files are not for us.
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

/// The numbers of all processes that there are.
pub fn all() -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(parse_pid));
    }
    Ok(pids)
}

/// A pid as text. Never that of init: as a group, it would stand for every process there is.
pub fn parse_pid(text: &str) -> Option<Pid> {
    let raw = text.parse().ok().filter(|raw: &i32| *raw > 1)?;
    Pid::from_raw(raw)
}

/// A process that is held on to: its end is noticed at once, and no signal for it ever reaches
/// another process.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    started_ticks: u64,
    /// Readable once the process has ended. Source: pidfd_open(2).
    handle: AsyncFd<OwnedFd>,
}

impl Process {
    /// Takes hold of the process of that number, if only a zombie. None if there is none. Must be
    /// called within a runtime.
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

    /// Its number, which may be another's by now.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// When it was started, as in [`Stat`].
    pub fn started_ticks(&self) -> u64 {
        self.started_ticks
    }

    /// Waits for its end. A child that has not been waited for has ended all the same.
    pub async fn ended(&self) -> io::Result<()> {
        self.handle.readable().await.map(drop)
    }

    /// Sends it a signal. That it has ended is no error.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        unless_gone(pidfd_send_signal(self.handle.get_ref(), signal))
    }

    /// Sends a signal to the group that it leads, as long as it is there, if only as a zombie.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        if stat(self.pid)?.is_some_and(|stat| stat.started_ticks == self.started_ticks) {
            signal_group(self.pid, signal)?;
        }
        Ok(())
    }
}

#[expect(
    deprecated,
    reason = "what replaces it is unsafe, which is forbidden here; what that one asks of its \
              caller, that the file stays open and the same, an `OwnedFd` in an `AsyncFd` fulfils"
)]
fn register(handle: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(handle, Interest::READABLE)
}

/// Sends a signal to all of a group. That there is no such group is no error.
pub fn signal_group(group: Pid, signal: Signal) -> io::Result<()> {
    unless_gone(kill_process_group(group, signal))
}

fn unless_gone(outcome: rustix::io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Whether an error in `/proc` means that the process is no longer there.
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
    fn only_numbers_that_can_be_a_guests_are_pids() {
        assert_eq!(parse_pid("4242").map(|pid| pid.as_raw_pid()), Some(4242));
        for text in ["", "0", "1", "-1", "-4242", "self", "99999999999", "42 "] {
            assert_eq!(parse_pid(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_environment_has_all_or_it_has_not() {
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
