//! What the host has for guests, which limits what the settings allow.
//!
//! The smaller of both counts, so that a setting that the host cannot satisfy is found in the log
//! and on the dashboard rather than by a guest that does not start. Servers without virtual machines
//! are not queried: the memory of processes cannot be reserved in advance.

use shared::units::Memory;

use crate::Resources;

/// What the host has for all guests together; none where libvirt does not report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCapacity {
    /// Hugepages of 1 GiB, those in use included.
    pub hugepages_1g: Option<u64>,
    /// Memory that is not reserved for hugepages of any size.
    pub memory: Option<Memory>,
}

impl HostCapacity {
    /// The smaller of what is configured and what the host has, for each kind of resource.
    pub fn limit(self, configured: Resources) -> Resources {
        let Resources {
            hugepages_1g,
            memory,
        } = configured;
        Resources {
            hugepages_1g: hugepages_1g.min(self.hugepages_1g.unwrap_or(hugepages_1g)),
            memory: memory.min(self.memory.unwrap_or(memory)),
        }
    }

    /// A sentence for each setting that exceeds what the host has.
    pub fn warnings(self, configured: Resources) -> Vec<String> {
        let available = self.limit(configured);
        let mut warnings = Vec::new();
        if available.memory < configured.memory {
            warnings.push(format!(
                "available_normal_memory is {}, but this host has only {}; using the smaller value",
                configured.memory, available.memory
            ));
        }
        if available.hugepages_1g < configured.hugepages_1g {
            warnings.push(format!(
                "available_1g_hugepages is {}, but this host has only {}; using the smaller value",
                configured.hugepages_1g, available.hugepages_1g
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests;
