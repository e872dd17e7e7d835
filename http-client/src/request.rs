//! A request to be sent, and the limits that apply to it.
//!
//! Responsible for the defaults of those limits. Sends nothing.

use std::time::Duration;

use actix_web::web::Bytes;
use awc::http::Method;
use serde_json::Value;

use shared::secret::Secret;

/// Default for [`Request::timeout`].
const TIMEOUT: Duration = Duration::from_secs(10);
/// Default for [`Request::body_max`], in bytes.
const BODY_MAX: usize = 1 << 20;

/// One request, for [`Client::send`](super::Client::send).
#[derive(Clone)]
#[expect(missing_docs, reason = "method and body mean what they mean in HTTP")]
pub struct Request<'a> {
    pub method: Method,
    /// The full URL, `http://` or `https://`. Its query string is left out of errors.
    pub url: &'a str,
    /// Names and values of headers. They replace headers of the same name that the client sets.
    pub headers: Vec<(&'static str, String)>,
    /// Sent as `Authorization: Bearer <secret>`.
    pub bearer: Option<&'a Secret>,
    pub body: Bytes,
    /// How long everything may take, from waiting for a connection to the end of the body, a retry
    /// included.
    pub timeout: Duration,
    /// The longest body of a response that is read, in bytes.
    pub body_max: usize,
    /// Whether the request may be sent a second time.
    pub retry: Retry,
}

/// Whether a request may be sent again if its connection broke before any response.
///
/// The server may close an idle connection at the moment it is used again. Only the sender knows
/// whether the request is idempotent, so that arriving twice does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Never: the request is not idempotent.
    Never,
    /// Once: the request is idempotent.
    Once,
}

impl<'a> Request<'a> {
    /// A request without body, headers or bearer token; 10 s, 1 MiB, no retry.
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

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body to `value`, and `content-type` accordingly.
    pub fn json(mut self, value: &Value) -> Self {
        self.body = Bytes::from(value.to_string());
        self.header("content-type", "application/json")
    }
}
