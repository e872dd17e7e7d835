//! One kept HTTP/1.1 connection, with as little work on this side as possible.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than any response takes here, held ones included.
const TIMEOUT: Duration = Duration::from_secs(70);
/// Larger than any response here.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// A connection with at most one request under way.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response, as the bytes that were received.
#[derive(Clone, Copy)]
pub struct Response<'a> {
    pub bytes: &'a [u8],
    body_at: usize,
}

impl Connection {
    /// Connects.
    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        let with_options = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(TIMEOUT)));
        with_options.expect("a TCP stream has these options");
        Self {
            stream,
            buffer: vec![0; RESPONSE_BYTES_MAX],
        }
    }

    /// Sends a request.
    pub fn send(&mut self, request: &[u8]) {
        self.stream
            .write_all(request)
            .expect("the server reads the request");
    }

    /// Waits for the response.
    pub fn receive(&mut self) -> Response<'_> {
        let (mut length, mut body_at) = (0, None);
        loop {
            let count = self
                .stream
                .read(&mut self.buffer[length..])
                .expect("the server responds in time");
            assert!(count > 0, "the server closed the connection");
            length += count;
            let bytes = &self.buffer[..length];
            body_at = body_at.or_else(|| head_length(bytes));
            if let Some(body_at) = body_at
                && length >= body_at + content_length(&bytes[..body_at])
            {
                let bytes = &self.buffer[..length];
                return Response { bytes, body_at };
            }
        }
    }

    /// Sends a request and waits for its response.
    pub fn request(&mut self, request: &[u8]) -> Response<'_> {
        self.send(request);
        self.receive()
    }
}

impl Response<'_> {
    /// The status code.
    pub fn status(&self) -> u16 {
        let digits = self
            .bytes
            .get(9..12)
            .and_then(|digits| str::from_utf8(digits).ok());
        digits
            .and_then(|digits| digits.parse().ok())
            .expect("a response has a status")
    }

    /// The lines of the head after the first.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let head = str::from_utf8(&self.bytes[..self.body_at]).expect("a head is ASCII");
        head.lines().filter_map(|line| line.split_once(": "))
    }

    /// The body, as text.
    pub fn body(&self) -> &str {
        str::from_utf8(&self.bytes[self.body_at..]).expect("a body is UTF-8")
    }
}

/// The bytes of a request without a body.
pub fn request(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n{headers}\r\n")
        .into_bytes()
}

fn head_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    end.map(|end| end + 4)
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length: ";
    let at = head
        .windows(NAME.len())
        .position(|window| window.eq_ignore_ascii_case(NAME));
    let Some(at) = at else {
        return 0;
    };
    let digits = head[at + NAME.len()..].iter();
    digits
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
}
