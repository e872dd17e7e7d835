//! TCP connections to a host with any number of addresses.
//!
//! Some of a host's addresses may swallow packets, such as those of IPv6 where its route is broken. So
//! the next address is tried while the earlier ones have not answered yet (RFC 8305, "Happy Eyeballs").

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use actix_web::rt::net::TcpStream;
use futures_util::{StreamExt, stream::FuturesUnordered};
use socket2::{SockRef, TcpKeepalive};
use tokio::time::sleep;

/// How long after an address the next one is tried (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// The most addresses that are tried.
const ADDRESSES_MAX: usize = 16;
/// How long sent data may stay unacknowledged, and how long a silent connection is kept without a
/// sign of life, until it counts as broken. A middle box may have forgotten it without notice.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);
/// When a silent connection is probed, and how often.
const PROBED_AFTER: Duration = Duration::from_secs(5);
const PROBED_EVERY: Duration = Duration::from_secs(2);

/// Connects to the first of the host's addresses that answers.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => tokio::net::lookup_host((host, port)).await?.collect(),
    };
    connect_any(&alternating(addresses)).await
}

/// The addresses in their order, but with those of IPv4 and IPv6 alternating.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_first_kind = addresses.first().map(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| Some(address.is_ipv6()) == is_first_kind);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] || mixed.len() >= ADDRESSES_MAX {
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut addresses = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut first_error = None;
    loop {
        match addresses.next() {
            Some(&address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => {
                return Err(first_error.unwrap_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
                }));
            }
            None => {}
        }
        let is_last = addresses.len() == 0;
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => {
                    tune(&stream)?;
                    return Ok(stream);
                }
                Err(error) => drop(first_error.get_or_insert(error)),
            },
            () = sleep(STAGGER), if !is_last => {}
        }
    }
}

/// Sets how soon a dead connection is noticed.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keep_alive = TcpKeepalive::new()
        .with_time(PROBED_AFTER)
        .with_interval(PROBED_EVERY);
    socket.set_tcp_keepalive(&keep_alive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    /// A socket that answers no further connection: its queue is full. Returns what has to be kept.
    fn swallowing() -> (SocketAddr, Socket, Vec<Socket>) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        // The kernel completes a connection more than the queue holds, and begins some others.
        let clients = (0..4).map(|_| {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            let _ = client.connect(&address.into());
            client
        });
        let clients = clients.collect();
        (address, socket, clients)
    }

    #[actix_web::test]
    async fn an_address_that_swallows_packets_does_not_keep_the_next_one_from_being_tried() {
        let (dead, _socket, _clients) = swallowing();
        let alive = listener();
        let address = alive.local_addr().unwrap();
        let stream = connect_any(&[dead, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }

    #[actix_web::test]
    async fn an_address_that_refuses_is_skipped_at_once() {
        let dead = listener().local_addr().unwrap();
        let alive = listener();
        let address = alive.local_addr().unwrap();
        let stream = connect_any(&[dead, dead, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let error = connect_any(&[dead, dead]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = connect_any(&[]).await.unwrap_err();
        assert_eq!(error.to_string(), "the name has no address");
    }

    #[actix_web::test]
    async fn names_and_addresses_of_both_kinds_are_connected_to() {
        let alive = listener();
        let port = alive.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            connect(host, port).await.unwrap();
        }
    }

    #[test]
    fn addresses_of_both_kinds_alternate_and_are_limited() {
        let v4 = |n: u16| SocketAddr::from(([10, 0, 0, 1], n));
        let v6 = |n: u16| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], n));
        let mixed = alternating(vec![v6(1), v6(2), v6(3), v4(1)]);
        assert_eq!(mixed, [v6(1), v4(1), v6(2), v6(3)]);
        let many = alternating((0..100).map(v4).collect());
        assert_eq!(many.len(), ADDRESSES_MAX);
    }

    #[actix_web::test]
    async fn a_connection_without_signs_of_life_ends_after_seconds() {
        let alive = listener();
        let stream = connect_any(&[alive.local_addr().unwrap()]).await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBED_AFTER);
        let limit = socket.tcp_user_timeout().unwrap();
        assert_eq!(limit, Some(UNACKNOWLEDGED_MAX));
    }
}
