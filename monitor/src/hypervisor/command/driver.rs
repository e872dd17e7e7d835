//! The calls of the `command` driver: list, create and destroy guests that are processes.
//!
//! Responsible for what each call guarantees and how long it waits. What happens to a guest between
//! its start and its end is in `watch`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{
    folder,
    provision::{Inherited, Runnable, start},
    reaper::Reaper,
    watch::{GroupLeader, WatchState, Watcher, ended, removed},
};
use crate::hypervisor::{
    blocking::blocking,
    error::{HypervisorError, warn},
    guest::{EndedGuest, Guest, GuestSpec},
    namespace::Namespace,
};

#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From SIGTERM to SIGKILL: time for a job to clean up.
    pub terminate_timeout: Duration,
    /// From SIGKILL to the end. Takes this long only if something hangs in the kernel.
    pub kill_timeout: Duration,
    /// How long a list waits for the removal of guests that ended while no monitor ran.
    pub list_timeout: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            terminate_timeout: Duration::from_secs(5),
            kill_timeout: Duration::from_secs(5),
            list_timeout: Duration::from_secs(1),
        }
    }
}

/// Runs guests as processes. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    pub(super) watcher: Watcher,
    namespace: Namespace,
    inherited: Arc<Inherited>,
    timeouts: Timeouts,
}

impl Driver {
    /// What a guest has printed, as long as it runs.
    pub fn output_path(&self, name: &str) -> PathBuf {
        self.watcher.reaper.folder(name).output_path()
    }

    /// Creates the folder for guests. `ended` receives each guest that ends.
    pub fn new(
        data_path: &Path,
        namespace: Namespace,
        ended: mpsc::Sender<EndedGuest>,
        timeouts: Timeouts,
    ) -> Result<Self, HypervisorError> {
        let guests_path = folder::create_root(data_path).map_err(|source| {
            let subject = data_path.display().to_string();
            HypervisorError::io("create the folder for guests in", subject, source)
        })?;
        let reaper = Reaper::new(guests_path.into(), timeouts.kill_timeout);
        Ok(Self {
            watcher: Watcher::new(reaper, ended),
            namespace,
            inherited: Arc::new(Inherited::from_variables(std::env::vars_os())),
            timeouts,
        })
    }

    /// Every guest, by name. Adopts those of an earlier monitor, and removes what is left of those
    /// that ended while no monitor ran.
    pub async fn list(&self) -> Result<Vec<Guest>, HypervisorError> {
        let guests_path = Arc::clone(self.watcher.reaper.guests_path());
        let namespace = self.namespace.clone();
        let found = blocking(move || folder::names(&guests_path, &namespace))
            .await
            .map_err(|source| HypervisorError::io("list", "the folders of guests", source))?;
        let mut names = BTreeSet::new();
        let mut remains = Vec::new();
        for name in found {
            match self.watcher.adopt(&name).await {
                Ok(None) => {}
                Ok(Some(state)) => remains.push((name, state)),
                Err(error) => {
                    // In doubt the guest exists: it may be busy, and it may hold memory.
                    warn(&error);
                    names.insert(name);
                }
            }
        }
        let deadline = Instant::now() + self.timeouts.list_timeout;
        for (name, state) in remains {
            if !matches!(timeout_at(deadline, ended(state)).await, Ok(Ok(()))) {
                names.insert(name);
            }
        }
        names.extend(self.running());
        Ok(names
            .into_iter()
            .map(|name| Guest {
                name,
                ipv4_address: None,
            })
            .collect())
    }

    /// The names of the guests whose watch has seen no end. One that is being created has no watch.
    fn running(&self) -> Vec<String> {
        let guests = self.watcher.locks.snapshot().into_iter();
        let running = guests.filter(|(_, guest)| {
            let guest = guest.as_ref();
            guest.is_some_and(|guest| matches!(*guest.state.borrow(), WatchState::Running))
        });
        running.map(|(name, _)| name).collect()
    }

    /// Starts a guest.
    pub async fn create(&self, spec: &GuestSpec) -> Result<(), HypervisorError> {
        let name = || spec.name.clone();
        let runnable = Runnable::find(spec.command(), &self.inherited).map_err(|problem| {
            HypervisorError::InvalidCommand {
                name: name(),
                problem,
            }
        })?;
        let lock = self.watcher.locks.lock_new(&spec.name)?;
        let folder = self.watcher.reaper.folder(&spec.name);
        let marker = self.watcher.reaper.marker(&spec.name);
        let created = {
            let folder = folder.clone();
            blocking(move || folder.create()).await
        };
        // No await from here to the watch: a caller that is cancelled leaves no unwatched guest.
        let started = match created {
            Ok(None) => return Err(HypervisorError::AlreadyExists { name: name() }),
            Ok(Some(log)) => start(spec, &runnable, &self.inherited, &marker, &folder, log)
                .and_then(GroupLeader::of_started),
            Err(source) => Err(source),
        };
        match started {
            Ok(leader) => {
                self.watcher.watch(lock, Some(leader));
                Ok(())
            }
            Err(source) => {
                removed(self.watcher.watch(lock, None)).await;
                Err(HypervisorError::io("start guest", name(), source))
            }
        }
    }

    /// Ends a guest: SIGTERM, and after a timeout SIGKILL. Returns when nothing of it is left.
    pub async fn destroy(&self, name: &str) -> Result<(), HypervisorError> {
        self.watcher.adopt(name).await?;
        let guest = match self.watcher.locks.state(name) {
            None => return Ok(()),
            Some(None) => {
                return Err(HypervisorError::Occupied {
                    name: name.to_owned(),
                });
            }
            Some(Some(guest)) => guest,
        };
        for (signal, patience) in [
            (Signal::TERM, self.timeouts.terminate_timeout),
            (Signal::KILL, self.timeouts.kill_timeout),
        ] {
            if let Some(leader) = &guest.leader {
                leader
                    .signal_group(signal)
                    .map_err(|source| HypervisorError::io("signal guest", name, source))?;
            }
            if let Ok(outcome) = timeout(patience, ended(guest.state.clone())).await {
                outcome?;
                removed(guest.state).await;
                return Ok(());
            }
        }
        Err(HypervisorError::StillRunning {
            name: name.to_owned(),
        })
    }
}
