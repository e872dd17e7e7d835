//! Removes guests: ends the virtual machine, then removes the folder.
//!
//! Responsible for the order of these steps, on which it rests that nothing is left over: see the
//! module's documentation. The caller has the lock on the guest.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    addresses::Addresses,
    folder::{self, Folder},
    logs,
    virsh::Virsh,
};
use crate::hypervisor::{
    blocking::blocking,
    error::{HypervisorError, warn},
    guest_lock::GuestLocks,
    namespace::Namespace,
};

/// Removes guests. Cheap to clone.
#[derive(Clone)]
pub struct Reaper {
    root: Arc<Path>,
    virsh: Virsh,
    addresses: Addresses,
    /// The names of guests that build images.
    builders: Namespace,
    locks: GuestLocks,
    /// The folders in which libvirt has logs of machines.
    logs: Arc<[PathBuf]>,
}

impl Reaper {
    /// `root` is the folder with the folders of all guests.
    pub fn new(
        root: Arc<Path>,
        virsh: Virsh,
        addresses: Addresses,
        builders: Namespace,
        locks: GuestLocks,
    ) -> Self {
        Self {
            logs: logs::folders(virsh.uri()).into(),
            root,
            virsh,
            addresses,
            builders,
            locks,
        }
    }

    pub fn folder(&self, name: &str) -> Folder {
        Folder::new(&self.root, name)
    }

    /// Ends a guest at once, and removes its folder.
    pub async fn reap(&self, name: &str) -> Result<(), HypervisorError> {
        self.retire(name).await?;
        if self.is_present(name).await? {
            // Success is judged by the next list and not by this answer: a guest that ended by itself
            // meanwhile is no failure, and one that is still listed is a failure in any case.
            let destroyed = self.virsh.destroy(name).await;
            let mut is_present = self.is_present(name).await?;
            if is_present && self.undefine_inactive().await? {
                is_present = self.is_present(name).await?;
            }
            if is_present {
                return Err(match destroyed {
                    Err(source) => HypervisorError::program("end guest", name, source),
                    Ok(()) => HypervisorError::StillRunning {
                        name: name.to_owned(),
                    },
                });
            }
        }
        self.addresses.forget(name);
        self.remove_folder(name).await;
        Ok(())
    }

    /// Whether the name is that of a guest that builds an image.
    pub fn is_builder(&self, name: &str) -> bool {
        self.builders.contains(name)
    }

    async fn is_present(&self, name: &str) -> Result<bool, HypervisorError> {
        let names = match self.builders.contains(name) {
            true => self.virsh.builders().await?,
            false => self.virsh.runners().await?,
        };
        Ok(names.contains(name))
    }

    /// Moves the folder of a guest aside, after which the guest cannot be started any more.
    pub async fn retire(&self, name: &str) -> Result<(), HypervisorError> {
        let folder = self.folder(name);
        blocking(move || folder.retire())
            .await
            .map_err(|source| HypervisorError::io("move the folder of guest", name, source))
    }

    /// The end of QEMU's log of a guest.
    pub async fn log_of(&self, name: &str) -> Option<Vec<u8>> {
        let (folders, name) = (Arc::clone(&self.logs), name.to_owned());
        let log = blocking(move || Ok(logs::end_of(&folders, &name))).await;
        log.ok().flatten()
    }

    /// Removes the folder that was moved aside, and libvirt's logs. If that fails, the next list tries
    /// again.
    pub async fn remove_folder(&self, name: &str) {
        let (folder, logs, guest) = (self.folder(name), Arc::clone(&self.logs), name.to_owned());
        let removed = blocking(move || {
            logs::remove(&logs, &guest);
            folder.remove()
        });
        if let Err(source) = removed.await {
            warn(&HypervisorError::io(
                "remove the folder of guest",
                name,
                source,
            ));
        }
    }

    /// Ends the guests that build an image for an earlier monitor. Without a lock on its guest no
    /// rebuild of this monitor is in progress.
    pub async fn sweep_builders(&self) -> Result<(), HypervisorError> {
        let (root, builders) = (Arc::clone(&self.root), self.builders.clone());
        let folders = blocking(move || folder::names(&root, &builders))
            .await
            .map_err(|source| HypervisorError::io("list", "the folders of rebuilds", source))?;
        for name in self.virsh.builders().await?.union(&folders) {
            if let Some(_lock) = self.locks.lock(name) {
                self.reap(name).await?;
            }
        }
        Ok(())
    }

    /// Undefines the inactive persistent machines with our names. This driver defines none, but an
    /// earlier installation may have. Returns whether there were any.
    pub async fn undefine_inactive(&self) -> Result<bool, HypervisorError> {
        let inactive = self.virsh.inactive().await?;
        for name in &inactive {
            log::info!(
                "undefining machine {name}: it is inactive, and its name belongs to a guest"
            );
            if let Err(source) = self.virsh.undefine(name).await {
                // The next list shows that it is still defined.
                warn(&HypervisorError::program("undefine guest", name, source));
            }
        }
        Ok(!inactive.is_empty())
    }
}
