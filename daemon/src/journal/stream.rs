//! `GET /events`: events as they happen, as server-sent events.
//!
//! Responsible for the form of the stream and for its limits: how many streams there are, how far a client
//! may be behind, how long it may be silent.

use std::{convert::Infallible, sync::Arc, time::Duration};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName},
    web::Bytes,
};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast::error::RecvError};

use super::{Journal, Subscription, entry::Entry};
use crate::{
    error::{ApiError, Code},
    serve::Draining,
    web::query,
};

/// The most streams of clients with a token, and of others.
const STREAMS_MAX: usize = 100;
/// `Retry-After` when there are too many streams, in seconds.
const BUSY_RETRY_SECONDS: u64 = 10;
/// How often a stream without events has a comment, so that both sides notice a lost connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

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
        let subscription = self.journal.subscribe(self.last_event_id);
        let mut backlog = String::new();
        if subscription.has_gap {
            backlog.push_str("event: gap\ndata: {}\n\n");
        }
        for entry in &subscription.backlog {
            backlog.extend(message(entry, self.is_authorised));
        }
        // A first comment, so that the client knows at once that the stream has begun.
        backlog.push_str(":\n\n");
        let sender = Sender {
            first: Some(backlog),
            subscription,
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
    first: Option<String>,
    subscription: Subscription,
    draining: Draining,
    is_authorised: bool,
    _place: OwnedSemaphorePermit,
}

impl Sender {
    /// The next part of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first.into());
        }
        let receiver = &mut self.subscription.receiver;
        let is_authorised = self.is_authorised;
        let next = async {
            loop {
                match receiver.recv().await {
                    Ok(entry) => {
                        if let Some(message) = message(&entry, is_authorised) {
                            return Some(message);
                        }
                    }
                    // The client is too slow. It connects again, and is sent what it has missed.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                }
            }
        };
        tokio::select! {
            message = next => message.map(Bytes::from),
            () = tokio::time::sleep(KEEP_ALIVE) => Some(Bytes::from_static(b":\n\n")),
            () = self.draining.begins() => None,
        }
    }
}

/// An event as part of the stream, if the client may see it.
fn message(entry: &Entry, is_authorised: bool) -> Option<String> {
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
