//! What the host has, as libvirt says, beside what the settings promise of it.
//!
//! Owns which of the two counts: of everything the smaller one, so that a promise that the host
//! cannot keep is found in the log and on the dashboard rather than by a guest that does not start.
//! What libvirt does not say is as the settings say. Without virtual machines nobody is asked: what
//! processes take cannot be held against what a host sets aside.

use std::time::Duration;

use shared::units::Memory;

use crate::{Monitor, Resources};

/// How old the answer may get. What a host has changes by hand: memory or hugepages are added to it,
/// or set aside for something else.
pub(crate) const INTERVAL: Duration = Duration::from_secs(600);

/// What the host has for guests and all others together; none where libvirt does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCapacity {
    /// Hugepages of 1 GiB, those in use included.
    pub hugepages_1g: Option<u64>,
    /// Memory that is not set aside for hugepages of any size.
    pub memory: Option<Memory>,
}

impl Monitor {
    /// What all guests together may take.
    pub(crate) fn capacity(&self) -> Resources {
        let host = self.host.unwrap_or_default();
        let Resources {
            hugepages_1g,
            memory,
        } = self.policy.capacity;
        Resources {
            hugepages_1g: hugepages_1g.min(host.hugepages_1g.unwrap_or(hugepages_1g)),
            memory: memory.min(host.memory.unwrap_or(memory)),
        }
    }

    /// Whether the first answer about the host is still to come.
    pub(crate) fn is_host_unknown(&self) -> bool {
        self.policy.makes_virtual_machines() && self.host.is_none()
    }

    /// What the host has. Gives the promises that it cannot keep, in words, if they are others than
    /// before.
    pub fn handle_host(&mut self, host: HostCapacity) -> Vec<String> {
        let before = self.capacity_warnings();
        self.host = Some(host);
        self.host_rhythm.succeed();
        let broken = self.capacity_warnings();
        match broken == before {
            true => Vec::new(),
            false => broken,
        }
    }

    /// Where the settings promise more than the host has, in words.
    pub(crate) fn capacity_warnings(&self) -> Vec<String> {
        let (promised, had) = (self.policy.capacity, self.capacity());
        let mut broken = Vec::new();
        if had.memory < promised.memory {
            broken.push(format!(
                "available_normal_memory is {}, but all of this host's is {}: that is what counts",
                promised.memory, had.memory
            ));
        }
        if had.hugepages_1g < promised.hugepages_1g {
            broken.push(format!(
                "available_1g_hugepages is {}, but this host has set aside {}: that is what counts",
                promised.hugepages_1g, had.hugepages_1g
            ));
        }
        broken
    }
}

#[cfg(test)]
mod tests;
