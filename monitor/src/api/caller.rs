//! From which address a request comes, for the log.
//!
//! Owns whose word about that is believed: only that of a proxy in the settings. No decision rests
//! on an address.

use std::net::IpAddr;

use actix_web::HttpRequest;

/// The address of whoever sent the request: the other end of the connection, or, if that is a
/// trusted proxy, what it says in `X-Real-IP` or else as the last in `X-Forwarded-For`.
pub fn address_of(request: &HttpRequest, trusted_proxies: &[IpAddr]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    if !trusted_proxies
        .iter()
        .any(|proxy| proxy.to_canonical() == peer)
    {
        return Some(peer);
    }
    let header = |name| {
        let header = request.headers().get_all(name).last()?;
        let last = header.to_str().ok()?.rsplit(',').next()?;
        last.trim().parse::<IpAddr>().ok()
    };
    let told = header("x-real-ip").or_else(|| header("x-forwarded-for"));
    Some(told.unwrap_or(peer).to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn seen(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut request = TestRequest::default().peer_addr(format!("{peer}:1").parse().unwrap());
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        let proxies = ["10.0.0.1".parse().unwrap()];
        address_of(&request.to_http_request(), &proxies)
            .unwrap()
            .to_string()
    }

    /// Lesson 23: `X-Real-IP` was believed from anyone.
    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let real = ("x-real-ip", "192.0.2.7");
        let forwarded = ("x-forwarded-for", "192.0.2.9, 192.0.2.8");
        for (peer, headers, expected) in [
            ("10.0.0.2", &[real, forwarded][..], "10.0.0.2"),
            ("10.0.0.1", &[real, forwarded], "192.0.2.7"),
            ("[::ffff:10.0.0.1]", &[real], "192.0.2.7"),
            ("10.0.0.1", &[forwarded], "192.0.2.8"),
            ("10.0.0.1", &[("x-real-ip", "nobody")], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            assert_eq!(seen(peer, headers), expected, "{peer} {headers:?}");
        }
    }
}
