//! One HTTP/1.1 connection, written byte by byte, because attackers do not use HTTP libraries.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType};
use serde_json::Value;

/// Longer than any response takes here, held ones included.
const TIMEOUT: Duration = Duration::from_secs(70);
/// Larger than any response here.
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// A connection with at most one request under way.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    /// Whether the response to the last request has a length but no body.
    expects_no_body: bool,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    head: String,
    body: Vec<u8>,
}

impl Connection {
    /// Connects from 127.0.0.1.
    ///
    /// # Errors
    /// When the server does not accept the connection.
    pub fn to(address: SocketAddr) -> io::Result<Self> {
        Self::from_to(Ipv4Addr::LOCALHOST, address)
    }

    /// Connects from this address of the loopback interface (127.0.0.0/8).
    ///
    /// # Errors
    /// When the server does not accept the connection.
    pub fn from_to(source: Ipv4Addr, address: SocketAddr) -> io::Result<Self> {
        let socket: OwnedFd = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::net::bind(&socket, &SocketAddr::new(IpAddr::V4(source), 0))?;
        rustix::net::connect(&socket, &address)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream,
            received: Vec::new(),
            expects_no_body: false,
        })
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the server has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends bytes, unless the server does not read what was sent before.
    ///
    /// # Errors
    /// When the server has closed the connection.
    pub fn send_without_waiting(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_nonblocking(true)?;
        let sent = self.stream.write(bytes);
        self.stream.set_nonblocking(false)?;
        match sent {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits for a response that has a length.
    ///
    /// # Errors
    /// When the connection ends before, or the response is no HTTP.
    pub fn receive(&mut self) -> io::Result<Response> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let head_end = self
                .received
                .windows(4)
                .position(|window| window == b"\r\n\r\n");
            if let Some(head_end) = head_end {
                let head = String::from_utf8_lossy(&self.received[..head_end]).into_owned();
                let status = head.get(9..12).and_then(|digits| digits.parse().ok());
                let status = status.ok_or_else(|| invalid("no status"))?;
                let length = header_in(&head, "content-length");
                let mut length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
                if self.expects_no_body || matches!(status, 204 | 304) {
                    length = 0;
                }
                let body_at = head_end + 4;
                if self.received.len() >= body_at + length {
                    let body = self.received[body_at..body_at + length].to_vec();
                    self.received.drain(..body_at + length);
                    return Ok(Response { status, head, body });
                }
            }
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.received.len() > RESPONSE_BYTES_MAX {
                return Err(invalid("the response is too long"));
            }
            self.received.extend_from_slice(&chunk[..count]);
        }
    }

    /// Whether a response, or the end of the connection, has arrived.
    pub fn has_response(&self) -> bool {
        let peeked = self
            .stream
            .set_nonblocking(true)
            .and_then(|()| self.stream.peek(&mut [0]));
        let _ = self.stream.set_nonblocking(false);
        peeked.is_ok()
    }

    /// Ends what is sent, and goes on receiving.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn end_sending(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Sends a request without a body and waits for its response.
    ///
    /// # Errors
    /// When there is none.
    pub fn request(&mut self, method: &str, path: &str, headers: &str) -> io::Result<Response> {
        self.send(&request(method, path, headers))?;
        self.expects_no_body = method == "HEAD";
        self.receive()
    }
}

/// The bytes of a request without a body. `headers` are lines that end with CR LF.
pub fn request(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: attacked\r\nContent-Length: 0\r\n{headers}\r\n")
        .into_bytes()
}

/// Sends one request on a connection of its own.
///
/// # Panics
/// When there is no response.
#[track_caller]
pub fn fetch(address: SocketAddr, method: &str, path: &str, headers: &str) -> Response {
    let response = Connection::to(address).and_then(|mut it| it.request(method, path, headers));
    response.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

fn header_in<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value.trim())
}

impl Response {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header_in(&self.head, name)
    }

    /// How long the server asks to wait before the next attempt, in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after")?.parse().ok()
    }

    /// The status line, the headers and the body as text.
    pub fn whole(&self) -> String {
        format!("{}\n{}", self.head, self.text())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}
