//! The child processes of this process, which are the demo's runners: waits for their exit, kills the
//! rest.
//!
//! Only children of this process are ever signalled, so that no runner of a real monitor on the same
//! machine is. Reads `/proc`, so Linux only.

use std::{fs, time::Duration};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::time::{Instant, sleep};

/// The pause between two reads of `/proc`.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long the system may take to remove a process that was killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// A process, as `/proc/<pid>/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent_pid: i32,
    group_id: i32,
    /// Whether it has exited and its parent has not waited for it yet.
    is_zombie: bool,
}

/// Waits until all children have exited; after `timeout` kills the rest with their process groups.
pub async fn end_all(timeout: Duration) {
    if are_gone_within(timeout).await {
        return;
    }
    for child in living() {
        log::warn!(
            "runner process {} did not exit by itself; killing it",
            child.pid
        );
        kill(child);
    }
    are_gone_within(KILL_TIMEOUT).await;
}

async fn are_gone_within(timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    while !living().is_empty() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(POLL_INTERVAL).await;
    }
    true
}

fn kill(child: Process) {
    // Fails if it has exited meanwhile, which is fine. A runner leads a group of its own; the group of
    // any other child includes this process.
    let _ = match Pid::from_raw(child.pid) {
        Some(pid) if child.group_id == child.pid => kill_process_group(pid, Signal::KILL),
        Some(pid) => kill_process(pid, Signal::KILL),
        None => Ok(()),
    };
}

/// The children of this process that have not exited.
fn living() -> Vec<Process> {
    let own_pid = i32::try_from(std::process::id()).unwrap_or_default();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
        })
        // A process may exit after it was listed.
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter_map(|stat| parse(&stat))
        .filter(|process| process.parent_pid == own_pid && !process.is_zombie)
        .collect()
}

/// Reads `<pid> (<name>) <state> <parent> <group> …`; see proc_pid_stat(5). The name may contain
/// blanks and brackets.
fn parse(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(' ')?;
    let (_, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    Some(Process {
        pid: pid.parse().ok()?,
        parent_pid: fields.next()?.parse().ok()?,
        group_id: fields.next()?.parse().ok()?,
        is_zombie: matches!(state, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_contain_blanks_and_brackets() {
        let process = |is_zombie| Process {
            pid: 7,
            parent_pid: 5,
            group_id: 6,
            is_zombie,
        };
        assert_eq!(parse("7 (sh) S 5 6 6 0 -1 4194560"), Some(process(false)));
        assert_eq!(parse("7 (a) b) (c) Z 5 6 6 0"), Some(process(true)));
        for text in ["", "7", "7 (sh", "7 (sh) S", "x (sh) S 5 6", "7 (sh) S a 6"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[actix_web::test]
    async fn a_child_that_does_not_exit_is_killed_with_its_group() {
        use std::{io::Read, os::unix::process::CommandExt, process};
        let mut child = process::Command::new("sh")
            .args(["-c", "sleep 1000 & wait"])
            .stdout(process::Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let is_living = || {
            let mut living = living().into_iter();
            living.any(|process| u32::try_from(process.pid) == Ok(child.id()))
        };
        assert!(is_living());
        end_all(Duration::ZERO).await;
        assert!(!is_living());
        // Reaches the end only when the last process of the group has exited.
        let mut output = child.stdout.take().unwrap();
        output.read_to_end(&mut Vec::new()).unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
