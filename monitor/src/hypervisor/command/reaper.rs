//! Removes what is left of a guest whose group leader has ended: processes, then the folder.
//!
//! Responsible for the decision which processes belong to a guest: those whose environment has the
//! guest's marker, and those in the leader's process group as long as that number certainly means
//! the same group. Never signals the group that the monitor itself is in.

use std::{io, path::Path, sync::Arc, time::Duration};

use rustix::process::{Pid, Signal, getpgrp, getpid};

use super::{
    folder::Folder,
    process::{self, Process},
    process_marker::ProcessMarker,
};
use crate::hypervisor::{blocking::blocking, error::HypervisorError};

/// Number of a guest's process group, and how far it can be trusted.
#[derive(Clone, Copy, Debug)]
pub enum Group {
    /// The leader has just ended and has not been waited for, so the number is still the guest's.
    Certain(Pid),
    /// The number is from the record of an earlier monitor. The group is the guest's if a process in
    /// it has the marker: a number is not reused while its group has members.
    Recorded(Pid),
}

/// Removes what is left of guests. Cheap to clone.
#[derive(Clone)]
pub struct Reaper {
    guests_path: Arc<Path>,
    kill_timeout: Duration,
}

impl Reaper {
    /// `kill_timeout` is the time from SIGKILL to the end of a process.
    pub fn new(guests_path: Arc<Path>, kill_timeout: Duration) -> Self {
        Self {
            guests_path,
            kill_timeout,
        }
    }

    pub fn guests_path(&self) -> &Arc<Path> {
        &self.guests_path
    }

    pub fn folder(&self, name: &str) -> Folder {
        Folder::new(&self.guests_path, name)
    }

    pub fn marker(&self, name: &str) -> ProcessMarker {
        ProcessMarker::new(name, &self.folder(name).path())
    }

    /// Moves the folder aside and ends every process of a guest that has no leader any more.
    ///
    /// # Errors
    /// If the folder cannot be moved, or a process does not end. The processes are ended even if the
    /// disk fails.
    pub async fn reap(&self, name: &str, group: Option<Group>) -> Result<(), HypervisorError> {
        let folder = self.folder(name);
        let retired = blocking(move || folder.retire())
            .await
            .map_err(|source| HypervisorError::io("move the folder of guest", name, source));
        let recorded = retired.as_ref().ok().and_then(Option::as_ref);
        let group = group.or(recorded.map(|leader| Group::Recorded(leader.pid())));
        kill_processes(name, &self.marker(name), group, self.kill_timeout).await?;
        retired.map(drop)
    }

    /// Removes the folder of a guest that was reaped; its log is kept.
    ///
    /// # Errors
    /// If the disk fails. The next list finds the folder and removes it.
    pub async fn remove_folder(&self, name: &str) -> Result<(), HypervisorError> {
        let folder = self.folder(name);
        blocking(move || folder.remove())
            .await
            .map_err(|source| HypervisorError::io("remove the folder of guest", name, source))
    }
}

/// Kills all processes of a guest and returns when they are gone.
///
/// # Errors
/// If a process is still there after `timeout`, or `/proc` cannot be read: then it is unknown what
/// is left.
async fn kill_processes(
    name: &str,
    marker: &ProcessMarker,
    group: Option<Group>,
    timeout: Duration,
) -> Result<(), HypervisorError> {
    let ending = async {
        loop {
            let killed = {
                let marker = marker.clone();
                blocking(move || find_and_kill(&marker, group)).await?
            };
            if killed.is_empty() {
                return Ok(());
            }
            for process in killed {
                process.ended().await?;
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

/// One round: sends SIGKILL to every process of the guest that is alive, and returns those.
fn find_and_kill(marker: &ProcessMarker, group: Option<Group>) -> io::Result<Vec<Process>> {
    let living = find_living(marker)?;
    let group = group.and_then(|group| trusted(group, &living));
    if let Some(group) = group {
        // The whole group at once: a process that forks fast enough could otherwise escape forever.
        process::signal_group(group, Signal::KILL)?;
    }
    let mut killed = Vec::new();
    for seen in living {
        if !seen.is_marked && !group.is_some_and(|group| seen.is_in(group)) {
            continue;
        }
        // The number may have been reused since `find_living`; the start time tells.
        if let Some(process) = Process::open(seen.pid)?
            && process.started_ticks() == seen.started_ticks
        {
            process.signal(Signal::KILL)?;
            killed.push(process);
        }
    }
    Ok(killed)
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

/// All living processes of this host except this one.
fn find_living(marker: &ProcessMarker) -> io::Result<Vec<Seen>> {
    let mut living = Vec::new();
    for pid in process::all()?.into_iter().filter(|pid| *pid != getpid()) {
        if let Some(stat) = process::stat(pid)?.filter(|stat| stat.is_alive) {
            living.push(Seen {
                pid,
                group: stat.group,
                started_ticks: stat.started_ticks,
                is_marked: marker.is_on(pid)?,
            });
        }
    }
    Ok(living)
}

/// The group, if all its members are the guest's. The leader has ended, so a living process with
/// that number means that number and group belong to another program.
fn trusted(group: Group, living: &[Seen]) -> Option<Pid> {
    let (group, is_proven) = match group {
        Group::Certain(group) => (group, true),
        Group::Recorded(group) => {
            let is_proof = |seen: &Seen| seen.is_marked && seen.is_in(group);
            (group, living.iter().any(is_proof))
        }
    };
    let is_reused = living.iter().any(|seen| seen.pid == group);
    (is_proven && !is_reused && group != getpgrp()).then_some(group)
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
    fn a_recorded_group_is_trusted_only_if_a_member_has_the_marker() {
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
    fn a_group_whose_number_is_a_living_process_is_not_trusted() {
        let group = Pid::from_raw(4242).unwrap();
        let living = [seen(4242, 4242, false), seen(4243, 4242, true)];
        assert_eq!(trusted(Group::Certain(group), &living), None);
        assert_eq!(trusted(Group::Recorded(group), &living), None);
    }

    #[test]
    fn the_monitors_own_group_is_never_trusted() {
        let own = getpgrp();
        let member = seen(4243, own.as_raw_pid(), true);
        assert_eq!(trusted(Group::Certain(own), &[]), None);
        assert_eq!(trusted(Group::Recorded(own), &[member]), None);
    }

    #[test]
    fn processes_that_outlive_the_timeout_are_an_error() {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            // While the only blocking thread is busy, the search for processes cannot begin.
            let (release, held) = mpsc::channel::<()>();
            let holding = tokio::task::spawn_blocking(move || held.recv());
            let marker = ProcessMarker::new("ci-runner-test.1", Path::new("/nowhere"));
            let failure = kill_processes("ci-runner-test.1", &marker, None, Duration::ZERO)
                .await
                .unwrap_err();
            assert!(matches!(failure, HypervisorError::StillRunning { .. }));
            drop(release);
            assert!(holding.await.unwrap().is_err());
        });
    }
}
