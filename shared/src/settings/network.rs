//! Settings of the network: where the daemons listen, and where others reach them.
//!
//! Responsible for their defaults and limits. The crate `daemon` opens the listeners.

use std::net::{IpAddr, SocketAddr};

use super::{
    base_url::BaseUrl,
    error::SettingsError,
    kind::{self, Kind},
    table::Table,
};

/// Addresses and ports. Each field is named as its key.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// The addresses on which both daemons listen; at least one, without duplicates.
    pub listen_on: Vec<IpAddr>,
    /// The port of the monitor; 0 selects a free one.
    pub port: u16,
    /// The URL at which clients reach the monitor.
    pub external_base_url: BaseUrl,
    /// The URL at which guests reach the monitor.
    pub guest_base_url: BaseUrl,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpAddr>,
}

impl NetworkSettings {
    /// The addresses of `listen_on` with this port.
    pub fn addresses(&self, port: u16) -> Vec<SocketAddr> {
        self.listen_on
            .iter()
            .map(|&ip| SocketAddr::new(ip, port))
            .collect()
    }
}

pub(super) fn read_network(top: &mut Table<'_>) -> Result<NetworkSettings, SettingsError> {
    let address = || kind::parsed("an IP address without a port, such as \"127.0.0.1\" or \"::1\"");
    let external_base_url = top.required("external_base_url", &reachable_url())?;
    Ok(NetworkSettings {
        listen_on: top.required("listen_on", &kind::distinct(address(), 1..=32))?,
        port: top.or("port", 8000, &kind::number(0..=u16::MAX))?,
        guest_base_url: top.or(
            "guest_base_url",
            external_base_url.clone(),
            &reachable_url(),
        )?,
        external_base_url,
        trusted_proxies: top.or(
            "trusted_proxies",
            Vec::new(),
            &kind::distinct(address(), 0..=100),
        )?,
    })
}

/// A URL that must end with `/`; existing files always had to contain it.
fn reachable_url() -> Kind<BaseUrl> {
    kind::understood(
        "an http or https URL that ends with \"/\", such as \"http://192.168.100.1:8000/\"",
        |text| text.strip_suffix('/')?.parse().ok(),
    )
}
