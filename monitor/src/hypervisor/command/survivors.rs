//! What is left of a guest whose leader has ended: found, killed, and waited for.
//!
//! Owns the question which processes are a guest's. Two answers count: the process bears the
//! guest's mark in its environment, or it is in the leader's group, as long as that number is sure
//! to be the leader's. Never touches the group that the monitor itself is in.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
    time::Duration,
};

use rustix::process::{Pid, Signal, getpgrp, getpid};

use super::process::{self, Process};
use crate::hypervisor::{blocking, error::HypervisorError};

/// The variable with the guest's name: half of its mark.
pub const NAME_VARIABLE: &str = "CI_RUNNERS_GUEST_NAME";
/// The variable with the guest's folder: the other half, as two monitors on one host, each with
/// its own data directory, may use the same names.
pub const FOLDER_VARIABLE: &str = "CI_RUNNERS_GUEST_FOLDER";

/// What every process of a guest has in its environment, unless it took pains to lose it.
#[derive(Clone, Debug)]
pub struct Mark {
    variables: [(&'static str, OsString); 2],
}

impl Mark {
    /// The mark of a guest by its name and folder.
    pub fn new(name: &str, folder: &Path) -> Self {
        Self {
            variables: [
                (NAME_VARIABLE, name.into()),
                (FOLDER_VARIABLE, folder.into()),
            ],
        }
    }

    /// The variables that make the mark.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.variables
            .iter()
            .map(|(name, value)| (*name, value.as_os_str()))
    }

    /// Whether a process bears the mark.
    pub fn is_on(&self, pid: Pid) -> io::Result<bool> {
        let entries: Vec<_> = self
            .variables()
            .map(|(name, value)| [name.as_bytes(), b"=", value.as_encoded_bytes()].concat())
            .collect();
        process::environment_has(pid, &entries)
    }
}

/// The number of a guest's process group, and what it is worth.
#[derive(Clone, Copy, Debug)]
pub enum Group {
    /// The leader has only just ended: whoever is in it is the guest's.
    Certain(Pid),
    /// It was the guest's once. Whoever is in it is the guest's if one of them bears the mark: a
    /// number is not given out again while there is anybody in the group.
    Recorded(Pid),
}

/// Kills all that is left of a guest, and returns when it is gone.
///
/// # Errors
/// When something is still there after `timeout`, or `/proc` cannot be read: then nothing is said
/// about what is left.
pub async fn end_all(
    name: &str,
    mark: &Mark,
    group: Option<Group>,
    timeout: Duration,
) -> Result<(), HypervisorError> {
    let ending = async {
        loop {
            let survivors = {
                let mark = mark.clone();
                blocking(move || find_and_kill(&mark, group)).await?
            };
            if survivors.is_empty() {
                return Ok(());
            }
            for survivor in survivors {
                survivor.ended().await?;
            }
        }
    };
    match tokio::time::timeout(timeout, ending).await {
        Ok(outcome) => outcome
            .map_err(|source| HypervisorError::io("end the processes of guest", name, source)),
        Err(_) => Err(HypervisorError::StillRunning {
            name: name.to_owned(),
        }),
    }
}

/// One round. Those that were alive a moment ago, with a SIGKILL on its way to each.
fn find_and_kill(mark: &Mark, group: Option<Group>) -> io::Result<Vec<Process>> {
    let living = find_living(mark)?;
    let group = group.and_then(|group| trusted(group, &living));
    if let Some(group) = group {
        // All at once, or one that forks fast enough could stay ahead for ever.
        process::signal_group(group, Signal::KILL)?;
    }
    let mut survivors = Vec::new();
    for seen in living {
        if !seen.is_marked && !group.is_some_and(|group| seen.is_in(group)) {
            continue;
        }
        // Between the look and this line its number may have gone to another.
        if let Some(survivor) = Process::open(seen.pid)?
            && survivor.started_ticks() == seen.started_ticks
        {
            survivor.signal(Signal::KILL)?;
            survivors.push(survivor);
        }
    }
    Ok(survivors)
}

/// A living process of this host.
struct Seen {
    pid: Pid,
    group: i32,
    started_ticks: u64,
    is_marked: bool,
}

impl Seen {
    fn is_in(&self, group: Pid) -> bool {
        self.group == group.as_raw_pid()
    }
}

/// All living processes of this host but this one.
fn find_living(mark: &Mark) -> io::Result<Vec<Seen>> {
    let mut living = Vec::new();
    for pid in process::all()?.into_iter().filter(|pid| *pid != getpid()) {
        if let Some(stat) = process::stat(pid)?.filter(|stat| stat.is_alive) {
            living.push(Seen {
                pid,
                group: stat.group,
                started_ticks: stat.started_ticks,
                is_marked: mark.is_on(pid)?,
            });
        }
    }
    Ok(living)
}

/// The group, if all who are in it are the guest's. Its leader has ended, so if there is a living
/// process of that number, it and its group are another's.
fn trusted(group: Group, living: &[Seen]) -> Option<Pid> {
    let (group, is_proven) = match group {
        Group::Certain(group) => (group, true),
        Group::Recorded(group) => {
            let is_proof = |seen: &Seen| seen.is_marked && seen.is_in(group);
            (group, living.iter().any(is_proof))
        }
    };
    let is_given_out_again = living.iter().any(|seen| seen.pid == group);
    (is_proven && !is_given_out_again && group != getpgrp()).then_some(group)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::runtime;

    use super::*;

    fn seen(pid: i32, group: i32, is_marked: bool) -> Seen {
        Seen {
            pid: Pid::from_raw(pid).unwrap(),
            group,
            started_ticks: 0,
            is_marked,
        }
    }

    #[test]
    fn a_recorded_group_is_trusted_only_on_the_word_of_one_of_its_own() {
        let group = Pid::from_raw(4242).unwrap();
        let unmarked = seen(4243, 4242, false);
        let marked = seen(4244, 4242, true);
        let marked_elsewhere = seen(4245, 4245, true);

        let doubtful = [unmarked, marked_elsewhere];
        assert_eq!(trusted(Group::Recorded(group), &doubtful), None);
        assert_eq!(trusted(Group::Certain(group), &doubtful), Some(group));
        assert_eq!(trusted(Group::Recorded(group), &[marked]), Some(group));
    }

    #[test]
    fn a_group_whose_number_is_a_living_process_is_another() {
        let group = Pid::from_raw(4242).unwrap();
        let living = [seen(4242, 4242, false), seen(4243, 4242, true)];
        assert_eq!(trusted(Group::Certain(group), &living), None);
        assert_eq!(trusted(Group::Recorded(group), &living), None);
    }

    #[test]
    fn the_monitors_own_group_is_never_touched() {
        let own = getpgrp();
        let member = seen(4243, own.as_raw_pid(), true);
        assert_eq!(trusted(Group::Certain(own), &[]), None);
        assert_eq!(trusted(Group::Recorded(own), &[member]), None);
    }

    #[test]
    fn an_end_that_takes_too_long_is_said_to_be_none() {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            // As long as the only thread for it is held, nothing can even be looked for.
            let (release, held) = mpsc::channel::<()>();
            let holding = tokio::task::spawn_blocking(move || held.recv());
            let mark = Mark::new("ci-runner-test.1", Path::new("/nowhere"));
            let failure = end_all("ci-runner-test.1", &mark, None, Duration::ZERO)
                .await
                .unwrap_err();
            assert!(matches!(failure, HypervisorError::StillRunning { .. }));
            drop(release);
            assert!(holding.await.unwrap().is_err());
        });
    }
}
