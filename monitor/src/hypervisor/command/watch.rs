//! A guest from its start to its end: one task waits for the leader and clears up behind it.
//!
//! Owns the order of what happens at the end, and how guests of an earlier monitor get a watch of
//! their own. The only place that ends processes for good and removes folders.

use std::{io, sync::Arc};

use tokio::{process::Child, sync::watch};

use super::{
    claims::{Claim, Watched},
    driver::Driver,
    folder::Folder,
    process::{self, Process},
    survivors::{self, Group},
};
use crate::hypervisor::{
    blocking,
    error::{HypervisorError, warn},
};

/// What the watch over a guest has come to. It is over when its sender is dropped.
#[derive(Clone, Debug)]
pub enum Stage {
    /// There are processes of it, or there may be.
    Present,
    /// No process of it is left. Its folder is being removed.
    Ended,
    /// Something would not go. Whoever looks next tries again.
    Failed(HypervisorError),
}

/// The process that leads a guest's group.
pub struct Leader {
    process: Arc<Process>,
    /// None if an earlier monitor started it: then somebody else learns how it ended.
    child: Option<Child>,
}

impl Leader {
    /// Takes hold of a guest that has just been started.
    pub fn of_child(child: Child) -> io::Result<Self> {
        let process = child
            .id()
            .and_then(|pid| process::parse_pid(&pid.to_string()))
            .map_or(Ok(None), Process::open)?
            .ok_or_else(|| io::Error::other("a child that nobody has waited for is gone"))?;
        Ok(Self {
            process: Arc::new(process),
            child: Some(child),
        })
    }
}

impl Driver {
    /// Begins to watch a guest, on the runtime of whoever calls.
    pub fn watch(&self, claim: Claim, leader: Option<Leader>) -> watch::Receiver<Stage> {
        let (progress, stage) = watch::channel(Stage::Present);
        claim.show(Watched {
            leader: leader.as_ref().map(|leader| Arc::clone(&leader.process)),
            stage: stage.clone(),
        });
        tokio::spawn(self.clone().watch_until_gone(claim, leader, progress));
        stage
    }

    async fn watch_until_gone(
        self,
        claim: Claim,
        leader: Option<Leader>,
        progress: watch::Sender<Stage>,
    ) {
        // What is left of a guest is no news: whoever lists waits for it, and if it would not go,
        // the news would make them list again, and again.
        let is_news = leader.is_some();
        let outcome = match leader {
            None => self.end(&claim, None).await,
            Some(mut leader) => {
                let ended = self.end_after(&claim, &leader.process).await;
                if let Some(child) = &mut leader.child
                    && ended.is_ok()
                {
                    report_exit(claim.name(), child).await;
                }
                ended
            }
        };
        let name = claim.name().to_owned();
        let folder = self.folder(&name);
        let is_ended = outcome.is_ok();
        progress.send_replace(outcome.map_or_else(
            |error| {
                warn(&error);
                Stage::Failed(error)
            },
            |()| Stage::Ended,
        ));
        if is_news {
            // Those who listen may have enough of it to look at already.
            let _ = self.ended.try_send(name.clone());
        }
        if is_ended && let Err(source) = blocking(move || folder.remove()).await {
            // It is found and removed the next time that guests are listed.
            warn(&HypervisorError::io(
                "remove the folder of guest",
                name,
                source,
            ));
        }
        // In this order: whoever waits for the end of the watch then finds no claim in the way.
        drop(claim);
        drop(progress);
    }

    /// Waits for the leader, then ends all it has left behind.
    async fn end_after(&self, claim: &Claim, leader: &Process) -> Result<(), HypervisorError> {
        leader
            .ended()
            .await
            .map_err(|source| HypervisorError::io("watch guest", claim.name(), source))?;
        // A child of ours keeps its number until it is asked how it ended, which is done last.
        let group = Group::Certain(leader.pid());
        self.end(claim, Some(group)).await
    }

    /// Moves the folder aside and ends every process of a guest that has no leader any more.
    async fn end(&self, claim: &Claim, group: Option<Group>) -> Result<(), HypervisorError> {
        let name = claim.name();
        let folder = self.folder(name);
        let retired = blocking(move || folder.retire())
            .await
            .map_err(|source| HypervisorError::io("move the folder of guest", name, source));
        // What is left running is ended also when the disk is at fault.
        let recorded = retired.as_ref().ok().and_then(Option::as_ref);
        let group = group.or(recorded.map(|leader| Group::Recorded(leader.pid())));
        survivors::end_all(name, &self.mark(name), group, self.timeouts.kill_timeout).await?;
        retired.map(drop)
    }

    /// Watches a guest that has a folder but no watch yet, because an earlier monitor made it. If
    /// it has no leader any more, what is left of it begins to be removed, and the stage of that
    /// is returned.
    pub async fn take_on(
        &self,
        name: &str,
    ) -> Result<Option<watch::Receiver<Stage>>, HypervisorError> {
        let Some(claim) = self.claims.claim(name) else {
            return Ok(None);
        };
        let folder = self.folder(name);
        let found = blocking(move || look(&folder))
            .await
            .map_err(|source| HypervisorError::io("look at guest", name, source))?;
        match found {
            Found::Nothing => Ok(None),
            Found::Living(process) => {
                let leader = Leader {
                    process: Arc::new(process),
                    child: None,
                };
                self.watch(claim, Some(leader));
                Ok(None)
            }
            Found::Remains => Ok(Some(self.watch(claim, None))),
        }
    }
}

/// What an earlier monitor has left of a guest.
enum Found {
    Nothing,
    Living(Process),
    Remains,
}

fn look(folder: &Folder) -> io::Result<Found> {
    if !folder.exists()? {
        return Ok(Found::Nothing);
    }
    let leader = folder.leader()?.map_or(Ok(None), |leader| leader.find())?;
    Ok(leader.map_or(Found::Remains, Found::Living))
}

/// Asks how a guest ended, so that it does not stay as a zombie, and writes it down.
async fn report_exit(name: &str, child: &mut Child) {
    match child.wait().await {
        Ok(status) => log::info!("guest {name} has ended: {status}"),
        Err(error) => log::warn!("failed to learn how guest {name} ended: {error}"),
    }
}

/// Waits until no process of a guest is left.
///
/// # Errors
/// What kept it there.
pub async fn ended(mut stage: watch::Receiver<Stage>) -> Result<(), HypervisorError> {
    let stage = stage
        .wait_for(|stage| !matches!(stage, Stage::Present))
        .await
        .map(|stage| stage.clone());
    match stage {
        Ok(Stage::Failed(error)) => Err(error),
        Ok(Stage::Ended | Stage::Present) => Ok(()),
        // Only when the runtime stops are watches cut off.
        Err(_) => Err(HypervisorError::Unwatched),
    }
}

/// Waits until the watch is over, whatever it has come to.
pub async fn removed(mut stage: watch::Receiver<Stage>) {
    while stage.changed().await.is_ok() {}
}
