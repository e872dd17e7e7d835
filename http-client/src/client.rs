//! Sends a request with `awc` and reads the response to its end.
//!
//! Responsible for working around the pitfalls of `awc` 3.11, each named where it is avoided. Never
//! repeats a request that its sender did not declare idempotent.

use actix_web::{error::ParseError, web::Bytes};
use awc::{
    ClientResponse,
    error::{ConnectError, PayloadError, SendRequestError},
    http::{
        Method, StatusCode, Uri, Version,
        header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
    },
};

use super::{HttpError, Request, Response, Retry, error::shown};

/// Most connections at once, per scheme; every long poll occupies one.
const CONNECTIONS_MAX: usize = 1024;
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
/// Not `Send`: create it inside the task or the server worker that uses it. Creating one reads the
/// root certificates of the host (about 2 ms).
#[derive(Clone)]
pub struct Client(awc::Client);

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client with its own connections.
    ///
    /// # Panics
    /// When a file of root certificates cannot be read. A host without any is accepted.
    pub fn new() -> Self {
        install_tls();
        // With HTTP/2, requests after a timeout would share the connection that hangs; with
        // HTTP/1.1 it is closed together with the request that timed out.
        let connector = awc::Connector::new()
            .max_http_version(Version::HTTP_11)
            .limit(CONNECTIONS_MAX);
        let client = awc::Client::builder().connector(connector);
        Self(client.disable_timeout().disable_redirects().finish())
    }

    /// Wraps `client`, which may use any connector but must neither follow redirects nor have a
    /// timeout.
    pub fn over(client: awc::Client) -> Self {
        Self(client)
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

    async fn exchange(&self, request: &Request<'_>, target: &str) -> Result<Response, HttpError> {
        let uri = parse_url(request.url).ok_or_else(|| HttpError::BadUrl {
            target: target.into(),
        })?;
        let headers = headers(request, target)?;
        let mut sent = self.send_once(request, &uri, &headers, target).await;
        // `send_once` ends with the head of the response: an error of it precedes any response.
        if request.retry == Retry::Once && matches!(sent, Err(HttpError::Broken { .. })) {
            sent = self.send_once(request, &uri, &headers, target).await;
        }
        read(sent?, request, target).await
    }

    async fn send_once(
        &self,
        request: &Request<'_>,
        uri: &Uri,
        headers: &HeaderMap,
        target: &str,
    ) -> Result<ClientResponse, HttpError> {
        let mut outgoing = self.0.request(request.method.clone(), uri);
        for (name, value) in headers {
            outgoing.headers_mut().insert(name.clone(), value.clone());
        }
        let sent = outgoing.send_body(request.body.clone()).await;
        sent.map_err(|error| send_error(error, request, target))
    }
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
        let body = response.body().limit(request.body_max).await;
        let body = body.map_err(|error| body_error(error, request, target))?;
        check_length(&headers, &body, target)?;
        body
    } else {
        Bytes::new()
    };
    Ok(Response {
        status,
        headers,
        body,
        target: target.into(),
    })
}

/// Whether a body follows (RFC 9112, section 6.3). A 304 may carry the length of the body that it
/// replaces; `awc` would wait for that body.
fn has_body(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Checks `Content-Length`: for `awc`, a body that was cut off ends like any other.
fn check_length(headers: &HeaderMap, body: &Bytes, target: &str) -> Result<(), HttpError> {
    let announced = headers.get("content-length").filter(|_| {
        // With chunks the length is meaningless (RFC 9112, section 6.3).
        !headers.contains_key("transfer-encoding")
    });
    let Some(announced) = announced else {
        return Ok(());
    };
    let length: Option<usize> = announced.to_str().ok().and_then(|text| text.parse().ok());
    if length == Some(body.len()) {
        return Ok(());
    }
    Err(HttpError::Broken {
        target: target.into(),
        cause: format!("the body ended after {} bytes", body.len()),
    })
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
