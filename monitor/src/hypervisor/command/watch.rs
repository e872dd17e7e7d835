//! The watch over a guest: one task waits until its group leader ends, then has the rest reaped.
//!
//! Responsible for the order of what happens at the end of a guest, and for the adoption of guests
//! that an earlier monitor started. Not responsible for how processes are found and ended (`reaper`).

use std::{io, sync::Arc, time::Duration};

use tokio::{
    process::Child,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{
    folder::Folder,
    process::{self, Process},
    provision::Started,
    reaper::{Group, Reaper},
};
use crate::hypervisor::{
    blocking::blocking,
    error::{HypervisorError, warn},
    guest::EndedGuest,
    guest_lock::{GuestLock, GuestLocks},
};

/// How long the end of a guest waits until all its output is in its log.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// What the watch over a guest has found. The watch is over when its sender is dropped.
#[derive(Clone, Debug)]
pub enum WatchState {
    /// The guest has processes, or may have.
    Running,
    /// It has no process left. Its folder is being removed.
    Ended,
    /// A process or the folder could not be dealt with. The next list or destruction tries again.
    Failed(HypervisorError),
}

/// A guest that is watched, as callers without its lock see it.
#[derive(Clone, Debug)]
pub struct WatchedGuest {
    /// None if the leader was gone when the watch began.
    pub leader: Option<Arc<Process>>,
    pub state: watch::Receiver<WatchState>,
}

/// The process that leads a guest's process group.
pub struct GroupLeader {
    process: Arc<Process>,
    /// None if an earlier monitor started it: its exit status then goes to another parent.
    child: Option<Child>,
    /// Ends when all output of the guest is in its log. None if an earlier monitor started it.
    copier: Option<JoinHandle<()>>,
}

impl GroupLeader {
    /// The leader of a guest that has just been started.
    pub fn of_started(started: Started) -> io::Result<Self> {
        let Started { child, copier } = started;
        let process = child
            .id()
            .and_then(|pid| process::parse_pid(&pid.to_string()))
            .map_or(Ok(None), Process::open)?
            .ok_or_else(|| io::Error::other("the child is gone although it was not waited for"))?;
        Ok(Self {
            process: Arc::new(process),
            child: Some(child),
            copier: Some(copier),
        })
    }
}

/// Watches guests. Cheap to clone.
#[derive(Clone)]
pub struct Watcher {
    pub locks: GuestLocks<WatchedGuest>,
    pub reaper: Reaper,
    /// Receives each guest that ends.
    ended: mpsc::Sender<EndedGuest>,
}

impl Watcher {
    pub fn new(reaper: Reaper, ended: mpsc::Sender<EndedGuest>) -> Self {
        Self {
            locks: GuestLocks::default(),
            reaper,
            ended,
        }
    }

    /// Starts the watch over a guest, on the caller's runtime. Without a leader the watch begins at
    /// the guest's end: everything is removed.
    pub fn watch(
        &self,
        lock: GuestLock<WatchedGuest>,
        leader: Option<GroupLeader>,
    ) -> watch::Receiver<WatchState> {
        let (progress, state) = watch::channel(WatchState::Running);
        lock.publish(WatchedGuest {
            leader: leader.as_ref().map(|leader| Arc::clone(&leader.process)),
            state: state.clone(),
        });
        tokio::spawn(self.clone().watch_until_gone(lock, leader, progress));
        state
    }

    async fn watch_until_gone(
        self,
        lock: GuestLock<WatchedGuest>,
        leader: Option<GroupLeader>,
        progress: watch::Sender<WatchState>,
    ) {
        let name = lock.name();
        // Remains are no event: the list that found them waits for their removal. If that failed, an
        // event would cause the next list, and that one the next event, without end.
        let is_event = leader.is_some();
        let mut exit_status = None;
        let mut output = Vec::new();
        let outcome = match leader {
            None => self.reaper.reap(name, None).await,
            Some(mut leader) => {
                let ended = self.reap_after(name, &leader.process).await;
                if ended.is_ok() {
                    if let Some(child) = &mut leader.child {
                        exit_status = wait_for_exit(name, child).await;
                    }
                    if let Some(copier) = leader.copier {
                        // Longer than that it takes only if the disk hangs.
                        let _ = timeout(OUTPUT_TIMEOUT, copier).await;
                    }
                    let folder = self.reaper.folder(name);
                    let read = blocking(move || folder.retired_output()).await;
                    output = read.unwrap_or_else(|error| {
                        log::warn!("failed to read the output of guest {name}: {error}");
                        Vec::new()
                    });
                }
                ended
            }
        };
        let is_ended = outcome.is_ok();
        progress.send_replace(outcome.map_or_else(
            |error| {
                warn(&error);
                WatchState::Failed(error)
            },
            |()| WatchState::Ended,
        ));
        if is_event {
            // A full channel means that a list is due anyway.
            let _ = self.ended.try_send(EndedGuest {
                name: name.to_owned(),
                exit_status,
                output,
            });
        }
        if is_ended && let Err(error) = self.reaper.remove_folder(name).await {
            warn(&error);
        }
        // In this order: a caller that waits for the end of the watch then finds the guest unlocked.
        drop(lock);
        drop(progress);
    }

    /// Waits for the end of the leader, then reaps what it leaves behind.
    async fn reap_after(&self, name: &str, leader: &Process) -> Result<(), HypervisorError> {
        leader
            .ended()
            .await
            .map_err(|source| HypervisorError::io("watch guest", name, source))?;
        // A child keeps its number until it is waited for, which `wait_for_exit` does last.
        let group = Group::Certain(leader.pid());
        self.reaper.reap(name, Some(group)).await
    }

    /// Watches a guest of an earlier monitor, which has a folder but no watch yet. If its leader is
    /// gone, its remains are reaped, and the state of that watch is returned.
    pub async fn adopt(
        &self,
        name: &str,
    ) -> Result<Option<watch::Receiver<WatchState>>, HypervisorError> {
        let Some(lock) = self.locks.lock(name) else {
            return Ok(None);
        };
        let folder = self.reaper.folder(name);
        let found = blocking(move || find(&folder))
            .await
            .map_err(|source| HypervisorError::io("read the folder of guest", name, source))?;
        match found {
            Found::Nothing => Ok(None),
            Found::Running(process) => {
                let leader = GroupLeader {
                    process: Arc::new(process),
                    child: None,
                    copier: None,
                };
                self.watch(lock, Some(leader));
                Ok(None)
            }
            Found::Remains => Ok(Some(self.watch(lock, None))),
        }
    }
}

/// What an earlier monitor has left of a guest.
enum Found {
    Nothing,
    Running(Process),
    Remains,
}

fn find(folder: &Folder) -> io::Result<Found> {
    if !folder.exists()? {
        return Ok(Found::Nothing);
    }
    let leader = folder.leader()?.map_or(Ok(None), |leader| leader.find())?;
    Ok(leader.map_or(Found::Remains, Found::Running))
}

/// Waits for the exit status of a guest, so that it does not stay as a zombie.
async fn wait_for_exit(name: &str, child: &mut Child) -> Option<String> {
    match child.wait().await {
        Ok(status) => Some(status.to_string()),
        Err(error) => {
            log::warn!("failed to read the exit status of guest {name}: {error}");
            None
        }
    }
}

/// Waits until a guest has no process left.
///
/// # Errors
/// Why a process could not be ended.
pub async fn ended(mut state: watch::Receiver<WatchState>) -> Result<(), HypervisorError> {
    let state = state
        .wait_for(|state| !matches!(state, WatchState::Running))
        .await
        .map(|state| state.clone());
    match state {
        Ok(WatchState::Failed(error)) => Err(error),
        Ok(WatchState::Ended | WatchState::Running) => Ok(()),
        // A watch is cut off only when the runtime stops.
        Err(_) => Err(HypervisorError::Unwatched),
    }
}

/// Waits until the watch is over, whatever its outcome.
pub async fn removed(mut state: watch::Receiver<WatchState>) {
    while state.changed().await.is_ok() {}
}
