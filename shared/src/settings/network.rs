//! Settings of the network: where the daemons listen, and where others reach them.
//!
//! Responsible for their defaults and limits. The crate `daemon` opens the listeners.

use std::net::{IpAddr, SocketAddr};

use super::{
    base_url::BaseUrl,
    error::SettingsError,
    kind::{self, Kind},
    table::{Table, User},
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
    /// Most connections of one client address; by default a quarter of all that there may be. Not for
    /// connections from this host or from `trusted_proxies`.
    pub connections_per_address_max: Option<usize>,
    /// The values of the header `Host` that are accepted, without ports; all if it is empty.
    pub allowed_hosts: Vec<String>,
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
        port: top.only_for(User::Monitor, |top| {
            top.or("port", 8000, &kind::number(0..=u16::MAX))
        })?,
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
        connections_per_address_max: top
            .optional("connections_per_address_max", &kind::number(1..=100_000))?,
        allowed_hosts: top.or("allowed_hosts", Vec::new(), &kind::list(host(), 0..=100))?,
    })
}

/// A name or an address, as the header `Host` has it.
fn host() -> Kind<String> {
    let allowed =
        "a host name or an IP address without a port, such as \"ci.example\" or \"[::1]\"";
    kind::text(allowed, |text| {
        let has_port = match text.strip_prefix('[') {
            Some(address) => !address.ends_with(']') || address.contains("]:"),
            None => text.contains(':'),
        };
        let is_visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'@' | b'*');
        (1..=253).contains(&text.len()) && !has_port && text.bytes().all(is_visible)
    })
}

/// A URL that must end with `/`; existing files always had to contain it.
pub(super) fn reachable_url() -> Kind<BaseUrl> {
    kind::understood(
        "an http or https URL that ends with \"/\", such as \"http://192.168.100.1:8000/\"",
        |text| text.strip_suffix('/')?.parse().ok(),
    )
}

#[cfg(test)]
mod tests {
    use figment::value::Value;

    use super::*;

    #[test]
    fn an_allowed_host_has_no_port() {
        for (text, is_valid) in [
            ("ci.example", true),
            ("192.0.2.1", true),
            ("[2001:db8::1]", true),
            ("", false),
            ("ci.example:8000", false),
            ("2001:db8::1", false),
            ("[::1]:8000", false),
            ("[::1", false),
            ("http://ci.example", false),
            ("*.example", false),
            ("a b", false),
        ] {
            let read = host().read(&Value::from(text));
            assert_eq!(read.is_ok(), is_valid, "{text}");
        }
    }
}
