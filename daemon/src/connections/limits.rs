//! How many connections there may be, and how slow.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shared::settings::NetworkSettings;

/// How long the head of a request may take to arrive.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that does not read as fast as it is written to must read [`WRITTEN_MIN`] bytes in this time.
pub(super) const WRITE_WINDOW: Duration = Duration::from_secs(10);
/// See [`WRITE_WINDOW`]: 4 KiB a second.
pub(super) const WRITTEN_MIN: u64 = 40 << 10;

/// Most descriptors that a daemon asks for. More would be of no use, and programs that it starts inherit
/// the limit; some of them try to close every descriptor below it.
const DESCRIPTORS_MAX: u64 = 131_072;
/// Descriptors that are not used for connections of clients: files, pipes of guests, connections to
/// GitHub and to monitors. A quarter of all, within these limits.
const RESERVE: std::ops::RangeInclusive<u64> = 64..=8192;
/// Most connections of clients, however many descriptors there are.
const CONNECTIONS_MAX: u64 = 80_000;
/// The fewest connections of one address that are allowed by default.
const PER_ADDRESS_MIN: usize = 64;

/// Settings of connections that differ between installations.
#[derive(Clone, Debug, Default)]
pub struct ConnectionSettings {
    /// Most connections of one address; by default a quarter of all.
    pub connections_per_address_max: Option<usize>,
    /// Addresses without such a limit, because they stand for many clients.
    pub trusted_proxies: Vec<IpAddr>,
}

impl ConnectionSettings {
    /// Those of the settings of a daemon.
    pub fn of(settings: &NetworkSettings) -> Self {
        Self {
            connections_per_address_max: settings.connections_per_address_max,
            trusted_proxies: settings.trusted_proxies.clone(),
        }
    }
}

/// Raises the soft limit of descriptors as far as the hard limit allows. Does nothing if that fails: the
/// number of connections follows from the limit that there is.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(DESCRIPTORS_MAX);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        };
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// The limits of this process.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Most connections at a time.
    pub(super) total: usize,
    /// Most connections of one address at a time.
    pub(super) per_address: usize,
    /// Connections that may be accepted beyond `total` until older ones are closed.
    pub(super) slack: usize,
    exempt: Vec<IpAddr>,
}

/// What connections are counted by: an IPv4 address, or the network of an IPv6 address, of which one
/// client has all addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

impl Limits {
    /// Those that follow from the process's limit of descriptors.
    pub(crate) fn of_process(settings: &ConnectionSettings) -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        Self::with_descriptors(descriptors, settings)
    }

    pub(super) fn with_descriptors(descriptors: u64, settings: &ConnectionSettings) -> Self {
        let reserve = (descriptors / 4).clamp(*RESERVE.start(), *RESERVE.end());
        let total = descriptors
            .saturating_sub(reserve)
            .clamp(16, CONNECTIONS_MAX);
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let per_address = settings
            .connections_per_address_max
            .unwrap_or((total / 4).max(PER_ADDRESS_MIN));
        Self {
            total,
            per_address,
            slack: usize::try_from(reserve / 4).unwrap_or(usize::MAX),
            exempt: settings
                .trusted_proxies
                .iter()
                .map(IpAddr::to_canonical)
                .collect(),
        }
    }

    /// How many connections each of the workers may have: together some more than the limit, so that a
    /// new connection arrives while an older one is being closed.
    pub(crate) fn per_worker(&self, workers: usize) -> usize {
        (self.total + self.slack) / workers
    }

    /// What a connection from `address` is counted by; `None` if it is exempt, as those of this host and
    /// of proxies are.
    pub(super) fn source_of(&self, address: IpAddr) -> Option<Source> {
        let address = address.to_canonical();
        if address.is_loopback() || self.exempt.contains(&address) {
            return None;
        }
        Some(Source(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                Ipv6Addr::from(network).into()
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_kept_for_files_and_guests() {
        for (descriptors, total, per_address, per_worker) in [
            (0, 16, 64, 16),
            (256, 192, 64, 104),
            (1024, 768, 192, 416),
            (4096, 3072, 768, 1664),
            (65_536, 57_344, 14_336, 29_696),
            (u64::MAX, 80_000, 20_000, 41_024),
        ] {
            let limits = Limits::with_descriptors(descriptors, &ConnectionSettings::default());
            let found = (limits.total, limits.per_address, limits.per_worker(2));
            assert_eq!(found, (total, per_address, per_worker), "{descriptors}");
            let both = u64::try_from(2 * limits.per_worker(2)).unwrap();
            assert!(descriptors < 256 || both < descriptors, "{descriptors}");
        }
    }

    #[test]
    fn connections_are_counted_by_address_or_ipv6_network() {
        let settings = ConnectionSettings {
            connections_per_address_max: Some(7),
            trusted_proxies: vec!["192.0.2.9".parse().unwrap()],
        };
        let limits = Limits::with_descriptors(1024, &settings);
        assert_eq!(limits.per_address, 7);
        let source = |address: &str| limits.source_of(address.parse().unwrap());
        for exempt in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "192.0.2.9",
            "::ffff:192.0.2.9",
        ] {
            assert_eq!(source(exempt), None, "{exempt}");
        }
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert!(source("192.0.2.1").is_some());
    }
}
