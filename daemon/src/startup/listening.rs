//! Opens the listeners of a daemon.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait to be accepted. After a restart, all clients of a queue connect at
/// once.
const BACKLOG: i32 = 4096;

/// Listens on all addresses; if one fails, on none.
///
/// # Errors
/// The first address that failed, and why.
pub(super) fn listen(
    addresses: &[SocketAddr],
) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
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
