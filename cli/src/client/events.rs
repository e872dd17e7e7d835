//! The stream of events of a daemon: `GET /events`, as server-sent events.
//!
//! Responsible for the form of the stream and its limits. Not responsible for connecting again.

use std::time::Duration;

use http_client::{Client, HttpError, Method, Request, StatusCode, Streaming};
use serde_json::{Map, Value};
use shared::{secret::Secret, settings::BaseUrl};

use super::{ErrorResponse, RequestError};

/// Longer than the time between the comments of a stream without events: 5 s, or 15 s of older daemons.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
/// The longest line, in bytes: an event with the output of a guest has some 10 kB.
const LINE_MAX: usize = 1 << 20;

/// An event as the daemon sends it: `id`, `at`, `event` and further facts.
pub type JournalEvent = Map<String, Value>;

/// A part of the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// An event.
    Event(JournalEvent),
    /// Events between the last one that the client had and the next one may be missing.
    Gap,
    /// A comment, which the daemon sends after the last past event and when nothing happens.
    Comment,
}

/// An open stream. Not `Send`.
pub struct EventStream {
    streaming: Streaming,
    parser: Parser,
    /// Parts that have arrived and were not returned yet, the next one last.
    arrived: Vec<Part>,
}

impl EventStream {
    /// Opens the stream of the daemon at `base_url`, beginning after the event with the id `after`, or with what
    /// happens from now on. With a token it is complete.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn open(
        client: &Client,
        base_url: &BaseUrl,
        token: Option<&Secret>,
        after: Option<u64>,
    ) -> Result<Self, RequestError> {
        let url = base_url.join("events");
        let mut request = Request::new(Method::GET, &url).header("accept", "text/event-stream");
        request.bearer = token;
        if let Some(after) = after {
            request = request.header("last-event-id", after.to_string());
        }
        let streaming = client.stream(request).await?;
        let status = streaming.status();
        if status == StatusCode::OK {
            return Ok(Self {
                streaming,
                parser: Parser::default(),
                arrived: Vec::new(),
            });
        }
        Err(RequestError::Refused(ErrorResponse {
            operation: "read the events",
            status,
            code: String::new(),
            message: format!("the response was {status}"),
            retry_after: None,
        }))
    }

    /// The next part; `None` at the end of the stream.
    ///
    /// # Errors
    /// When the connection breaks, is silent for too long, or what arrives is not a stream of events.
    pub async fn next(&mut self) -> Result<Option<Part>, RequestError> {
        loop {
            if let Some(part) = self.arrived.pop() {
                return Ok(Some(part));
            }
            let Some(bytes) = self.streaming.next(IDLE_TIMEOUT).await? else {
                return Ok(None);
            };
            self.arrived = self.parser.feed(&bytes)?;
            self.arrived.reverse();
        }
    }
}

/// Parses a stream of events, whose parts end anywhere.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    name: String,
    data: String,
}

impl Parser {
    /// The parts that end in these bytes, in their order.
    fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Part>, HttpError> {
        let mut parts = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' => parts.extend(self.end_line()),
                b'\r' => {}
                _ if self.line.len() + self.data.len() >= LINE_MAX => {
                    return Err(HttpError::Malformed {
                        target: "the stream of events".into(),
                        cause: format!("an event is longer than {LINE_MAX} bytes"),
                    });
                }
                _ => self.line.push(byte),
            }
        }
        Ok(parts)
    }

    fn end_line(&mut self) -> Option<Part> {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Some(Part::Comment),
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push_str(value),
            _ => {}
        }
        None
    }

    /// What an empty line ends. An event that is not a JSON object is passed over.
    fn end_event(&mut self) -> Option<Part> {
        let (name, data) = (
            std::mem::take(&mut self.name),
            std::mem::take(&mut self.data),
        );
        if name == "gap" {
            return Some(Part::Gap);
        }
        serde_json::from_str(&data).ok().map(Part::Event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Part {
        Part::Event(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_stream_is_parsed_wherever_its_parts_end() {
        let stream =
            b": hi\n\nevent: gap\ndata: {}\n\nid: 7\nevent: job_enqueued\r\ndata: {\"id\":7}\n\n\
            event: other\ndata: not JSON\n\ndata: {\"id\":\ndata:8}\n\n";
        let expected = [
            Part::Comment,
            Part::Gap,
            event(r#"{"id":7}"#),
            event(r#"{"id":8}"#),
        ];
        for length in [1, 2, 7, stream.len()] {
            let mut parser = Parser::default();
            let parts: Vec<Part> = stream
                .chunks(length)
                .flat_map(|bytes| parser.feed(bytes).unwrap())
                .collect();
            assert_eq!(parts, expected, "{length}");
        }
    }

    #[test]
    fn an_endless_line_is_an_error() {
        let mut parser = Parser::default();
        assert!(parser.feed(&vec![b'a'; LINE_MAX]).is_ok());
        assert!(parser.feed(b"a").is_err());
    }
}
