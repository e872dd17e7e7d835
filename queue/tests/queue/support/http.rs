//! HTTP/1.1 as bytes on a socket: so that nothing between a test and the queue is kinder than the
//! network, and a client can hang up at any moment.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use serde_json::Value;

use super::PATIENCE;

/// A request that was sent and not answered yet. Dropping it hangs up.
pub struct Open(TcpStream);

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// Sends a request.
pub fn send(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> Open {
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
pub fn send_bytes(address: SocketAddr, bytes: &[u8]) -> Open {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A queue that has seen enough may close before it has read everything.
    let _ = stream.write_all(bytes);
    Open(stream)
}

impl Open {
    /// Hangs up, and waits until the queue has noticed; it has nothing more to say then.
    #[track_caller]
    pub fn hang_up(self) {
        self.0.shutdown(Shutdown::Write).unwrap();
        assert!(self.answer_or_end().is_none());
    }

    /// Waits for the answer.
    #[track_caller]
    pub fn answer(self) -> Answer {
        self.answer_or_end().expect("there is an answer")
    }

    /// Waits for the answer; none if the connection ends without one.
    #[track_caller]
    pub fn answer_or_end(mut self) -> Option<Answer> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no answer within {PATIENCE:?}, only {bytes:?}")
            }
            // Whatever came before the connection was reset counts.
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
        Some(Answer {
            status,
            headers: headers.collect(),
            body: body.to_owned(),
        })
    }
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(header, _)| header == name);
        header.map(|(_, value)| value.as_str())
    }

    /// The body, if the status is this.
    #[track_caller]
    pub fn text_of(self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    /// The body as JSON, if the status is this.
    #[track_caller]
    pub fn json_of(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        serde_json::from_str(&self.body).unwrap()
    }

    /// Asserts that this is a refusal with this status and code, and a sentence.
    #[track_caller]
    pub fn assert_refused(self, status: u16, code: &str) -> String {
        let retry_after = self.header("retry-after").map(str::to_owned);
        let body = self.json_of(status);
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
