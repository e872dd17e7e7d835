//! Listening on a port that somebody chose, and what is said when it is taken.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
};

use cli::failure::Failure;

/// Listens on `address` for `whom`; `option` is what chooses another port.
///
/// # Errors
/// When that cannot be, naming the port, how to find who has it, and what to do.
pub fn listen(whom: &str, address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .map_err(|error| Failure::Other(explain(whom, address, option, &error)))
}

fn explain(whom: &str, address: SocketAddr, option: &str, error: &io::Error) -> String {
    let port = address.port();
    if error.kind() == ErrorKind::AddrInUse {
        format!(
            "listen on port {port} for {whom}: it is taken; `ss -ltnp 'sport = :{port}'` shows by \
             whom, and {option} chooses another"
        )
    } else {
        format!("listen on {address} for {whom}: {error}; {option} chooses another port")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_how_to_find_who_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let port = address.port();
        let error = listen("the queue", address, "--queue-port").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "listen on port {port} for the queue: it is taken; `ss -ltnp 'sport = :{port}'` \
                 shows by whom, and --queue-port chooses another"
            )
        );
    }

    #[test]
    fn an_address_of_another_host_is_named_too() {
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
