//! The byte stream of one connection, as actix reads and writes it.
//!
//! Responsible for noticing in which phase a connection is, and for how much of what arrives is read at
//! once: a client that sends many requests without waiting, or a body that no handler reads, has no more of it in memory than a few
//! kilobytes.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
};

use actix_web::rt::net::TcpStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

use super::{Blocked, ConnectionHandle, Connections, Phase};
use crate::repeated;
use std::time::Duration;

/// Most bytes that are read at once.
const READ_MAX: usize = 4096;
/// How long sent bytes may stay without confirmation before the system ends a connection: its client has
/// gone without a word, or does not read.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(30);

/// A stream of an admitted connection.
pub(crate) struct Connection {
    stream: Take<TcpStream>,
    handle: ConnectionHandle,
    connections: Connections,
    /// The last read was a full one; the next one is for the next turn.
    is_read_full: bool,
}

impl Connection {
    /// Admits a stream, or refuses it, which closes it.
    pub(crate) fn admit(
        connections: &Connections,
        stream: TcpStream,
    ) -> Option<(Self, Option<SocketAddr>)> {
        let peer = stream.peer_addr().ok();
        let handle = connections.admit(peer)?;
        // An error would mean that the kernel does not know the option.
        let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(UNCONFIRMED_MAX));
        let connection = Self {
            stream: stream.take(0),
            handle,
            connections: connections.clone(),
            is_read_full: false,
        };
        Some((connection, peer))
    }

    /// The handle for the requests on this connection.
    pub(crate) fn handle(&self) -> ConnectionHandle {
        self.handle.clone()
    }

    fn check_open(&self, context: &Context<'_>) -> io::Result<()> {
        let entry = &self.handle.0;
        entry.waker.register(context.waker());
        if entry.is_closed.load(Relaxed) {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.remove(&self.handle);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_open(context)?;
        let this = &mut *self;
        let entry = &this.handle.0;
        entry.has_had_turn.store(false, Relaxed);
        let is_serving = !matches!(this.handle.phase(), Phase::Idle | Phase::Receiving);
        let is_unread = is_serving && !entry.reads_body.load(Relaxed);
        if is_unread && entry.unread.load(Relaxed) >= READ_MAX {
            // The handler, or the end of the request, reads on.
            return Poll::Pending;
        }
        if std::mem::take(&mut this.is_read_full) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        this.stream.set_limit(READ_MAX as u64);
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        if count > 0 {
            this.is_read_full = count == READ_MAX;
            if is_unread {
                entry.unread.fetch_add(count, Relaxed);
            }
            if !is_serving && !entry.head.receive(count) {
                repeated::count("request_heads_too_long", || {
                    "a connection was closed, because the heads of all requests together are too long".to_owned()
                });
                return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
            }
            if this.handle.phase() == Phase::Idle {
                this.handle.enter(Phase::Receiving);
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_open(context)?;
        let written = Pin::new(self.stream.get_mut()).poll_write(context, bytes);
        let entry = &self.handle.0;
        match &written {
            Poll::Ready(Ok(count)) => {
                entry.written.fetch_add(*count as u64, Relaxed);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                let blocked = || Blocked {
                    since: entry.clock.now(),
                    written: entry.written.load(Relaxed),
                };
                entry.blocked.lock().get_or_insert_with(blocked);
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(self.stream.get_mut()).poll_flush(context);
        // actix flushes once it has written all that it has.
        if let Poll::Ready(Ok(())) = &flushed {
            let entry = &self.handle.0;
            *entry.blocked.lock() = None;
            if self.handle.phase() == Phase::Flushing {
                entry.has_served.store(true, Relaxed);
                self.handle.enter(Phase::Idle);
                if entry.unread.swap(0, Relaxed) >= READ_MAX {
                    context.waker().wake_by_ref();
                }
            }
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, net::TcpStream as Client};

    use actix_web::rt::{net::TcpListener, spawn};
    use shared::clock::Clock;
    use tokio::time::timeout;

    use super::{
        super::limits::{ConnectionSettings, Limits},
        *,
    };

    /// How long anything that is expected may take.
    const TIMEOUT: Duration = Duration::from_secs(30);

    #[actix_web::test]
    async fn a_client_that_stops_reading_is_disconnected() {
        let clock = Clock::start();
        let limits = Limits::with_descriptors(1024, &ConnectionSettings::default());
        let connections = Connections::new(limits, clock);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (mut connection, _) = Connection::admit(&connections, stream).unwrap();
        let handle = connection.handle();
        handle.serve();
        handle.respond(true);
        let response = spawn(async move {
            loop {
                let write = |context: &mut Context<'_>| {
                    Pin::new(&mut connection).poll_write(context, &[0; 65_536])
                };
                if let Err(error) = poll_fn(write).await {
                    return error;
                }
            }
        });
        let is_blocked = async {
            while handle.0.blocked.lock().is_none() {
                tokio::task::yield_now().await;
            }
        };
        timeout(TIMEOUT, is_blocked).await.unwrap();
        let now = clock.now();
        connections.sweep(now + Duration::from_secs(9));
        assert_eq!(connections.count(), 1);
        connections.sweep(now + Duration::from_secs(11));
        let error = timeout(TIMEOUT, response).await.unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        assert_eq!(connections.count(), 0);
        drop(client);
    }
}
