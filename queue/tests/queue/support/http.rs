//! HTTP/1.1 as bytes on a socket, without a client library that would hide what the queue sends,
//! and with clients that can hang up at any moment.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use serde_json::Value;

use super::TIMEOUT;

/// A request that was sent and has not been answered. Dropping it hangs up.
pub struct PendingRequest(TcpStream);

/// A whole response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// Sends a request.
pub fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> PendingRequest {
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: queue\r\nconnection: close\r\n");
    if method == "POST" {
        request.push_str("content-length: 0\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    send_bytes(address, request.as_bytes())
}

/// Sends these bytes.
pub fn send_bytes(address: SocketAddr, bytes: &[u8]) -> PendingRequest {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    // A queue that has seen enough may close before it has read everything.
    let _ = stream.write_all(bytes);
    PendingRequest(stream)
}

impl PendingRequest {
    /// Reads until `part` has arrived, and returns everything up to then.
    #[track_caller]
    pub fn read_until(&mut self, part: &str) -> String {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(part.as_bytes()) {
            let count = self.0.read(&mut byte).expect("the stream continues");
            let so_far = String::from_utf8_lossy(&bytes);
            assert_eq!(count, 1, "the stream ended before {part}: {so_far}");
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Reads what arrives until the queue closes the connection.
    pub fn rest(mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).expect("the stream ends");
        text
    }

    /// Hangs up, and waits until the queue has noticed: it closes the connection without a response.
    #[track_caller]
    pub fn hang_up(self) {
        self.0.shutdown(Shutdown::Write).unwrap();
        assert!(self.response_or_end().is_none());
    }

    /// Sends no more, and waits until the queue has closed the connection, with or without a response.
    pub fn hang_up_or_response(self) {
        self.0.shutdown(Shutdown::Write).unwrap();
        self.response_or_end();
    }

    /// Waits for the response.
    #[track_caller]
    pub fn response(self) -> Response {
        self.response_or_end().expect("there is a response")
    }

    /// Waits for the response; `None` if the connection ends without one.
    #[track_caller]
    pub fn response_or_end(mut self) -> Option<Response> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no response within {TIMEOUT:?}, only {bytes:?}")
            }
            // A reset connection counts with what came before it.
            _ => {}
        }
        if bytes.is_empty() {
            return None;
        }
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .expect("a head ends with an empty line");
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap();
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        Some(Response {
            status,
            headers: headers.collect(),
            body: body.to_owned(),
        })
    }
}

impl Response {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(header, _)| header == name);
        header.map(|(_, value)| value.as_str())
    }

    /// Asserts the status and returns the body.
    #[track_caller]
    pub fn expect_text(self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    /// Asserts the status and returns the body as JSON.
    #[track_caller]
    pub fn expect_json(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        serde_json::from_str(&self.body).unwrap()
    }

    /// Asserts that this is an error response with this status and code; returns its message.
    #[track_caller]
    pub fn assert_refused(self, status: u16, code: &str) -> String {
        let retry_after = self.header("retry-after").map(str::to_owned);
        let body = self.expect_json(status);
        assert_eq!(body["code"], code, "{body}");
        let is_retried = matches!(status, 408 | 429 | 500..);
        assert_eq!(retry_after.is_some(), is_retried, "Retry-After of {body}");
        if let Some(seconds) = retry_after {
            assert!(
                (1..=5).contains(&seconds.parse::<u64>().unwrap()),
                "{seconds}"
            );
        }
        let message = body["message"].as_str().unwrap().to_owned();
        assert!(message.len() > 10, "{message}");
        message
    }
}
