//! Proxies for outgoing requests, from the variables that curl and other programs read.
//!
//! Responsible for which proxy, if any, a request goes through. Errors and texts never contain the
//! user and password of a proxy.

use std::{fmt, net::IpAddr};

use http::Uri;
use percent_encoding::percent_decode_str;

use super::{BaseUrl, environment::Environment, error::SettingsError};
use crate::secret::Secret;

/// Names of the variable with the proxy of `https` URLs, in the order of precedence.
pub(super) const HTTPS_PROXY: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
/// Names of the variable with the proxy of `http` URLs.
pub(super) const HTTP_PROXY: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
/// Names of the variable with the exceptions.
pub(super) const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// The port of a proxy that is given without one.
const PORT_DEFAULT: u16 = 80;
/// Maximum length of a proxy's address, and number of exceptions.
const LENGTH_MAX: usize = 2048;
const EXCEPTIONS_MAX: usize = 1000;

/// An HTTP proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The value of `Proxy-Authorization`, without its scheme `Basic`: `user:password`, not encoded.
    pub credentials: Option<Secret>,
    /// The variable that it comes from.
    pub variable: &'static str,
}

impl fmt::Display for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "http://[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "http://{}:{}", self.host, self.port)
        }
    }
}

/// The proxies of this process, and what is reached without them.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    https: Option<Proxy>,
    http: Option<Proxy>,
    exceptions: Vec<Exception>,
    is_loopback_direct: bool,
}

/// An entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// A domain and its subdomains, in lower case, without dots at its ends.
    Domain(String),
    /// Addresses whose first bits are those of this one.
    Network(IpAddr, u8),
}

impl Proxies {
    /// Reads the variables. An empty one counts as not set.
    ///
    /// # Errors
    /// When a proxy is not an HTTP proxy.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let first = |names: &[&'static str]| {
            let mut set = names
                .iter()
                .filter_map(|&name| Some((name, environment.get(name)?)));
            set.next()
        };
        let proxy = |names| match first(names) {
            Some((name, value)) => parse_proxy(name, value).map(Some),
            None => Ok(None),
        };
        let exceptions = first(&NO_PROXY).map_or("", |(_, value)| value);
        Ok(Self {
            https: proxy(&HTTPS_PROXY)?,
            http: proxy(&HTTP_PROXY)?,
            exceptions: exceptions
                .split([',', ' ', '\t'])
                .filter_map(parse_exception)
                .take(EXCEPTIONS_MAX)
                .collect(),
            is_loopback_direct: false,
        })
    }

    /// The same proxies, with all addresses of this machine reached without them: for requests to
    /// other daemons.
    pub fn but_not_for_loopback(&self) -> Self {
        Self {
            is_loopback_direct: true,
            ..self.clone()
        }
    }

    /// The proxy of requests below a base URL, if they go through one.
    pub fn of_base_url(&self, url: &BaseUrl) -> Option<&Proxy> {
        let uri: Uri = url.as_str().parse().ok()?;
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        self.proxy(is_https, uri.host()?, port)
    }

    /// The proxy of a request, if it goes through one. An unencrypted request to this machine never
    /// does: a proxy could not reach it.
    pub fn proxy(&self, is_https: bool, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = if is_https { &self.https } else { &self.http };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_direct = (is_loopback(&host) && (self.is_loopback_direct || !is_https))
            || self.exceptions.iter().any(|it| it.matches(&host, port));
        proxy.as_ref().filter(|_| !is_direct)
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>().map(|it| it.to_canonical());
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|it| it.is_loopback() || it.is_unspecified())
}

impl Exception {
    fn matches(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        match &self.hosts {
            Hosts::All => true,
            Hosts::Domain(domain) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            Hosts::Network(network, bits) => host
                .parse()
                .is_ok_and(|address: IpAddr| is_in(address.to_canonical(), *network, *bits)),
        }
    }
}

/// Whether the first `bits` of two addresses of the same kind are equal.
fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (differing, width) = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(one.to_bits() ^ other.to_bits()), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits(), 128),
        _ => return false,
    };
    differing.checked_shr(width - u32::from(bits)).unwrap_or(0) == 0
}

fn parse_exception(text: &str) -> Option<Exception> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let (host, port) = split_port(text);
    let hosts = match host.split_once('/') {
        Some((network, bits)) => {
            let network: IpAddr = network.parse().ok()?;
            let width = if network.is_ipv4() { 32 } else { 128 };
            let bits = bits.parse().ok().filter(|&bits| bits <= width)?;
            Hosts::Network(network, bits)
        }
        None => match host.parse::<IpAddr>() {
            Ok(address) => {
                let address = address.to_canonical();
                Hosts::Network(address, if address.is_ipv4() { 32 } else { 128 })
            }
            Err(_) if host == "*" => Hosts::All,
            Err(_) => {
                let domain = host.trim_start_matches('*').trim_matches('.');
                Hosts::Domain(domain.to_ascii_lowercase())
            }
        },
    };
    Some(Exception { hosts, port }).filter(|it| it.hosts != Hosts::Domain(String::new()))
}

/// A host without brackets, and the port if there is one.
fn split_port(text: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|it| it.split_once(']')) {
        let port = rest.strip_prefix(':').and_then(|port| port.parse().ok());
        return (address, port);
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
        // More than one colon: an IPv6 address without brackets.
        _ => (text, None),
    }
}

fn parse_proxy(variable: &'static str, text: &str) -> Result<Proxy, SettingsError> {
    let error = |problem: &str| SettingsError::Secret {
        name: variable,
        problem: format!(
            "{problem}; allowed: an HTTP proxy, such as http://proxy.example:3128 or \
             http://user:password@proxy.example:3128"
        ),
    };
    let text = text.trim();
    let is_text = |byte: u8| byte.is_ascii_graphic();
    if text.len() > LENGTH_MAX || !text.bytes().all(is_text) {
        return Err(error("[secret], which contains blanks or is too long"));
    }
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        Some((scheme, _)) => {
            let scheme: String = scheme.chars().take(16).collect();
            return Err(error(&format!(
                "proxies of the kind {scheme}:// are not supported"
            )));
        }
        None => text,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let (credentials, address) = match authority.rsplit_once('@') {
        Some((credentials, address)) => (Some(credentials), address),
        None => (None, authority),
    };
    let (host, port) = split_port(address);
    let has_port = address.len() > host.len() + if address.starts_with('[') { 2 } else { 0 };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) || (has_port && port.is_none()) {
        return Err(error("[secret], which has no valid host and port"));
    }
    Ok(Proxy {
        host: host.to_owned(),
        port: port.unwrap_or(PORT_DEFAULT),
        credentials: credentials.map(|text| {
            let decoded = percent_decode_str(text).decode_utf8_lossy();
            Secret::new(decoded.into_owned())
        }),
        variable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::read(&variables.iter().copied().collect()).unwrap()
    }

    fn shown(proxies: &Proxies, is_https: bool, host: &str, port: u16) -> Option<String> {
        let proxy = proxies.proxy(is_https, host, port);
        proxy.map(ToString::to_string)
    }

    #[test]
    fn a_proxy_is_read_with_and_without_scheme_port_and_credentials() {
        for (text, address, credentials) in [
            ("http://proxy:3128", "http://proxy:3128", None),
            ("http://proxy:3128/", "http://proxy:3128", None),
            ("HTTP://proxy", "http://proxy:80", None),
            ("proxy.example:8080", "http://proxy.example:8080", None),
            ("http://10.0.0.1:1", "http://10.0.0.1:1", None),
            ("http://[::1]:8080", "http://[::1]:8080", None),
            ("http://u:p@proxy:1", "http://proxy:1", Some("u:p")),
            (
                "http://u%40a:p%3A%2f@proxy:1",
                "http://proxy:1",
                Some("u@a:p:/"),
            ),
            ("u:p@ss@proxy:1", "http://proxy:1", Some("u:p@ss")),
            ("http://u@proxy:1", "http://proxy:1", Some("u")),
        ] {
            let proxies = proxies(&[("HTTPS_PROXY", text)]);
            let proxy = proxies.proxy(true, "api.github.com", 443).unwrap();
            assert_eq!(proxy.to_string(), address, "{text}");
            let found = proxy.credentials.as_ref().map(Secret::expose);
            assert_eq!(found, credentials, "{text}");
            assert!(!format!("{proxy:?}").contains(":p"), "{proxy:?}");
        }
    }

    #[test]
    fn what_is_no_http_proxy_is_refused_without_repeating_its_password() {
        for text in [
            "socks5://u:hunter2@proxy:1",
            "https://u:hunter2@proxy:1",
            "http://u:hunter2@",
            "http://u:hunter2@proxy:99999",
            "http://u:hunter2@proxy:port",
            "http://u:hunter2@pro xy:1",
            "http://u:hunter2@pro\u{fc}xy:1",
            "http://",
        ] {
            let environment = Environment::from_iter([("https_proxy", text)]);
            let error = Proxies::read(&environment).unwrap_err().to_string();
            assert!(error.starts_with("https_proxy: "), "{error}");
            assert!(error.contains("http://proxy.example:3128"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn each_scheme_has_its_variable_and_lower_case_comes_first() {
        let both = proxies(&[
            ("HTTPS_PROXY", "http://upper:1"),
            ("https_proxy", "http://lower:1"),
            ("HTTP_PROXY", "http://plain:1"),
        ]);
        let of = |is_https| shown(&both, is_https, "host", 80).unwrap();
        assert_eq!(
            (of(true), of(false)),
            ("http://lower:1".into(), "http://plain:1".into())
        );
        let one = proxies(&[("HTTPS_PROXY", "http://upper:1"), ("https_proxy", "")]);
        assert_eq!(shown(&one, true, "host", 443).unwrap(), "http://upper:1");
        assert_eq!(shown(&one, false, "host", 80), None);
        let all = proxies(&[("ALL_PROXY", "http://all:1")]);
        assert_eq!(shown(&all, false, "host", 80).unwrap(), "http://all:1");
        assert_eq!(shown(&Proxies::default(), true, "host", 443), None);
    }

    #[test]
    fn the_port_of_a_base_url_is_that_of_its_scheme_by_default() {
        let proxies = proxies(&[("ALL_PROXY", "http://proxy:1"), ("NO_PROXY", "a:443,b:80")]);
        for (url, is_direct) in [
            ("https://a/api/v3", true),
            ("http://a/api/v3", false),
            ("http://b", true),
            ("https://b:80", true),
            ("https://b", false),
        ] {
            let url: BaseUrl = url.parse().unwrap();
            assert_eq!(proxies.of_base_url(&url).is_none(), is_direct, "{url}");
        }
    }

    #[test]
    fn exceptions_are_domains_addresses_networks_and_ports() {
        for (no_proxy, host, is_direct) in [
            ("*", "api.github.com", true),
            ("github.com", "github.com", true),
            ("github.com", "api.github.com", true),
            ("GitHub.com", "API.github.COM", true),
            (".github.com", "api.github.com", true),
            ("*.github.com", "api.github.com", true),
            ("github.com.", "api.github.com.", true),
            ("github.com", "notgithub.com", false),
            ("github.com", "github.com.example", false),
            ("api.github.com:443", "api.github.com", true),
            ("api.github.com:8443", "api.github.com", false),
            ("a,b , api.github.com", "api.github.com", true),
            ("a b api.github.com", "api.github.com", true),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.70", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.0.0.0/8", "10.example", false),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("fd00::/8", "[fd00::1]", true),
            ("[fd00::1]:443", "fd00::1", true),
            ("fd00::1", "[fd00::2]", false),
            ("", "api.github.com", false),
            (",", "api.github.com", false),
            (".", "api.github.com", false),
        ] {
            let proxies = proxies(&[("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", no_proxy)]);
            let found = proxies.proxy(true, host, 443);
            assert_eq!(found.is_none(), is_direct, "{no_proxy:?} {host}");
        }
    }

    #[test]
    fn this_machine_is_reached_directly_without_encryption_and_by_other_daemons() {
        let all = proxies(&[("ALL_PROXY", "http://proxy:1")]);
        for host in [
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "127.0.0.1",
            "127.1.2.3",
            "[::1]",
        ] {
            assert!(all.proxy(false, host, 80).is_none(), "{host}");
            assert!(all.proxy(true, host, 443).is_some(), "{host}");
            let for_daemons = all.but_not_for_loopback();
            assert!(for_daemons.proxy(true, host, 443).is_none(), "{host}");
            assert!(for_daemons.proxy(true, "10.0.0.1", 443).is_some());
        }
        assert!(all.proxy(false, "localhost.example", 80).is_some());
    }
}
