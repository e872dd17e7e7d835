//! `GET /events`: events as they happen, as server-sent events.
//!
//! Responsible for the form of the stream and for its limits: how many streams there are, how far a client
//! may be behind, how long it may be silent.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName},
    web::Bytes,
};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{
    OwnedSemaphorePermit, Semaphore,
    broadcast::{self, error::RecvError},
};

use super::{Journal, Subscription, entry::Entry};
use crate::{
    error::{ApiError, Code},
    serve::Draining,
    web::{
        pace::{PAGES, page_cost},
        query,
    },
};

/// The most streams of clients with a token, and of others.
const STREAMS_MAX: usize = 100;
/// `Retry-After` when there are too many streams, in seconds.
const BUSY_RETRY_SECONDS: u64 = 5;
/// How long a stream without events waits before it sends a comment, so that both sides notice a lost
/// connection, and pages a daemon that hangs.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// A comment.
const COMMENT: &str = ":\n\n";
/// The most past events that a client without a token is sent.
const STRANGERS_BACKLOG_MAX: usize = 500;
/// How many past events are sent at once.
const PART: usize = 100;
/// How long the text of an event usually is, in bytes.
const MESSAGE_LENGTH: usize = 300;

/// The places for streams. Strangers have places of their own, so that they leave those of others free.
#[derive(Clone, Debug)]
pub struct StreamPlaces {
    authorised: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Default for StreamPlaces {
    fn default() -> Self {
        Self {
            authorised: Arc::new(Semaphore::new(STREAMS_MAX)),
            strangers: Arc::new(Semaphore::new(STREAMS_MAX)),
        }
    }
}

/// The id of the last event that a client has: from the header `Last-Event-ID`, which browsers send when they
/// connect again, or from the parameter `last_event_id`. Anything but a number is refused.
#[derive(Clone, Copy, Debug)]
pub struct LastEventId(pub Option<u64>);

impl FromRequest for LastEventId {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(last_event_id(request).map(Self))
    }
}

fn last_event_id(request: &HttpRequest) -> Result<Option<u64>, ApiError> {
    #[derive(Deserialize)]
    struct Parameters {
        last_event_id: Option<String>,
    }
    let header = request
        .headers()
        .get(HeaderName::from_static("last-event-id"));
    let text = match header {
        Some(header) => Some(header.to_str().unwrap_or("?").to_owned()),
        None => query::<Parameters>(request)?.last_event_id,
    };
    let id = text.map(|text| text.parse().map_err(|_| text));
    id.transpose().map_err(|_| {
        ApiError::new(
            Code::BadRequest,
            "Last-Event-ID must be the id of an event: a decimal number",
        )
    })
}

/// What a client is sent.
#[derive(Debug)]
pub struct EventStream {
    /// Where the events come from.
    pub journal: Journal,
    /// The streams that there may be.
    pub places: StreamPlaces,
    /// Resolves when the daemon stops, which ends the stream.
    pub draining: Draining,
    /// Whether the client has a token, so that it sees everything.
    pub is_authorised: bool,
    /// The last event that the client has.
    pub last_event_id: Option<u64>,
}

impl EventStream {
    /// The response.
    ///
    /// # Errors
    /// 503 if there are too many streams.
    pub fn respond(self) -> Result<HttpResponse, ApiError> {
        let places = if self.is_authorised {
            self.places.authorised
        } else {
            self.places.strangers
        };
        let place = places.try_acquire_owned().map_err(|_| {
            ApiError::new(
                Code::NotReady,
                "too many clients read the stream of events; try again",
            )
            .retry_after(BUSY_RETRY_SECONDS)
        })?;
        let backlog_max = if self.is_authorised {
            usize::MAX
        } else {
            STRANGERS_BACKLOG_MAX
        };
        let Subscription {
            backlog,
            has_gap,
            receiver,
        } = self.journal.subscribe(self.last_event_id, backlog_max);
        let sender = Sender {
            start: Some(Start { backlog, has_gap }),
            receiver,
            draining: self.draining,
            is_authorised: self.is_authorised,
            _place: place,
        };
        let messages = stream::unfold(sender, |mut sender| async move {
            let bytes = sender.next().await?;
            Some((Ok::<_, Infallible>(bytes), sender))
        });
        Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/event-stream"))
            .insert_header((CACHE_CONTROL, "no-store"))
            // Otherwise nginx holds events back.
            .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
            .streaming(messages))
    }
}

struct Sender {
    start: Option<Start>,
    receiver: broadcast::Receiver<Arc<Message>>,
    draining: Draining,
    is_authorised: bool,
    _place: OwnedSemaphorePermit,
}

/// What a client is sent before new events.
struct Start {
    /// Oldest first.
    backlog: Vec<Arc<Entry>>,
    has_gap: bool,
}

impl Sender {
    /// The next part of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(start) = self.start.take() {
            return self.next_of_start(start).await;
        }
        let (receiver, is_authorised) = (&mut self.receiver, self.is_authorised);
        let next = async {
            loop {
                match receiver.recv().await {
                    Ok(message) => {
                        if let Some(text) = message.text(is_authorised) {
                            return Some(text);
                        }
                    }
                    // The client is too slow. It connects again, and is sent what it has missed.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                }
            }
        };
        tokio::select! {
            message = next => message,
            () = tokio::time::sleep(KEEP_ALIVE) => Some(Bytes::from_static(COMMENT.as_bytes())),
            () = self.draining.begins() => None,
        }
    }

    /// Some of the past events; after the last of them a comment, so that the client knows that they are all.
    async fn next_of_start(&mut self, mut start: Start) -> Option<Bytes> {
        let count = start.backlog.len().min(PART);
        if !self.is_authorised {
            // Any number of strangers can ask for them, so that they wait for their turn as with pages.
            let length = count * MESSAGE_LENGTH;
            PAGES.wait(page_cost(length)).await.ok()?;
        }
        let mut part = String::new();
        if std::mem::take(&mut start.has_gap) {
            part.push_str("event: gap\ndata: {}\n\n");
        }
        for entry in start.backlog.drain(..count) {
            part.extend(render(&entry, self.is_authorised));
        }
        if start.backlog.is_empty() {
            part.push_str(COMMENT);
        } else {
            // An empty part would end the response.
            if part.is_empty() {
                part.push_str(COMMENT);
            }
            self.start = Some(start);
        }
        Some(part.into())
    }
}

/// An event on its way to all streams, whose text is made once for all that are alike.
#[derive(Debug)]
pub(super) struct Message {
    entry: Arc<Entry>,
    whole: OnceLock<Bytes>,
    public: OnceLock<Option<Bytes>>,
}

impl Message {
    pub fn new(entry: Arc<Entry>) -> Self {
        Self {
            entry,
            whole: OnceLock::new(),
            public: OnceLock::new(),
        }
    }

    fn text(&self, is_authorised: bool) -> Option<Bytes> {
        let make = || render(&self.entry, is_authorised).map(Bytes::from);
        if is_authorised {
            let whole = self.whole.get_or_init(|| make().unwrap_or_default());
            Some(whole.clone())
        } else {
            self.public.get_or_init(make).clone()
        }
    }
}

/// An event as part of the stream, if the client may see it.
fn render(entry: &Entry, is_authorised: bool) -> Option<String> {
    let json = if is_authorised {
        entry.to_json()
    } else {
        entry.to_public_json()?
    };
    Some(format!(
        "id: {}\nevent: {}\ndata: {json}\n\n",
        entry.id, entry.event
    ))
}
