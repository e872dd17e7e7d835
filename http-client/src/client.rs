//! Sends a call over `awc` and reads its answer to the end.
//!
//! Owns the traps of `awc` 3.11, each named where it is stepped around. Never repeats a call
//! that its sender did not declare harmless.

use actix_web::{error::ParseError, web::Bytes};
use awc::{
    ClientResponse,
    error::{ConnectError, PayloadError, SendRequestError},
    http::{
        Method, StatusCode, Uri, Version,
        header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
    },
};

use super::{Answer, Call, HttpError, Retry, error::shown};

/// Most connections at once, per scheme: every held request keeps one.
const CONNECTIONS_MAX: usize = 1024;
/// Who we say we are.
const OUR_NAME: &str = concat!("ci-runners/", env!("CARGO_PKG_VERSION"));

/// Chooses the cryptography of TLS, once per process; later calls do nothing.
///
/// [`Client::new`] does it too. What else builds on `rustls` has to call it first.
pub fn install_tls() {
    // An error says that a provider is there already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Sends calls, and keeps connections open for the next ones. A clone is cheap and shares them.
///
/// Not `Send`: make it inside the task, or the server worker, that uses it. Making one reads the
/// host's root certificates (some 2 ms).
#[derive(Clone)]
pub struct Client(awc::Client);

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client with connections of its own.
    ///
    /// # Panics
    /// When a file of the host's root certificates cannot be read; none at all is no panic.
    pub fn new() -> Self {
        install_tls();
        // With HTTP/2 a hanging connection is shared by the calls after the one that timed out;
        // with HTTP/1.1 it goes with that one.
        let connector = awc::Connector::new()
            .max_http_version(Version::HTTP_11)
            .limit(CONNECTIONS_MAX);
        let client = awc::Client::builder().connector(connector);
        Self(client.disable_timeout().disable_redirects().finish())
    }

    /// A client over `client`, whose connector may lead anywhere. It must neither follow
    /// redirects nor have a timeout of its own.
    pub fn over(client: awc::Client) -> Self {
        Self(client)
    }

    /// Sends `call` and reads the whole answer. Any status is an answer.
    ///
    /// Dropping the future drops the connection; the call may have had its effect by then.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer, HttpError> {
        let target = shown(call.url);
        match tokio::time::timeout(call.timeout, self.exchange(&call, &target)).await {
            Ok(result) => result,
            Err(_) => Err(HttpError::TimedOut {
                target,
                timeout: call.timeout,
            }),
        }
    }

    async fn exchange(&self, call: &Call<'_>, target: &str) -> Result<Answer, HttpError> {
        let uri = parse_url(call.url).ok_or_else(|| HttpError::BadUrl {
            target: target.into(),
        })?;
        let headers = headers(call, target)?;
        let mut sent = self.send(call, &uri, &headers, target).await;
        // `send` ends with the head of an answer: what broke in it broke before any.
        if call.retry == Retry::Once && matches!(sent, Err(HttpError::Broken { .. })) {
            sent = self.send(call, &uri, &headers, target).await;
        }
        read(sent?, call, target).await
    }

    async fn send(
        &self,
        call: &Call<'_>,
        uri: &Uri,
        headers: &HeaderMap,
        target: &str,
    ) -> Result<ClientResponse, HttpError> {
        let mut request = self.0.request(call.method.clone(), uri);
        for (name, value) in headers {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let sent = request.send_body(call.body.clone()).await;
        sent.map_err(|error| send_error(error, call, target))
    }
}

/// Reads an address of the two kinds that are spoken here; `awc` also takes those of web sockets.
fn parse_url(url: &str) -> Option<Uri> {
    let uri: Uri = url.parse().ok()?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri)
}

fn headers(call: &Call<'_>, target: &str) -> Result<HeaderMap, HttpError> {
    let bad_header = |name| HttpError::BadHeader {
        target: target.into(),
        name,
    };
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(OUR_NAME));
    if let Some(secret) = call.bearer {
        let value = HeaderValue::try_from(format!("Bearer {}", secret.expose()));
        let mut value = value.map_err(|_| bad_header("authorization"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    for (name, value) in &call.headers {
        let header = HeaderName::try_from(*name).map_err(|_| bad_header(name))?;
        let value = HeaderValue::try_from(value).map_err(|_| bad_header(name))?;
        headers.insert(header, value);
    }
    Ok(headers)
}

/// What it means that `awc` has no head of an answer.
fn send_error(error: SendRequestError, call: &Call<'_>, target: &str) -> HttpError {
    let target = String::from(target);
    let cause = error.to_string();
    match error {
        SendRequestError::Url(_) => HttpError::BadUrl { target },
        SendRequestError::Timeout => HttpError::TimedOut {
            target,
            timeout: call.timeout,
        },
        // This one says that the server hung up after the request had gone out, not that there
        // never was a connection.
        SendRequestError::Connect(ConnectError::Disconnected) => HttpError::Broken {
            target,
            cause: "the connection was closed before an answer".into(),
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

/// Whether a head is unreadable because it ended, not because of what it says.
fn is_cut(error: &ParseError) -> bool {
    matches!(
        error,
        ParseError::Io(_) | ParseError::Incomplete | ParseError::Timeout
    )
}

async fn read(
    mut response: ClientResponse,
    call: &Call<'_>,
    target: &str,
) -> Result<Answer, HttpError> {
    let status = response.status();
    let headers = response.headers().clone();
    let body = if has_body(&call.method, status) {
        let body = response.body().limit(call.body_max).await;
        let body = body.map_err(|error| body_error(error, call, target))?;
        check_length(&headers, &body, target)?;
        body
    } else {
        Bytes::new()
    };
    Ok(Answer {
        status,
        headers,
        body,
        target: target.into(),
    })
}

/// Whether a body follows at all (RFC 9112, section 6.3). A 304 may carry the length of the body
/// it stands for; `awc` would wait for that body.
fn has_body(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// A body that was cut off ends like any other for `awc`; only the announced length tells.
fn check_length(headers: &HeaderMap, body: &Bytes, target: &str) -> Result<(), HttpError> {
    let announced = headers.get("content-length").filter(|_| {
        // Chunks have their own end, and then the length means nothing.
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

fn body_error(error: PayloadError, call: &Call<'_>, target: &str) -> HttpError {
    let target = target.into();
    match error {
        PayloadError::Overflow => HttpError::TooLarge {
            target,
            body_max: call.body_max,
        },
        error => HttpError::Broken {
            target,
            cause: error.to_string(),
        },
    }
}
