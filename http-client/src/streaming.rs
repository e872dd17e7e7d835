//! A response whose body is read in parts as they arrive, such as a stream of events.

use std::time::Duration;

use actix_web::web::Bytes;
use awc::{ClientResponse, http::StatusCode};
use futures_util::StreamExt;

use super::HttpError;

/// The head of a response, and its body as far as it has arrived.
///
/// Dropping it closes the connection.
pub struct Streaming {
    target: String,
    response: ClientResponse,
}

impl Streaming {
    pub(super) fn new(target: String, response: ClientResponse) -> Self {
        Self { target, response }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The next part of the body, of any length; `None` at its end. Waits for it at most `idle_timeout`.
    ///
    /// A connection that is cut can look like the end of the body.
    ///
    /// # Errors
    /// When the connection breaks, or nothing arrives in that time.
    pub async fn next(&mut self, idle_timeout: Duration) -> Result<Option<Bytes>, HttpError> {
        match tokio::time::timeout(idle_timeout, self.response.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(part))) => Ok(Some(part)),
            Ok(Some(Err(error))) => Err(HttpError::Broken {
                target: self.target.clone(),
                cause: error.to_string(),
            }),
            Err(_) => Err(HttpError::TimedOut {
                target: self.target.clone(),
                timeout: idle_timeout,
            }),
        }
    }
}
