//! What is to be asked, of whom, and within which limits.
//!
//! Owns the defaults of those limits; sends nothing.

use std::time::Duration;

use actix_web::web::Bytes;
use awc::http::Method;
use serde_json::Value;

use shared::secret::Secret;

/// How long a call may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest body of an answer unless the call says otherwise, in bytes.
const BODY_MAX: usize = 1 << 20;

/// One request, to be handed to [`Client::call`](super::Client::call).
#[derive(Clone)]
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// The whole address, `http://` or `https://`; its query never stands in an error.
    pub url: &'a str,
    /// Names and values of headers; those of the same name as one of ours replace it.
    pub headers: Vec<(&'static str, String)>,
    /// Sent as `Authorization: Bearer <secret>`.
    pub bearer: Option<&'a Secret>,
    /// The body; may be empty.
    pub body: Bytes,
    /// How long the whole call may take: waiting for a connection, repetition and body included.
    pub timeout: Duration,
    /// The most bytes of body that are read.
    pub body_max: usize,
    /// Whether the call may be sent a second time.
    pub retry: Retry,
}

/// Whether a call may be sent again when its connection broke before any answer.
///
/// A connection that was kept open may be closed by the server at the very moment it is used
/// again; only the sender knows whether the request then does no harm by arriving twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It may not: a second arrival would do something more.
    Never,
    /// It may, once: arriving twice is the same as arriving once.
    Once,
}

impl<'a> Call<'a> {
    /// A call without body, headers or bearer: 10 s, 1 MiB, never sent twice.
    pub fn new(method: Method, url: &'a str) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            bearer: None,
            body: Bytes::new(),
            timeout: TIMEOUT,
            body_max: BODY_MAX,
            retry: Retry::Never,
        }
    }

    /// The same call with one more header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same call with `value` as its body.
    pub fn json(mut self, value: &Value) -> Self {
        self.body = Bytes::from(value.to_string());
        self.header("content-type", "application/json")
    }
}
