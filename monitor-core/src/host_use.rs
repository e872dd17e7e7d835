//! What the host has for guests and what they use of it, for the dashboard.
//!
//! Not responsible for what may be created, which `planning` decides by the same sums.

use std::collections::BTreeMap;

use shared::{
    units::Memory,
    values::ProfileKey,
    wire::{Amounts, HostUse, ProfileUse, RunnerStatus},
};

use crate::{Monitor, Resources};

impl Monitor {
    /// What the host has for guests and what those of each profile use, by what they do. A runner that was
    /// found and whose profile is unknown uses an unknown amount, which is not counted.
    pub(crate) fn host_use(&self) -> HostUse {
        let statuses = self.statuses();
        let mut profiles: BTreeMap<ProfileKey, ProfileUse> = BTreeMap::new();
        for (id, record) in &self.durable.runners {
            if !self.occupies_host(*id, record) {
                continue;
            }
            let of_profile = profiles.entry(record.profile_key.clone()).or_default();
            let part = match statuses.get(id) {
                Some(RunnerStatus::Busy) => &mut of_profile.busy,
                Some(RunnerStatus::Reserved) => &mut of_profile.reserved,
                _ => &mut of_profile.other,
            };
            add(part, record.needs.unwrap_or_default());
        }
        for (profile_key, needs) in self.images.builds() {
            let of_profile = profiles.entry(profile_key.clone()).or_default();
            add(&mut of_profile.build, needs);
        }
        let capacity = self.capacity();
        let in_use = profiles.values().map(total).sum::<Resources>();
        HostUse {
            capacity: amounts(capacity),
            free: amounts(capacity - in_use),
            profiles,
        }
    }
}

fn add(sum: &mut Amounts, more: Resources) {
    sum.hugepages_1g = sum.hugepages_1g.saturating_add(more.hugepages_1g);
    sum.memory_bytes = sum.memory_bytes.saturating_add(more.memory.bytes());
}

fn total(of_profile: &ProfileUse) -> Resources {
    let ProfileUse {
        busy,
        reserved,
        other,
        build,
    } = of_profile;
    let parts = [busy, reserved, other, build].into_iter();
    let parts = parts.map(|part| Resources {
        hugepages_1g: part.hugepages_1g,
        memory: Memory::from_bytes(part.memory_bytes),
    });
    parts.sum()
}

fn amounts(resources: Resources) -> Amounts {
    let mut amounts = Amounts::default();
    add(&mut amounts, resources);
    amounts
}

#[cfg(test)]
mod tests {
    use crate::testing::{TestPool, profile_key};

    use super::*;

    const GIB: u64 = 1 << 30;

    fn gib(hugepages_1g: u64, memory: u64) -> Amounts {
        Amounts {
            hugepages_1g,
            memory_bytes: memory * GIB,
        }
    }

    /// Two profiles, of which one uses hugepages, on a host with 8 hugepages and 16 GiB.
    fn pool() -> TestPool {
        let mut pool = TestPool::with_idle(&[("linux", 3), ("windows", 1)]);
        let resources = |hugepages_1g, memory| Resources {
            hugepages_1g,
            memory: Memory::from_bytes(memory * GIB),
        };
        pool.monitor.policy.capacity = resources(8, 16);
        for record in pool.monitor.durable.runners.values_mut() {
            record.needs = Some(match record.profile_key.as_str() {
                "linux" => resources(0, 2),
                _ => resources(4, 1),
            });
        }
        pool
    }

    #[test]
    fn what_runners_use_is_counted_by_what_they_do() {
        let mut pool = pool();
        pool.take("job", "linux", 1).unwrap();
        pool.world.start_job(1);
        pool.poll();
        let host = pool.monitor.host_use();
        assert_eq!(host.capacity, gib(8, 16));
        assert_eq!(host.free, gib(4, 9));
        let linux = host.profiles[&profile_key("linux")];
        assert_eq!(linux.reserved, gib(0, 2));
        assert_eq!(linux.busy, gib(0, 2));
        assert_eq!(linux.other, gib(0, 2));
        assert_eq!(host.profiles[&profile_key("windows")].other, gib(4, 1));
    }

    #[test]
    fn a_host_that_has_less_than_its_guests_use_has_nothing_free() {
        let mut pool = pool();
        pool.monitor.policy.capacity = Resources::default();
        let host = pool.monitor.host_use();
        assert_eq!((host.capacity, host.free), Default::default());
        assert_eq!(host.profiles.len(), 2);
    }
}
