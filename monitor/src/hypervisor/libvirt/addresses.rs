//! The IP addresses of virtual machines: the current leases of libvirt's DHCP servers for their MAC
//! addresses.
//!
//! Responsible for how often libvirt is queried. A machine may have several leases, and another one at any
//! time; so leases are never older than a caller accepts, and one query answers all callers. The leases of
//! all networks count, because a machine may be attached to the bridge of a network instead of the network.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use shared::clock::Clock;
use tokio::time::{Instant, sleep};

use super::{
    virsh::Virsh,
    virsh_output::{self, Lease},
};
use crate::hypervisor::{error::HypervisorError, guest::Located};

/// Maximum age of leases that show where a request comes from.
const AGE_MAX: Duration = Duration::from_secs(1);
/// How long a DHCP server may take to record a lease that the machine uses already.
const RECORDING_TIME: Duration = Duration::from_secs(1);

/// The leases at one moment, and whose they are. Cheap to clone.
#[derive(Clone)]
pub struct Addresses {
    virsh: Virsh,
    snapshot: Arc<tokio::sync::Mutex<Option<Snapshot>>>,
    /// The MAC addresses of each machine, which it keeps.
    macs: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
}

struct Snapshot {
    /// When the query began.
    queried_at: Instant,
    leases: Arc<[Lease]>,
}

impl Addresses {
    pub fn new(virsh: Virsh) -> Self {
        Self {
            virsh,
            snapshot: Arc::default(),
            macs: Arc::default(),
        }
    }

    /// The IPv4 addresses of these machines, as far as they have one: of several the one with the longest
    /// lease. After an error none is known.
    pub async fn of_all(&self, names: &BTreeSet<String>) -> BTreeMap<String, Ipv4Addr> {
        if names.is_empty() {
            return BTreeMap::new();
        }
        let leases = match self.leases_since(Instant::now()).await {
            Ok(leases) => leases,
            Err(error) => {
                log::debug!("failed to {error}");
                return BTreeMap::new();
            }
        };
        let mut addresses = BTreeMap::new();
        for name in names {
            let macs = self.macs_of(name).await;
            let own = leases.iter().filter(|lease| macs.contains(&lease.mac));
            let own = own.filter_map(|lease| match lease.address {
                IpAddr::V4(address) => {
                    Some((lease.expires_at.is_none(), lease.expires_at, address))
                }
                IpAddr::V6(_) => None,
            });
            if let Some((.., address)) = own.max() {
                addresses.insert(name.clone(), address);
            }
        }
        addresses
    }

    /// Which of these machines has this address. If none has, the leases are queried again after a moment.
    pub async fn locate(&self, names: &[String], address: IpAddr) -> Located {
        let now = Instant::now();
        let recent = now.checked_sub(AGE_MAX).unwrap_or(now);
        match self.locate_since(names, address, recent).await {
            Located::At(name) => Located::At(name),
            Located::Elsewhere(_) | Located::Unknown => {
                sleep(RECORDING_TIME).await;
                self.locate_since(names, address, Instant::now()).await
            }
        }
    }

    async fn locate_since(&self, names: &[String], address: IpAddr, since: Instant) -> Located {
        let leases = match self.leases_since(since).await {
            Ok(leases) => leases,
            Err(error) => {
                log::debug!("failed to {error}");
                return Located::Unknown;
            }
        };
        let mut others = Vec::new();
        let mut is_complete = true;
        for name in names {
            let macs = self.macs_of(name).await;
            let own = leases.iter().filter(|lease| macs.contains(&lease.mac));
            let own: Vec<_> = own.map(|lease| lease.address).collect();
            if own.contains(&address) {
                return Located::At(name.clone());
            }
            is_complete &= !own.is_empty();
            others.extend(own);
        }
        match is_complete {
            true => Located::Elsewhere(others),
            false => Located::Unknown,
        }
    }

    /// The current leases of all networks, from a query that began at `since` or later.
    async fn leases_since(&self, since: Instant) -> Result<Arc<[Lease]>, HypervisorError> {
        // Held during the query, so that callers who wait for the same one share it.
        let mut snapshot = self.snapshot.lock().await;
        if let Some(snapshot) = &*snapshot
            && snapshot.queried_at >= since
        {
            return Ok(Arc::clone(&snapshot.leases));
        }
        let queried_at = Instant::now();
        let now = Clock::start().now().to_system_time();
        let mut leases = Vec::new();
        for network in self.virsh.networks().await? {
            match self.virsh.leases(&network).await {
                Ok(output) => leases.extend(virsh_output::leases(&output)),
                // It has ended since it was listed, or has no DHCP server.
                Err(error) => log::debug!("failed to read the leases of {network}: {error}"),
            }
        }
        let is_current = |until: SystemTime| until > now;
        leases.retain(|lease| lease.expires_at.is_none_or(is_current));
        let leases: Arc<[Lease]> = leases.into();
        *snapshot = Some(Snapshot {
            queried_at,
            leases: Arc::clone(&leases),
        });
        Ok(leases)
    }

    /// The MAC addresses of a machine. Empty if it has none, or is not running.
    async fn macs_of(&self, name: &str) -> Vec<String> {
        if let Some(macs) = self.macs.lock().get(name) {
            return macs.clone();
        }
        match self.virsh.interfaces(name).await {
            Ok(output) => {
                let macs = virsh_output::macs(&output);
                if !macs.is_empty() {
                    self.macs.lock().insert(name.to_owned(), macs.clone());
                }
                macs
            }
            Err(error) => {
                // The guest may have ended since it was listed.
                log::debug!("failed to read the interfaces of guest {name}: {error}");
                Vec::new()
            }
        }
    }

    /// Removes what is known of a guest that has ended.
    pub fn forget(&self, name: &str) {
        self.macs.lock().remove(name);
    }

    /// Removes what is known of guests that are neither in `names` nor build images.
    pub fn retain(&self, names: &BTreeSet<String>, is_builder: impl Fn(&str) -> bool) {
        let is_kept = |name: &String| names.contains(name) || is_builder(name);
        self.macs.lock().retain(|name, _| is_kept(name));
    }
}
