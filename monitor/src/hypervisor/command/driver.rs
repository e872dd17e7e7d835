//! The calls that make, find and end the guests of this host.
//!
//! Owns what each call promises and how long it waits. What happens to a guest between its start
//! and its end is in `watch.rs`.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{
    claims::{Claims, Entry},
    folder::{self, Folder},
    start::{self, Inherited, Runnable},
    survivors::Mark,
    watch::{self, Leader},
};
use crate::hypervisor::{
    Guest, GuestSpec, blocking,
    error::{HypervisorError, warn},
    namespace::Namespace,
};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From SIGTERM to SIGKILL: a job's last words.
    pub terminate_timeout: Duration,
    /// From SIGKILL to the end. It only takes this long when something hangs in the kernel.
    pub kill_timeout: Duration,
    /// How long a list waits for the remains of guests that ended unseen to be gone.
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

/// Makes guests that are processes. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    pub(super) guests_path: Arc<Path>,
    pub(super) claims: Claims,
    pub(super) timeouts: Timeouts,
    /// Where the news of a guest's end goes.
    pub(super) ended: mpsc::Sender<String>,
    namespace: Namespace,
    inherited: Arc<Inherited>,
}

impl Driver {
    /// Makes the folder that guests live in.
    pub fn new(
        data_path: &Path,
        namespace: Namespace,
        ended: mpsc::Sender<String>,
        timeouts: Timeouts,
    ) -> Result<Self, HypervisorError> {
        let guests_path = folder::make_root(data_path).map_err(|source| {
            let subject = data_path.display().to_string();
            HypervisorError::io("make the folder for guests in", subject, source)
        })?;
        Ok(Self {
            guests_path: guests_path.into(),
            claims: Claims::default(),
            timeouts,
            ended,
            namespace,
            inherited: Arc::new(Inherited::from_variables(std::env::vars_os())),
        })
    }

    /// Every guest, by name. Takes on those that an earlier monitor made, and removes what is left
    /// of those that ended unseen.
    pub async fn list(&self) -> Result<Vec<Guest>, HypervisorError> {
        let (guests_path, namespace) = (Arc::clone(&self.guests_path), self.namespace.clone());
        let found = blocking(move || folder::names(&guests_path, &namespace))
            .await
            .map_err(|source| HypervisorError::io("list", "the folders of guests", source))?;
        let mut names = BTreeSet::new();
        let mut remains = Vec::new();
        for name in found {
            match self.take_on(&name).await {
                Ok(None) => {}
                Ok(Some(stage)) => remains.push((name, stage)),
                Err(error) => {
                    // In doubt it is there: it may be busy, and it may hold memory.
                    warn(&error);
                    names.insert(name);
                }
            }
        }
        let deadline = Instant::now() + self.timeouts.list_timeout;
        for (name, stage) in remains {
            if !matches!(timeout_at(deadline, watch::ended(stage)).await, Ok(Ok(()))) {
                names.insert(name);
            }
        }
        names.extend(self.claims.present());
        Ok(names
            .into_iter()
            .map(|name| Guest {
                name,
                ipv4_address: None,
            })
            .collect())
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
        let claim = self.claims.claim_new(&spec.name)?;
        let folder = self.folder(&spec.name);
        let mark = self.mark(&spec.name);
        let made = {
            let folder = folder.clone();
            blocking(move || folder.make()).await
        };
        // From here to the watch there is no await, so a caller that gives up leaves no guest that
        // nobody watches.
        let started = match made {
            Ok(None) => return Err(HypervisorError::AlreadyExists { name: name() }),
            Ok(Some(log)) => start::start(spec, &runnable, &self.inherited, &mark, &folder, log)
                .and_then(Leader::of_child),
            Err(source) => Err(source),
        };
        match started {
            Ok(leader) => {
                self.watch(claim, Some(leader));
                Ok(())
            }
            Err(source) => {
                // Without a leader a watch begins at its end: everything is removed.
                watch::removed(self.watch(claim, None)).await;
                Err(HypervisorError::io("start guest", name(), source))
            }
        }
    }

    /// Ends a guest: politely, then not.
    pub async fn destroy(&self, name: &str) -> Result<(), HypervisorError> {
        self.take_on(name).await?;
        let guest = match self.claims.entry(name) {
            None => return Ok(()),
            Some(Entry::Claimed) => {
                return Err(HypervisorError::Occupied {
                    name: name.to_owned(),
                });
            }
            Some(Entry::Watched(guest)) => guest,
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
            if let Ok(outcome) = timeout(patience, watch::ended(guest.stage.clone())).await {
                outcome?;
                watch::removed(guest.stage).await;
                return Ok(());
            }
        }
        Err(HypervisorError::StillRunning {
            name: name.to_owned(),
        })
    }

    pub(super) fn folder(&self, name: &str) -> Folder {
        Folder::new(&self.guests_path, name)
    }

    pub(super) fn mark(&self, name: &str) -> Mark {
        Mark::new(name, &self.folder(name).path())
    }
}
