//! The address of a client: the peer of its connection, or what a trusted proxy states about it.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    net::IpAddr,
    sync::Arc,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Data};

/// The proxies whose `X-Real-IP` and `X-Forwarded-For` are trusted, as application data.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpAddr]>);

impl TrustedProxies {
    /// These proxies.
    pub fn new(addresses: &[IpAddr]) -> Self {
        Self(addresses.iter().map(IpAddr::to_canonical).collect())
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

/// Extracts the address of the client; `None` if the connection has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl ClientAddress {
    /// The address of the sender of `request`.
    pub fn of(request: &HttpRequest) -> Self {
        let proxies = request.app_data::<Data<TrustedProxies>>();
        Self::behind(request, proxies.map_or(&TrustedProxies::default(), |it| it))
    }

    /// The peer of the connection, or, if that is a trusted proxy, the address in `X-Real-IP` or else the
    /// last one in `X-Forwarded-For`.
    fn behind(request: &HttpRequest, proxies: &TrustedProxies) -> Self {
        let Some(peer) = request.peer_addr().map(|peer| peer.ip().to_canonical()) else {
            return Self(None);
        };
        if !proxies.contains(peer) {
            return Self(Some(peer));
        }
        let header = |name| {
            let header = request.headers().get_all(name).last()?;
            let last = header.to_str().ok()?.rsplit(',').next()?;
            last.trim().parse::<IpAddr>().ok()
        };
        let forwarded = header("x-real-ip").or_else(|| header("x-forwarded-for"));
        Self(Some(forwarded.unwrap_or(peer).to_canonical()))
    }
}

impl FromRequest for ClientAddress {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(formatter),
            None => formatter.write_str("an unknown address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn address(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut request = TestRequest::default()
            .peer_addr(format!("{peer}:1").parse().unwrap())
            .app_data(Data::new(TrustedProxies::new(&["10.0.0.1"
                .parse()
                .unwrap()])));
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        ClientAddress::of(&request.to_http_request()).to_string()
    }

    /// Otherwise any client could claim the address of a guest, or that of another client.
    #[test]
    fn the_address_in_a_header_counts_only_from_a_trusted_proxy() {
        let real = ("x-real-ip", "192.0.2.7");
        let forwarded = ("x-forwarded-for", "192.0.2.9, 192.0.2.8");
        for (peer, headers, expected) in [
            ("10.0.0.2", &[real, forwarded][..], "10.0.0.2"),
            ("10.0.0.1", &[real, forwarded], "192.0.2.7"),
            ("[::ffff:10.0.0.1]", &[real], "192.0.2.7"),
            ("10.0.0.1", &[forwarded], "192.0.2.8"),
            ("10.0.0.1", &[("x-real-ip", "unknown")], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            assert_eq!(address(peer, headers), expected, "{peer} {headers:?}");
        }
    }
}
