//! Opens the listeners of a daemon.
//!
//! Responsible for what changes by itself: a port that the predecessor is about to release is waited for, and
//! an address that the network, a bridge of libvirt or a VPN brings up after the start is listened on already
//! (`IP_FREEBIND`, ip(7)). Until it is there that is shown as a problem, and the other addresses work.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener, UdpSocket},
    time::Duration,
};

use shared::problem::catalogue::LISTEN_ADDRESS_MISSING;
use socket2::{Domain, Protocol, Socket, Type};

use crate::problems::ProblemBoard;

/// How many connections may wait to be accepted. After a restart, all clients of a queue connect at
/// once.
const BACKLOG: i32 = 4096;

/// The pause between two attempts to listen.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause between two searches for addresses that this host does not have.
const SEARCH_PAUSE: Duration = Duration::from_secs(2);
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
            match address {
                SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
                SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
            }
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        open().map_err(|error| (address, error))
    };
    addresses.iter().map(listen_on).collect()
}

/// Shows each of these addresses that this host does not have as a problem, until it has it. Never returns.
pub async fn watch_addresses(addresses: Vec<SocketAddr>, board: ProblemBoard) {
    loop {
        for address in &addresses {
            let subject = format!("address {}", address.ip());
            if is_of_this_host(*address) {
                board.resolve(&LISTEN_ADDRESS_MISSING, &subject);
                continue;
            }
            let cause = format!(
                "listen_on names it, but this host does not have it, so that nothing reaches {address}"
            );
            let remedy = "bring up its interface, such as the bridge of libvirt's network; `ip address` shows \
                          the addresses of this host; otherwise remove it from listen_on";
            board.report(&LISTEN_ADDRESS_MISSING, &subject, cause, remedy);
        }
        tokio::time::sleep(SEARCH_PAUSE).await;
    }
}

/// Whether the address is assigned to this host, as far as can be known: no packet is sent.
fn is_of_this_host(mut address: SocketAddr) -> bool {
    address.set_port(0);
    let bound = UdpSocket::bind(address);
    !bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use futures_util::FutureExt;
    use shared::clock::Clock;

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
    fn the_wait_for_a_port_is_limited() {
        let other_process = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = other_process.local_addr().unwrap();
        let mut waited = Duration::ZERO;
        let failed = listen_when_possible(&[taken], |pause| waited += pause);
        let (failed_at, error) = failed.unwrap_err();
        assert_eq!((failed_at, waited), (taken, PORT_TIMEOUT));
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }

    #[actix_web::test]
    async fn an_address_that_this_host_lacks_is_listened_on_and_shown_as_a_problem() {
        // Addresses for documentation (RFC 5737, RFC 3849), which belong to no host.
        let absent = ["192.0.2.1:0", "[2001:db8::1]:0"].map(|it| it.parse().unwrap());
        let present: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let all = [absent[0], absent[1], present];
        let listeners = listen_when_possible(&all, |_| panic!("nothing is waited for"));
        assert_eq!(listeners.unwrap().len(), 3);
        let board = ProblemBoard::new(Clock::start());
        let watch = watch_addresses(all.to_vec(), board.clone());
        // Its first search ends before its first pause.
        assert!(watch.now_or_never().is_none());
        let subjects: Vec<String> = board.list().into_iter().map(|it| it.subject).collect();
        assert_eq!(subjects, ["address 192.0.2.1", "address 2001:db8::1"]);
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
