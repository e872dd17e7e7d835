//! Sends a request with `awc` and reads the response to its end.
//!
//! Responsible for working around the pitfalls of `awc` 3.11, each named where it is avoided. Never
//! repeats a request that its sender did not declare idempotent.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix_web::{
    error::ParseError,
    web::{Bytes, BytesMut},
};
use awc::{
    ClientResponse,
    error::{ConnectError, PayloadError, SendRequestError},
    http::{
        Method, StatusCode, Uri,
        header::{
            AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
            USER_AGENT,
        },
    },
};
use futures_util::{Stream, StreamExt};

use super::{
    HttpError, Request, Response, Retry, Streaming,
    connect::{
        Dialler, OPEN_TIMEOUT, RootCertificates, is_https, proxy_of, root_certificates, tls_config,
        wire_uri,
    },
    error::shown,
};
use shared::settings::Proxies;

/// Most connections at once, per scheme; every long poll occupies one.
const CONNECTIONS_MAX: usize = 1024;
/// How long a connection is kept for later requests.
const KEPT_FOR: Duration = Duration::from_secs(15);
/// How long an idempotent request waits for an answer on a kept connection before it is also sent on a
/// new one, at most half of its timeout. A middle box may have dropped the kept one without notice.
const DOUBLED_AFTER: Duration = Duration::from_secs(5);
/// How much of a body is read before a pause, in bytes. Reading it takes some ten microseconds.
const READ_WITHOUT_PAUSE: usize = 64 * 1024;
/// How long that pause is: long bodies are read with 30 to 60 MB a second.
const READ_PAUSE: Duration = Duration::from_millis(1);
/// The header `User-Agent`.
const AGENT: &str = concat!("ci-runners/", env!("CARGO_PKG_VERSION"));

/// Installs the cryptography of TLS (`ring`), once per process; later calls do nothing.
///
/// [`Client::new`] calls it. Other users of `rustls` have to call it first.
pub fn install_tls() {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Sends requests, and keeps connections open for later ones. Cheap to clone; clones share the
/// connections.
///
/// A kept connection can be dead without notice. So a request that must not be sent twice gets a new
/// one, and so does every retry.
///
/// Not `Send`: create it inside the task or the server worker that uses it. The first one of a process
/// reads the root certificates of the host (some milliseconds).
#[derive(Clone)]
pub struct Client {
    /// Sends on kept connections, if there are any.
    keeping: awc::Client,
    /// Sends each request on a new connection.
    fresh: awc::Client,
    proxies: Rc<Proxies>,
    /// Whether connections are opened by our `Dialler`.
    has_own_connections: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client with its own connections, without proxies.
    ///
    /// A host without usable root certificates is accepted: its `https` requests fail.
    pub fn new() -> Self {
        Self::with_proxies(Proxies::default())
    }

    /// A client with its own connections, through these proxies.
    pub fn with_proxies(proxies: Proxies) -> Self {
        Self::with(proxies, root_certificates())
    }

    /// A client that trusts these certification authorities.
    pub fn with(proxies: Proxies, roots: &RootCertificates) -> Self {
        install_tls();
        let (tls, proxies) = (tls_config(roots), Rc::new(proxies));
        let client = |kept_for| {
            let connector = awc::Connector::new()
                // Only HTTP/1.1 is offered. With HTTP/2, requests after a timeout would share the
                // connection that hangs; with HTTP/1.1 it is closed together with the request.
                .connector(Dialler::new(Rc::clone(&proxies), Arc::clone(&tls)))
                .timeout(OPEN_TIMEOUT)
                .conn_keep_alive(kept_for)
                .limit(CONNECTIONS_MAX);
            let client = awc::Client::builder().connector(connector);
            client.disable_timeout().disable_redirects().finish()
        };
        Self {
            keeping: client(KEPT_FOR),
            fresh: client(Duration::ZERO),
            proxies,
            has_own_connections: true,
        }
    }

    /// Wraps `client`, which may use any connector but must neither follow redirects nor have a
    /// timeout.
    pub fn over(client: awc::Client) -> Self {
        Self {
            keeping: client.clone(),
            fresh: client,
            proxies: Rc::default(),
            has_own_connections: false,
        }
    }

    /// Sends `request` and reads the complete response, whatever its status.
    ///
    /// Dropping the future closes the connection; the request may have taken effect by then.
    ///
    /// # Errors
    /// When there is no complete response within the limits of the request.
    pub async fn send(&self, request: Request<'_>) -> Result<Response, HttpError> {
        let target = shown(request.url);
        match tokio::time::timeout(request.timeout, self.exchange(&request, &target)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::TimedOut {
                target,
                timeout: request.timeout,
            }),
        }
    }

    /// Sends `request` on a connection of its own and returns once the head of the response is there, which
    /// `timeout` of the request limits. Never repeated; `body_max` does not apply.
    ///
    /// # Errors
    /// When there is no head in that time.
    pub async fn stream(&self, request: Request<'_>) -> Result<Streaming, HttpError> {
        let target = shown(request.url);
        let head = async {
            let (uri, headers) = self.head_of(&request, &target)?;
            send_once(&self.fresh, true, &request, &uri, &headers, &target).await
        };
        match tokio::time::timeout(request.timeout, head).await {
            Ok(response) => Ok(Streaming::new(target, response?)),
            Err(_) => Err(HttpError::TimedOut {
                target,
                timeout: request.timeout,
            }),
        }
    }

    /// The URI as it is written into a request, and the headers.
    fn head_of(&self, request: &Request<'_>, target: &str) -> Result<(Uri, HeaderMap), HttpError> {
        let uri = parse_url(request.url).ok_or_else(|| HttpError::BadUrl {
            target: target.into(),
        })?;
        let headers = headers(request, target)?;
        match self.has_own_connections {
            true => Ok((wire_uri(&uri), headers)),
            false => Ok((uri, headers)),
        }
    }

    async fn exchange(&self, request: &Request<'_>, target: &str) -> Result<Response, HttpError> {
        let uri = parse_url(request.url).ok_or_else(|| HttpError::BadUrl {
            target: target.into(),
        })?;
        let (wire_uri, headers) = self.head_of(request, target)?;
        let send = |client, is_new| send_once(client, is_new, request, &wire_uri, &headers, target);
        // A proxy forwards unencrypted requests one by one.
        let is_forwarded = !is_https(&uri) && proxy_of(&self.proxies, &uri).is_some();
        let sent = match request.retry {
            _ if is_forwarded => send(&self.fresh, true).await,
            Retry::Never => send(&self.fresh, true).await,
            Retry::Once => {
                let first = send(&self.keeping, false);
                let again = || send(&self.fresh, true);
                retry_or_double(first, again, doubled_after(request)).await
            }
        };
        read(sent?, request, target).await
    }
}

/// When a request is sent a second time while the first one has no answer yet. A request that asks to
/// be held has none for a long time.
fn doubled_after(request: &Request<'_>) -> Option<Duration> {
    let is_held = request.headers.iter().any(|(name, _)| *name == "prefer");
    (!is_held).then(|| DOUBLED_AFTER.min(request.timeout / 2))
}

/// Waits for the first request. If its connection breaks, or if it takes too long, a second one is
/// sent; then the first answer of the two counts.
///
/// An error of either precedes any response: both end with the head of it.
pub(super) async fn retry_or_double<T, F>(
    first: F,
    again: impl FnOnce() -> F,
    doubled_after: Option<Duration>,
) -> Result<T, HttpError>
where
    F: Future<Output = Result<T, HttpError>>,
{
    let is_broken =
        |outcome: &Result<T, HttpError>| matches!(outcome, Err(HttpError::Broken { .. }));
    let mut first = std::pin::pin!(first);
    let is_too_long = async {
        match doubled_after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        outcome = &mut first => {
            return if is_broken(&outcome) { again().await } else { outcome };
        }
        () = is_too_long => {}
    }
    let mut second = std::pin::pin!(again());
    tokio::select! {
        outcome = &mut first => match outcome {
            Ok(response) => Ok(response),
            Err(_) => second.await,
        },
        outcome = &mut second => match outcome {
            Ok(response) => Ok(response),
            // The second one was refused; the first may still be answered.
            Err(_) => first.await,
        },
    }
}

async fn send_once(
    client: &awc::Client,
    is_new: bool,
    request: &Request<'_>,
    uri: &Uri,
    headers: &HeaderMap,
    target: &str,
) -> Result<ClientResponse, HttpError> {
    let mut outgoing = client.request(request.method.clone(), uri);
    if is_new {
        outgoing = outgoing.force_close();
    }
    for (name, value) in headers {
        outgoing.headers_mut().insert(name.clone(), value.clone());
    }
    let sent = outgoing.send_body(request.body.clone()).await;
    sent.map_err(|error| send_error(error, request, target))
}

/// Parses an `http` or `https` URL; `awc` would also accept those of web sockets.
fn parse_url(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri)
}

fn headers(request: &Request<'_>, target: &str) -> Result<HeaderMap, HttpError> {
    let bad_header = |name| HttpError::BadHeader {
        target: target.into(),
        name,
    };
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(secret) = request.bearer {
        let value = HeaderValue::try_from(format!("Bearer {}", secret.expose()));
        let mut value = value.map_err(|_| bad_header("authorization"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    for (name, value) in &request.headers {
        let header = HeaderName::try_from(*name).map_err(|_| bad_header(name))?;
        let value = HeaderValue::try_from(value).map_err(|_| bad_header(name))?;
        headers.insert(header, value);
    }
    Ok(headers)
}

/// The error for a request to which `awc` received no head of a response.
fn send_error(error: SendRequestError, request: &Request<'_>, target: &str) -> HttpError {
    let target = String::from(target);
    let cause = error.to_string();
    match error {
        SendRequestError::Url(_) => HttpError::BadUrl { target },
        SendRequestError::Timeout => HttpError::TimedOut {
            target,
            timeout: request.timeout,
        },
        // Despite its name it means that the server closed the connection after the request was
        // sent, not that there was no connection.
        SendRequestError::Connect(ConnectError::Disconnected) => HttpError::Broken {
            target,
            cause: "the connection was closed before a response".into(),
        },
        SendRequestError::Connect(error) => HttpError::Unreachable {
            target,
            cause: error.to_string(),
        },
        SendRequestError::Response(error) if !is_cut(&error) => HttpError::Malformed {
            target,
            cause: error.to_string(),
        },
        _ => HttpError::Broken { target, cause },
    }
}

/// Whether a head is unreadable because it ended early, not because of its content.
fn is_cut(error: &ParseError) -> bool {
    matches!(
        error,
        ParseError::Io(_) | ParseError::Incomplete | ParseError::Timeout
    )
}

async fn read(
    mut response: ClientResponse,
    request: &Request<'_>,
    target: &str,
) -> Result<Response, HttpError> {
    let status = response.status();
    let headers = response.headers().clone();
    let body = if has_body(&request.method, status) {
        let body = collect(&mut response, announced_length(&headers), request.body_max).await;
        let body = body.map_err(|error| body_error(error, request, target))?;
        check_length(&headers, &body, target)?;
        body
    } else {
        Bytes::new()
    };
    Ok(Response::new(target.into(), status, headers, body))
}

/// Reads a body to its end.
///
/// A long one leaves the thread to other tasks again and again: a server that sends megabytes at the speed
/// of a local network must not delay what else happens on this thread.
async fn collect(
    chunks: &mut (impl Stream<Item = Result<Bytes, PayloadError>> + Unpin),
    announced_length: Option<usize>,
    body_max: usize,
) -> Result<Bytes, PayloadError> {
    if announced_length.is_some_and(|length| length > body_max) {
        return Err(PayloadError::Overflow);
    }
    let mut body = BytesMut::new();
    let mut pause_at = READ_WITHOUT_PAUSE;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if chunk.len() > body_max - body.len() {
            return Err(PayloadError::Overflow);
        }
        body.extend_from_slice(&chunk);
        if body.len() >= pause_at {
            tokio::time::sleep(READ_PAUSE).await;
            pause_at = body.len() + READ_WITHOUT_PAUSE;
        }
    }
    Ok(body.freeze())
}

/// Whether a body follows (RFC 9112, section 6.3). A 304 may carry the length of the body that it
/// replaces; `awc` would wait for that body.
fn has_body(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Checks `Content-Length`: for `awc`, a body that was cut off ends like any other.
fn check_length(headers: &HeaderMap, body: &Bytes, target: &str) -> Result<(), HttpError> {
    // With chunks the length is meaningless (RFC 9112, section 6.3).
    let has_length =
        headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING);
    if !has_length || announced_length(headers) == Some(body.len()) {
        return Ok(());
    }
    Err(HttpError::Broken {
        target: target.into(),
        cause: format!("the body ended after {} bytes", body.len()),
    })
}

/// The value of `Content-Length`.
fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn body_error(error: PayloadError, request: &Request<'_>, target: &str) -> HttpError {
    let target = target.into();
    match error {
        PayloadError::Overflow => HttpError::TooLarge {
            target,
            body_max: request.body_max,
        },
        error => HttpError::Broken {
            target,
            cause: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::stream;

    use super::*;

    #[actix_web::test]
    async fn a_long_body_leaves_the_thread_to_other_tasks() {
        const CHUNK_COUNT: usize = 50;
        let turns = Rc::new(Cell::new(0));
        let counted = Rc::clone(&turns);
        let other = actix_web::rt::spawn(async move {
            loop {
                counted.set(counted.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        let mut turns_before_chunks = Vec::new();
        // Each chunk is there at once, as from a fast server.
        let chunks = stream::repeat_with(|| {
            turns_before_chunks.push(turns.get());
            Ok(Bytes::from_static(&[b'x'; READ_WITHOUT_PAUSE]))
        });
        let mut chunks = chunks.take(CHUNK_COUNT);
        let body = collect(&mut chunks, None, usize::MAX).await.unwrap();
        assert_eq!(body.len(), CHUNK_COUNT * READ_WITHOUT_PAUSE);
        other.abort();
        let is_interrupted = turns_before_chunks.is_sorted_by(|one, next| one < next);
        assert!(is_interrupted, "{turns_before_chunks:?}");
    }

    #[actix_web::test]
    async fn a_body_that_is_too_long_is_not_read_to_its_end() {
        let three = || stream::iter(["ab", "cd", "ef"].map(|text| Ok(Bytes::from(text))));
        for (announced, body_max, expected) in [
            (None, 6, Some("abcdef")),
            (None, 5, None),
            (Some(7), 6, None),
            (Some(6), 6, Some("abcdef")),
        ] {
            let body = collect(&mut three(), announced, body_max).await.ok();
            assert_eq!(
                body.as_deref(),
                expected.map(str::as_bytes),
                "{announced:?}"
            );
        }
    }
}
