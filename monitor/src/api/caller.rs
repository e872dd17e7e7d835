//! From which address a request comes, and which guest that is.
//!
//! Owns whose word about an address is believed: only that of a proxy in the settings. And owns that
//! a guest is recognised by what its profile demands: its secret, the address that the host gave to
//! it, or both.

use std::{fmt, net::IpAddr};

use actix_web::HttpRequest;
use daemon::{
    auth::Bearer,
    error::{ApiError, Code},
};
use shared::{secret::Secret, values::ProfileKey};

use super::{Desk, NOT_READY_RETRY_SECONDS};
use monitor_core::{GuestIdentity, RunnerId};

/// The guest that sends a request.
pub struct Caller {
    /// Whose guest it is.
    pub whose: Whose,
    /// Where it is.
    pub address: Address,
}

/// What a guest is there for.
#[derive(Clone, Debug)]
pub enum Whose {
    /// It is this runner's.
    Runner(RunnerId),
    /// It builds the image of this profile.
    Builder(ProfileKey),
}

impl fmt::Display for Whose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runner(id) => write!(formatter, "runner {id}"),
            Self::Builder(profile_key) => write!(formatter, "the rebuild of {profile_key}"),
        }
    }
}

/// An address, for the log.
pub struct Address(pub Option<IpAddr>);

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(formatter),
            None => formatter.write_str("an unknown address"),
        }
    }
}

/// Which guest it is that sends a request.
///
/// # Errors
/// The refusal, when it is none, or not yet known to be one.
pub async fn guest_of(desk: &Desk, request: &HttpRequest) -> Result<Caller, ApiError> {
    let guest_secret = match Bearer::of(request) {
        Bearer::Token(guest_secret) => Some(guest_secret),
        Bearer::Missing => None,
        Bearer::Garbled => return Err(not_a_guest()),
    };
    let address = address_of(request, &desk.trusted_proxies);
    let asker = desk
        .pool
        .read(|core| core.identify_guest(guest_secret.as_ref().map(Secret::expose), address));
    let address = Address(address);
    let (whose, guest_name) = match asker {
        GuestIdentity::Guest(id) => {
            let whose = Whose::Runner(id);
            return Ok(Caller { whose, address });
        }
        GuestIdentity::GuestIfAt { id, guest_name } => (Whose::Runner(id), guest_name),
        GuestIdentity::BuilderIfAt {
            profile_key,
            guest_name,
        } => (Whose::Builder(profile_key), guest_name),
        GuestIdentity::NotYet => return Err(not_yet()),
        GuestIdentity::Unknown => {
            log::debug!("somebody at {address} who is no guest asks for what is for guests");
            return Err(match guest_secret {
                Some(_) => not_a_guest(),
                None => no_secret(),
            });
        }
    };
    match desk.hypervisor.address(&guest_name).await {
        Some(its_own) if Some(IpAddr::V4(its_own)) == address.0 => Ok(Caller { whose, address }),
        Some(its_own) => {
            log::error!(
                "alarm: somebody at {address} has what only the guest of {whose} at {its_own} \
                 should have"
            );
            Err(not_a_guest())
        }
        None => Err(not_yet()),
    }
}

fn no_secret() -> ApiError {
    ApiError::new(
        Code::Unauthorised,
        "this call is for guests, and needs the header `Authorization: Bearer <secret of the guest>`",
    )
}

fn not_a_guest() -> ApiError {
    ApiError::new(
        Code::NotYours,
        "that is not the secret of a guest of this server, or not from where that guest is",
    )
}

fn not_yet() -> ApiError {
    ApiError::new(
        Code::NotReady,
        "the address of the guest is not known yet; ask again",
    )
    .retry_after(NOT_READY_RETRY_SECONDS)
}

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
