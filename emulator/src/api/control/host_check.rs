//! Rejects control requests by host name, which a web page could have pointed at this machine.

use std::net::IpAddr;

use actix_web::{
    Error, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::HOST,
    middleware::Next,
};

use crate::api::{ApiError, emulator_of};

/// Accepts requests to `localhost`, to an IP address, or to the host of the public URL. DNS rebinding
/// works with none of these.
pub(super) async fn only_local_hosts(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let emulator = emulator_of(&request);
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let public = emulator
        .base_url()
        .split_once("://")
        .map_or("", |(_, rest)| rest);
    if is_local(host) || host == public {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    Ok(request.into_response(ApiError::WrongHost.error_response()))
}

fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_local() {
        for (host, local) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1", true),
            ("127.0.0.1:8080", true),
            ("10.0.2.2:80", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("evil.example", false),
            ("127.0.0.1.evil.example:80", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_local(host), local, "{host}");
        }
    }
}
