//! The calls of the `libvirt` driver: list, create and destroy guests that are virtual machines.
//!
//! Responsible for what each call guarantees. What a guest is made from is in `provision`, its removal
//! in `reaper`, images in `rebuild`.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use shared::{
    settings::{DiskFormat, ImageSettings},
    values::ProfileKey,
};
use tokio::sync::mpsc;

use super::{
    addresses::Addresses,
    folder,
    host_memory::{HostMemory, host_memory},
    images, logs,
    provision::Provisioner,
    reaper::Reaper,
    rebuild::Rebuilder,
    screenshots::Screenshots,
    virsh::Virsh,
    watch::watch,
};
use crate::hypervisor::{
    blocking::blocking,
    error::{HypervisorError, warn},
    guest::{BuildSpec, EndedGuest, Freshness, GUEST_COUNT_MAX, Guest, GuestSpec, Located},
    guest_lock::{GuestLock, GuestLocks},
    namespace::Namespace,
};

/// Runs guests as virtual machines. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    virsh: Virsh,
    /// The names of runners.
    namespace: Namespace,
    /// The folder with the folders of all guests.
    root: Arc<Path>,
    locks: GuestLocks,
    addresses: Addresses,
    provisioner: Provisioner,
    reaper: Reaper,
    screenshots: Screenshots,
    rebuilder: Rebuilder,
}

impl Driver {
    /// Creates the folder for guests, and watches the libvirt at `uri` from now on: `ended` receives
    /// each runner that ends. Must be called within a tokio runtime that lives as long as
    /// the monitor.
    pub fn new(
        data_path: &Path,
        uri: &str,
        profiles: PathBuf,
        namespace: Namespace,
        builders: Namespace,
        ended: mpsc::Sender<EndedGuest>,
    ) -> Result<Self, HypervisorError> {
        let root = folder::create_root(data_path).map_err(|source| {
            let subject = data_path.display().to_string();
            HypervisorError::io("create the folder for virtual machines in", subject, source)
        })?;
        // Beside the guests, whose path is absolute and without links.
        let images = images::root(root.parent().unwrap_or(&root));
        let root: Arc<Path> = root.into();
        let virsh = Virsh::new(uri, namespace.clone(), builders.clone());
        tokio::spawn(watch(virsh.clone(), logs::folders(uri), ended));
        let locks = GuestLocks::default();
        let addresses = Addresses::new(virsh.clone());
        let provisioner = Provisioner::new(images, profiles);
        let reaper = Reaper::new(
            Arc::clone(&root),
            virsh.clone(),
            addresses.clone(),
            builders,
            locks.clone(),
        );
        let screenshots = Screenshots::new(virsh.clone(), Arc::clone(&root));
        let rebuilder = Rebuilder::new(
            virsh.clone(),
            provisioner.clone(),
            reaper.clone(),
            screenshots.clone(),
            locks.clone(),
        );
        Ok(Self {
            virsh,
            namespace,
            root,
            locks,
            addresses,
            provisioner,
            reaper,
            screenshots,
            rebuilder,
        })
    }

    /// Every guest, by name. Removes what is left of those that ended while no monitor ran.
    pub async fn list(&self) -> Result<Vec<Guest>, HypervisorError> {
        self.reaper.sweep_builders().await?;
        let (root, namespace) = (Arc::clone(&self.root), self.namespace.clone());
        let folders = blocking(move || folder::names(&root, &namespace))
            .await
            .map_err(|source| HypervisorError::io("list", "the folders of guests", source))?;
        // Read before the list of libvirt: a creation that is over by then has started its guest, and one
        // that is not over has a folder without a machine.
        let locked: BTreeSet<String> = self.locks.snapshot().into_keys().collect();
        let mut present = self.virsh.runners().await?;
        let without_machine = folders.difference(&present);
        let remains = self
            .retire_all(without_machine.filter(|name| !locked.contains(*name)))
            .await;
        let has_undefined = !present.is_subset(&folders) && self.reaper.undefine_inactive().await?;
        if has_undefined || !remains.is_empty() {
            present = self.virsh.runners().await?;
        }
        for lock in remains {
            if !present.contains(lock.name()) {
                self.reaper.remove_folder(lock.name()).await;
            }
        }
        let is_builder = |name: &str| self.reaper.is_builder(name);
        self.addresses.retain(&present, is_builder);
        let addresses = self.addresses.of_all(&present).await;
        let guests = present.into_iter().map(|name| Guest {
            ipv4_address: addresses.get(&name).copied(),
            name,
        });
        Ok(guests.collect())
    }

    /// Moves the folders of guests aside, and returns the locks on those guests.
    async fn retire_all(&self, names: impl Iterator<Item = &String>) -> Vec<GuestLock> {
        let mut locks = Vec::new();
        for name in names {
            let Some(lock) = self.locks.lock(name) else {
                continue;
            };
            match self.reaper.retire(name).await {
                Ok(()) => locks.push(lock),
                // The next list tries again.
                Err(error) => warn(&error),
            }
        }
        locks
    }

    /// Creates a guest and starts it.
    pub async fn create(
        &self,
        spec: &GuestSpec,
        image: &ImageSettings,
    ) -> Result<(), HypervisorError> {
        let name = &spec.name;
        let exists = || HypervisorError::AlreadyExists { name: name.clone() };
        let _lock = self.locks.lock(name).ok_or_else(exists)?;
        let present = self.virsh.runners().await?;
        if present.contains(name) {
            return Err(exists());
        }
        if present.len() >= GUEST_COUNT_MAX {
            return Err(HypervisorError::TooManyGuests {
                name: name.clone(),
                count: present.len(),
            });
        }
        let folder = self.reaper.folder(name);
        let created = {
            let folder = folder.clone();
            blocking(move || folder.create()).await
        };
        let is_new = created
            .map_err(|source| HypervisorError::io("create the folder of guest", name, source))?;
        if !is_new {
            return Err(exists());
        }
        let started = match self.provisioner.provision(&folder, spec, image).await {
            Ok(()) => self
                .virsh
                .create(&folder.definition_path())
                .await
                .map_err(|source| HypervisorError::program("start guest", name, source)),
            Err(error) => Err(error),
        };
        if started.is_err()
            && let Err(error) = self.reaper.reap(name).await
        {
            // The next list finds what is left.
            warn(&error);
        }
        started
    }

    /// Ends a guest at once, and removes it.
    pub async fn destroy(&self, name: &str) -> Result<(), HypervisorError> {
        let Some(_lock) = self.locks.lock(name) else {
            return Err(HypervisorError::Occupied {
                name: name.to_owned(),
            });
        };
        self.reaper.reap(name).await
    }

    /// The memory of the host, for guests and everything else together.
    pub async fn host_memory(&self) -> Result<HostMemory, HypervisorError> {
        let answers = tokio::try_join!(self.virsh.capabilities(), self.virsh.memory_statistics());
        let (capabilities, statistics) = answers
            .map_err(|source| HypervisorError::program("read", "the memory of the host", source))?;
        Ok(host_memory(&capabilities, &statistics))
    }

    /// Which of these guests has this address.
    pub async fn locate(&self, names: &[String], address: IpAddr) -> Located {
        self.addresses.locate(names, address).await
    }

    /// The screen of a guest, as a PNG. None if there is no such guest, or it has no screen.
    pub async fn screenshot(
        &self,
        name: &str,
        freshness: Freshness,
    ) -> Result<Option<Arc<[u8]>>, HypervisorError> {
        self.screenshots.of(name, freshness).await
    }

    /// Where a guest prints to, if its definition has a serial port of type `file`.
    pub fn console_path(&self, name: &str) -> PathBuf {
        self.reaper.folder(name).console_path()
    }

    /// When the current image of a profile was complete. None if it has no image.
    pub async fn image_built_at(
        &self,
        profile_key: &ProfileKey,
        format: DiskFormat,
    ) -> Result<Option<SystemTime>, HypervisorError> {
        self.provisioner.image_built_at(profile_key, format).await
    }

    /// Builds an image. Nothing of the guest is left when this returns.
    pub async fn rebuild(&self, spec: &BuildSpec) -> Result<(), HypervisorError> {
        self.rebuilder.rebuild(spec).await
    }

    /// The last screenshot of the last failed build of a profile's image, as a PNG.
    pub async fn last_screenshot(&self, profile_key: &ProfileKey) -> Option<Vec<u8>> {
        self.rebuilder.last_screenshot(profile_key).await
    }

    /// The end of the console of the build of a profile's image that is under way, or else of the last failed one.
    pub async fn console(&self, profile_key: &ProfileKey) -> Option<Vec<u8>> {
        self.rebuilder.console(profile_key).await
    }
}
