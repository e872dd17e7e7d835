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

use super::{
    blocking,
    process::{self, Process, Stat},
};
use crate::hypervisor::error::HypervisorError;

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
    /// The leader has only just ended, and no other process has its number: all of it is the
    /// guest's.
    Certain(Pid),
    /// It was once the guest's. All of it is, if one of it bears the mark: a number is not given
    /// out again while there is anybody in the group.
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
    for Seen { pid, stat, .. } in living
        .iter()
        .filter(|seen| seen.is_marked || group.is_some_and(|group| seen.is_in(group)))
    {
        // Between the look and this line its number may have gone to another.
        if let Some(survivor) = Process::open(*pid)?
            && survivor.started_ticks() == stat.started_ticks
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
    stat: Stat,
    is_marked: bool,
}

impl Seen {
    fn is_in(&self, group: Pid) -> bool {
        self.stat.group == group.as_raw_pid()
    }
}

/// All living processes of this host but this one.
fn find_living(mark: &Mark) -> io::Result<Vec<Seen>> {
    let mut living = Vec::new();
    for pid in process::all()?.into_iter().filter(|pid| *pid != getpid()) {
        if let Some(stat) = process::stat(pid)?.filter(|stat| stat.is_alive) {
            let is_marked = mark.is_on(pid)?;
            living.push(Seen {
                pid,
                stat,
                is_marked,
            });
        }
    }
    Ok(living)
}

/// The group, if all who are in it are the guest's.
fn trusted(group: Group, living: &[Seen]) -> Option<Pid> {
    let group = match group {
        Group::Certain(group) => group,
        Group::Recorded(group) => {
            let is_proof = |seen: &Seen| seen.is_marked && seen.is_in(group);
            living.iter().any(is_proof).then_some(group)?
        }
    };
    (group != getpgrp()).then_some(group)
}
