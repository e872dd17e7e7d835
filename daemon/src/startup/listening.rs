//! Opens the listeners of a daemon.
//!
//! Responsible for waiting for what changes by itself: an address that the network, a bridge of libvirt or
//! a VPN brings up after the start, and a port that the predecessor is about to release.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait to be accepted. After a restart, all clients of a queue connect at
/// once.
const BACKLOG: i32 = 4096;

/// The pause between two attempts to listen.
const PAUSE: Duration = Duration::from_millis(500);
/// How long to wait for an address to be assigned to this host. A supervisor starts the daemon again
/// afterwards.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(300);
/// How long to wait for another process to release the port: longer than a daemon takes to end.
const PORT_TIMEOUT: Duration = Duration::from_secs(10);
/// The first interval between two log lines about the same wait; it doubles with each line.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Listens on all addresses as soon as that is possible; until then, and if one fails for good, on none.
///
/// # Errors
/// The address that failed, and why: at once if waiting cannot help.
pub(super) fn listen_when_possible(
    addresses: &[SocketAddr],
    mut pause: impl FnMut(Duration),
) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let mut waited = Duration::ZERO;
    let mut next_line = Duration::ZERO;
    loop {
        let (address, error) = match listen(addresses) {
            Err(failure) => failure,
            listeners => return listeners,
        };
        let timeout = match error.kind() {
            ErrorKind::AddrNotAvailable => ADDRESS_TIMEOUT,
            ErrorKind::AddrInUse => PORT_TIMEOUT,
            _ => Duration::ZERO,
        };
        if waited >= timeout {
            return Err((address, error));
        }
        if waited >= next_line {
            log::warn!(
                "waiting to listen on {address}: {error}; giving up in {} s",
                (timeout - waited).as_secs()
            );
            next_line = waited * 2 + LOG_INTERVAL;
        }
        pause(PAUSE);
        waited += PAUSE;
    }
}

/// Listens on all addresses; if one fails, on none.
///
/// # Errors
/// The first address that failed, and why.
fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let listen_on = |&address: &SocketAddr| {
        let open = || {
            let socket = Socket::new(
                Domain::for_address(address),
                Type::STREAM,
                Some(Protocol::TCP),
            )?;
            // Otherwise connections of a process that has just ended would block its port.
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        open().map_err(|error| (address, error))
    };
    addresses.iter().map(listen_on).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_port_that_the_predecessor_releases_is_waited_for() {
        let mut predecessor = Some(TcpListener::bind("127.0.0.1:0").unwrap());
        let address = predecessor.as_ref().unwrap().local_addr().unwrap();
        let mut pauses = 0;
        let listeners = listen_when_possible(&[address], |_| {
            pauses += 1;
            if pauses == 3 {
                drop(predecessor.take());
            }
        });
        assert_eq!(listeners.unwrap()[0].local_addr().unwrap(), address);
        assert_eq!(pauses, 3);
    }

    #[test]
    fn the_wait_is_limited_and_longer_for_an_address_than_for_a_port() {
        let other_process = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = other_process.local_addr().unwrap();
        // An address for documentation (RFC 5737), which belongs to no host.
        let absent = "192.0.2.1:0".parse().unwrap();
        for (address, kind, timeout) in [
            (taken, ErrorKind::AddrInUse, PORT_TIMEOUT),
            (absent, ErrorKind::AddrNotAvailable, ADDRESS_TIMEOUT),
        ] {
            let mut waited = Duration::ZERO;
            let failed = listen_when_possible(&[address], |pause| waited += pause);
            let (failed_at, error) = failed.unwrap_err();
            assert_eq!((failed_at, error.kind(), waited), (address, kind, timeout));
        }
    }

    #[test]
    fn what_waiting_cannot_change_fails_at_once() {
        // A link-local address without the interface that it belongs to is invalid.
        let address = "[fe80::1]:0".parse().unwrap();
        let failed = listen_when_possible(&[address], |_| panic!("there is nothing to wait for"));
        assert_eq!(failed.unwrap_err().0, address);
    }

    #[test]
    fn if_one_address_fails_no_listener_stays_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap();
        // No other test uses this address, so its port stays free.
        let free = TcpListener::bind("127.0.0.2:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let (address, error) = listen(&[free, taken]).unwrap_err();
        assert_eq!((address, error.kind()), (taken, io::ErrorKind::AddrInUse));
        assert!(TcpListener::bind(free).is_ok(), "{free} was released");
    }

    #[test]
    fn a_port_can_be_used_again_as_soon_as_its_daemon_has_ended() {
        // No other test uses this address, so its port stays free.
        let first = listen(&["127.0.0.3:0".parse().unwrap()]).unwrap();
        let address = first[0].local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        // The side that closes first keeps the connection in the state TIME_WAIT.
        let (connection, _) = first[0].accept().unwrap();
        drop((connection, client, first));
        assert!(listen(&[address]).is_ok());
    }
}
