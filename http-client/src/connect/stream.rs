//! A connection, as `awc` uses it.
//!
//! A proxy that forwards an unencrypted request needs the whole URL in its first line (RFC 9112,
//! section 3.2.2), and its own credentials. `awc` can write neither, so they are put into the head of
//! the request while it is written. Such a connection carries one request.
//!
//! TLS is spoken here, below `awc`, so that informational responses can be left out (`interim`).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{
    rt::net::{ActixStream, Ready, TcpStream},
    web::{Buf, BufMut, BytesMut},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::interim::{Begins, Interim};

/// How much is read at once while the head of a response is awaited.
const HEAD_READ: usize = 4096;

/// What is put into the head of a request.
#[derive(Debug)]
pub(super) struct Rewrite {
    /// Precedes the path in the first line.
    pub(super) origin: String,
    /// A complete header line, or nothing.
    pub(super) header: String,
}

/// What carries the bytes.
#[derive(Debug)]
enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Stream {
    transport: Transport,
    rewrite: Option<Rewrite>,
    /// The rewritten head, as far as it is not written yet.
    pending: BytesMut,
    /// Set until the head of a response begins.
    interim: Option<Interim>,
    /// What has arrived of informational responses, then the beginning of the response.
    arrived: BytesMut,
}

impl Stream {
    pub(super) fn direct(tcp: TcpStream) -> Self {
        Self::over(Transport::Tcp(tcp))
    }

    pub(super) fn encrypted(tls: TlsStream<TcpStream>) -> Self {
        Self::over(Transport::Tls(Box::new(tls)))
    }

    pub(super) fn rewriting(tcp: TcpStream, rewrite: Rewrite) -> Self {
        Self {
            rewrite: Some(rewrite),
            ..Self::direct(tcp)
        }
    }

    fn over(transport: Transport) -> Self {
        Self {
            transport,
            rewrite: None,
            pending: BytesMut::new(),
            interim: Some(Interim::default()),
            arrived: BytesMut::new(),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match &self.transport {
            Transport::Tcp(tcp) => tcp,
            Transport::Tls(tls) => tls.get_ref().0,
        }
    }

    fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let written = ready!(self.transport.poll_write(context, &self.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pending.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads until the response begins, and leaves out what precedes it.
    fn poll_response(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(interim) = &mut self.interim {
            let mut bytes = [0; HEAD_READ];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(self.transport.poll_read(context, &mut buffer))?;
            self.arrived.extend_from_slice(buffer.filled());
            let is_end = buffer.filled().is_empty();
            if is_end || interim.skip(&mut self.arrived)? == Begins::Response {
                self.interim = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Transport {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, buffer),
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}

impl Rewrite {
    /// The head with the changes. `awc` writes the whole first line at once.
    fn apply(&self, head: &[u8]) -> BytesMut {
        let mut rewritten = BytesMut::with_capacity(head.len() + 256);
        let method_end = head.iter().position(|&byte| byte == b' ');
        let (method, rest) = head.split_at(method_end.map_or(0, |end| end + 1));
        let line_end = rest.windows(2).position(|pair| pair == b"\r\n");
        let (line, rest) = rest.split_at(line_end.map_or(rest.len(), |end| end + 2));
        rewritten.put_slice(method);
        rewritten.put_slice(self.origin.as_bytes());
        rewritten.put_slice(line);
        rewritten.put_slice(self.header.as_bytes());
        rewritten.put_slice(rest);
        rewritten
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_response(context))?;
        if self.arrived.is_empty() {
            return self.transport.poll_read(context, buffer);
        }
        let length = self.arrived.len().min(buffer.remaining());
        buffer.put_slice(&self.arrived.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // A request, after which its response is awaited.
        if self.interim.is_none() {
            self.interim = Some(Interim::default());
        }
        if let Some(rewrite) = self.rewrite.take() {
            self.pending = rewrite.apply(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_pending(context))?;
        self.transport.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        self.transport.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        self.transport.poll_shutdown(context)
    }
}

impl ActixStream for Stream {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.tcp(), context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.tcp(), context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_url_and_the_credentials_are_put_into_the_head() {
        let rewrite = |header: &str| Rewrite {
            origin: "http://host:80".into(),
            header: header.into(),
        };
        let head = b"GET /a?b HTTP/1.1\r\nhost: host\r\n\r\nbody /c d";
        assert_eq!(
            rewrite("x: y\r\n").apply(head),
            &b"GET http://host:80/a?b HTTP/1.1\r\nx: y\r\nhost: host\r\n\r\nbody /c d"[..]
        );
        assert_eq!(
            rewrite("").apply(b"DELETE / HTTP/1.1\r\n"),
            &b"DELETE http://host:80/ HTTP/1.1\r\n"[..]
        );
    }
}
