//! Listens on a port, with an error that helps if the port is taken.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
};

use cli::failure::Failure;

/// Listens on `address` for the server `name`; `option` is the option that chooses another port.
///
/// # Errors
/// When that fails. The text has the port, how to find the process that listens on it, and the
/// option.
pub fn listen(name: &str, address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .map_err(|error| Failure::Other(explain(name, address, option, &error)))
}

fn explain(name: &str, address: SocketAddr, option: &str, error: &io::Error) -> String {
    let port = address.port();
    if error.kind() == ErrorKind::AddrInUse {
        format!(
            "listen on port {port} for {name}: the port is taken; `ss -ltnp 'sport = :{port}'` shows \
             its process, {option} chooses another port"
        )
    } else {
        format!("listen on {address} for {name}: {error}; {option} chooses another port")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_taken_port_says_how_to_find_its_process() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let port = address.port();
        let error = listen("the queue", address, "--queue-port").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "listen on port {port} for the queue: the port is taken; `ss -ltnp 'sport = \
                 :{port}'` shows its process, --queue-port chooses another port"
            )
        );
    }

    #[test]
    fn any_other_error_has_the_address_and_the_cause() {
        // An address for documentation (RFC 5737) is no host's own.
        let address = "192.0.2.1:80".parse().unwrap();
        let error = listen("the queue", address, "--queue-port").unwrap_err();
        assert_eq!(
            error.to_string(),
            "listen on 192.0.2.1:80 for the queue: Cannot assign requested address (os error 99); \
             --queue-port chooses another port"
        );
    }
}
