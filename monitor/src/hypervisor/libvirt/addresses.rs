//! The IP addresses of virtual machines, queried from libvirt until a machine has one, and then cached: a
//! machine keeps its address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

use parking_lot::Mutex;

use super::virsh::Virsh;

/// Cache of addresses. Cheap to clone.
#[derive(Clone)]
pub struct Addresses {
    virsh: Virsh,
    known: Arc<Mutex<BTreeMap<String, Ipv4Addr>>>,
}

impl Addresses {
    pub fn new(virsh: Virsh) -> Self {
        Self {
            virsh,
            known: Arc::default(),
        }
    }

    /// The address that DHCP has assigned to a guest. None if it has none yet, or is unknown.
    pub async fn of(&self, name: &str) -> Option<Ipv4Addr> {
        if let Some(address) = self.known.lock().get(name) {
            return Some(*address);
        }
        match self.virsh.address(name).await {
            Ok(address) => {
                let address = address?;
                self.known.lock().insert(name.to_owned(), address);
                Some(address)
            }
            Err(error) => {
                // The guest may have ended since it was listed.
                log::debug!("failed to read the address of guest {name}: {error}");
                None
            }
        }
    }

    /// Removes the address of a guest that has ended.
    pub fn forget(&self, name: &str) {
        self.known.lock().remove(name);
    }

    /// Removes the addresses of all guests except these.
    pub fn retain(&self, names: &BTreeSet<String>) {
        self.known.lock().retain(|name, _| names.contains(name));
    }
}
