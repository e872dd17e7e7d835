//! The calls that make, find and end the virtual machines of this host.
//!
//! Owns the order of what each call does to libvirt and to the disk, on which rests that nothing is
//! left over: see the head of `mod.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use parking_lot::Mutex;
use shared::{
    settings::{DiskFormat, ImageSettings},
    values::ProfileKey,
};
use tokio::sync::mpsc;

use super::{
    claims::Claims,
    events,
    folder::{self, Folder},
    furnish::Materials,
    host::{self, HostMemory},
    images,
    screen::Camera,
    virsh::Virsh,
};
use crate::hypervisor::{
    GUEST_COUNT_MAX, Guest, GuestSpec, blocking,
    error::{HypervisorError, warn},
    namespace::Namespace,
};

/// Makes guests that are virtual machines. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    pub(super) virsh: Virsh,
    namespace: Namespace,
    /// The names of guests that build images.
    builders: Namespace,
    /// Where the guests' folders are.
    root: Arc<Path>,
    pub(super) materials: Materials,
    pub(super) claims: Claims,
    pub(super) camera: Camera,
    /// The addresses of the guests that are there. A guest keeps its address.
    addresses: Arc<Mutex<BTreeMap<String, Ipv4Addr>>>,
}

impl Driver {
    /// Makes the folder that guests live in, and listens to the libvirt at `uri` from now on. Must
    /// be called within a tokio runtime that lives as long as the monitor.
    pub fn new(
        data_path: &Path,
        uri: &str,
        profiles: PathBuf,
        namespace: Namespace,
        builders: Namespace,
        ended: mpsc::Sender<String>,
    ) -> Result<Self, HypervisorError> {
        let root = folder::make_root(data_path).map_err(|source| {
            let subject = data_path.display().to_string();
            HypervisorError::io("make the folder for virtual machines in", subject, source)
        })?;
        let virsh = Virsh::new(uri, namespace.clone(), builders.clone());
        tokio::spawn(events::follow(virsh.clone(), ended));
        Ok(Self {
            virsh,
            namespace,
            builders,
            materials: Materials {
                // Beside the guests, whose path is absolute and without links.
                images: images::root(root.parent().unwrap_or(&root)).into(),
                profiles: profiles.into(),
            },
            root: root.into(),
            claims: Claims::default(),
            camera: Camera::default(),
            addresses: Arc::default(),
        })
    }

    /// Every guest, by name. Removes what is left of those that ended unseen.
    pub async fn list(&self) -> Result<Vec<Guest>, HypervisorError> {
        self.sweep_builders().await?;
        let (root, namespace) = (Arc::clone(&self.root), self.namespace.clone());
        let folders = blocking(move || folder::names(&root, &namespace))
            .await
            .map_err(|source| HypervisorError::io("list", "the folders of guests", source))?;
        // Asked before libvirt is: whoever is done by now with making a guest has started it.
        let claimed = self.claims.claimed();
        let mut present = self.names().await?;
        let mut remains = Vec::new();
        for name in folders.difference(&present) {
            if claimed.contains(name) {
                continue;
            }
            let Some(claim) = self.claims.claim(name) else {
                continue;
            };
            match self.retire(name).await {
                Ok(()) => remains.push(claim),
                // The next list tries again.
                Err(error) => warn(&error),
            }
        }
        let has_kept = !present.is_subset(&folders) && self.forget_kept().await?;
        if has_kept || !remains.is_empty() {
            present = self.names().await?;
        }
        for claim in remains {
            if !present.contains(claim.name()) {
                self.remove(claim.name()).await;
            }
        }
        self.addresses
            .lock()
            .retain(|name, _| present.contains(name));
        let mut guests = Vec::new();
        for name in present {
            let ipv4_address = self.address(&name).await;
            guests.push(Guest { name, ipv4_address });
        }
        Ok(guests)
    }

    /// Ends the guests that build an image for nobody, because the monitor that wanted it is gone.
    async fn sweep_builders(&self) -> Result<(), HypervisorError> {
        let (root, builders) = (Arc::clone(&self.root), self.builders.clone());
        let folders = blocking(move || folder::names(&root, &builders))
            .await
            .map_err(|source| HypervisorError::io("list", "the folders of rebuilds", source))?;
        for name in self.builders().await?.union(&folders) {
            // Without a claim nobody is at work on it, now or later.
            if let Some(_claim) = self.claims.claim(name) {
                self.end(name).await?;
            }
        }
        Ok(())
    }

    /// The names of the machines that build images.
    pub(super) async fn builders(&self) -> Result<BTreeSet<String>, HypervisorError> {
        let names = self.virsh.builders().await;
        let names = names.map_err(|source| {
            HypervisorError::program("list", "the machines that build images", source)
        })?;
        Ok(names.into_iter().collect())
    }

    async fn names(&self) -> Result<BTreeSet<String>, HypervisorError> {
        let names = self.virsh.names().await;
        let names = names
            .map_err(|source| HypervisorError::program("list", "the virtual machines", source))?;
        Ok(names.into_iter().collect())
    }

    /// Makes libvirt forget machines of ours that do not run and that it would keep: this driver
    /// makes none, but they may be there from before. Says whether there were any.
    async fn forget_kept(&self) -> Result<bool, HypervisorError> {
        let kept = self.virsh.kept_names().await;
        let kept = kept.map_err(|source| {
            HypervisorError::program("list", "the machines that do not run", source)
        })?;
        for name in &kept {
            log::info!("machine {name} does not run; libvirt is made to forget it");
            if let Err(source) = self.virsh.undefine(name).await {
                // The next list shows that it is still there.
                warn(&HypervisorError::program("undefine guest", name, source));
            }
        }
        Ok(!kept.is_empty())
    }

    /// What the host has for guests and all others together.
    pub async fn host_memory(&self) -> Result<HostMemory, HypervisorError> {
        let asked = tokio::try_join!(self.virsh.capabilities(), self.virsh.memory_statistics());
        let (capabilities, statistics) = asked
            .map_err(|source| HypervisorError::program("learn", "what the host has", source))?;
        Ok(host::host_memory(&capabilities, &statistics))
    }

    /// The address that DHCP has given to a guest, once it has.
    pub async fn address(&self, name: &str) -> Option<Ipv4Addr> {
        if let Some(address) = self.addresses.lock().get(name) {
            return Some(*address);
        }
        match self.virsh.address(name).await {
            Ok(address) => {
                let address = address?;
                self.addresses.lock().insert(name.to_owned(), address);
                Some(address)
            }
            Err(error) => {
                // It may have ended since it was listed.
                log::debug!("failed to learn the address of guest {name}: {error}");
                None
            }
        }
    }

    /// Makes a guest and starts it.
    pub async fn create(
        &self,
        spec: &GuestSpec,
        image: &ImageSettings,
    ) -> Result<(), HypervisorError> {
        let name = &spec.name;
        let exists = || HypervisorError::AlreadyExists { name: name.clone() };
        let _claim = self.claims.claim(name).ok_or_else(exists)?;
        let present = self.names().await?;
        if present.contains(name) {
            return Err(exists());
        }
        if present.len() >= GUEST_COUNT_MAX {
            return Err(HypervisorError::TooManyGuests {
                name: name.clone(),
                count: present.len(),
            });
        }
        let folder = self.folder(name);
        let made = {
            let folder = folder.clone();
            blocking(move || folder.make()).await
        };
        let is_new =
            made.map_err(|source| HypervisorError::io("make the folder of guest", name, source))?;
        if !is_new {
            return Err(exists());
        }
        let started = match self.materials.furnish(&folder, spec, image).await {
            Ok(()) => self
                .virsh
                .create(&folder.definition_path())
                .await
                .map_err(|source| HypervisorError::program("start guest", name, source)),
            Err(error) => Err(error),
        };
        if started.is_err()
            && let Err(error) = self.end(name).await
        {
            // Whatever is left is found by the next list.
            warn(&error);
        }
        started
    }

    /// Ends a guest at once.
    pub async fn destroy(&self, name: &str) -> Result<(), HypervisorError> {
        let Some(_claim) = self.claims.claim(name) else {
            return Err(HypervisorError::Occupied {
                name: name.to_owned(),
            });
        };
        self.end(name).await
    }

    /// Ends a guest that is claimed, and removes all there is of it.
    pub(super) async fn end(&self, name: &str) -> Result<(), HypervisorError> {
        self.retire(name).await?;
        if self.is_there(name).await? {
            // Whether this worked is not asked of its answer: a guest that has just ended by
            // itself is no failure, and one that is still there is, whatever was said.
            let destroyed = self.virsh.destroy(name).await;
            let mut is_there = self.is_there(name).await?;
            if is_there && self.forget_kept().await? {
                is_there = self.is_there(name).await?;
            }
            if is_there {
                return Err(match destroyed {
                    Err(source) => HypervisorError::program("end guest", name, source),
                    Ok(()) => HypervisorError::StillRunning {
                        name: name.to_owned(),
                    },
                });
            }
        }
        self.addresses.lock().remove(name);
        self.remove(name).await;
        Ok(())
    }

    async fn is_there(&self, name: &str) -> Result<bool, HypervisorError> {
        let names = match self.builders.contains(name) {
            true => self.builders().await?,
            false => self.names().await?,
        };
        Ok(names.contains(name))
    }

    /// Moves the folder of a guest aside, after which it cannot be started any more.
    async fn retire(&self, name: &str) -> Result<(), HypervisorError> {
        let folder = self.folder(name);
        blocking(move || folder.retire())
            .await
            .map_err(|source| HypervisorError::io("move the folder of guest", name, source))
    }

    /// Removes what was moved aside. If that fails, the next list tries again.
    async fn remove(&self, name: &str) {
        let folder = self.folder(name);
        if let Err(source) = blocking(move || folder.remove()).await {
            warn(&HypervisorError::io(
                "remove the folder of guest",
                name,
                source,
            ));
        }
    }

    /// When the current image of a profile was complete; none if it has no image.
    pub async fn image_built_at(
        &self,
        profile_key: &ProfileKey,
        format: DiskFormat,
    ) -> Result<Option<SystemTime>, HypervisorError> {
        let (images, profile_key) = (self.materials.images.clone(), profile_key.clone());
        let subject = profile_key.to_string();
        blocking(move || {
            let image = images::current(&images, &profile_key, format)?;
            image.map(|image| image.built_at()).transpose()
        })
        .await
        .map_err(|source| HypervisorError::io("find the image of profile", subject, source))
    }

    pub(super) fn folder(&self, name: &str) -> Folder {
        Folder::new(&self.root, name)
    }
}
