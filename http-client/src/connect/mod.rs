//! Connections: over TCP or through a proxy.
//!
//! | module | contents |
//! | --- | --- |
//! | `tcp` | resolves a name and tries its addresses |
//! | `tunnel` | asks a proxy for a connection (CONNECT) |
//! | `stream` | a connection, and requests that are rewritten for a proxy |
//! | `interim` | informational responses, which are left out |
//! | `roots` | certificates of certification authorities |
//!
//! `awc` gets connections that are encrypted already: see [`wire_uri`].

mod interim;
mod roots;
mod stream;
mod tcp;
mod tunnel;

use std::{
    io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use actix_web::dev::Service;
use awc::http::Uri;
use futures_util::future::LocalBoxFuture;
use rustls::{ClientConfig, pki_types::ServerName};
use shared::settings::{Proxies, Proxy};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub use interim::{Begins, Interim};
pub(crate) use roots::tls_config;
pub use roots::{RootCertificates, root_certificates};
pub(crate) use stream::Stream;

/// How long a connection may take, name resolution and the answer of a proxy included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long both may take.
pub(crate) const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// Opens connections for `awc`.
#[derive(Clone)]
pub(crate) struct Dialler {
    proxies: Rc<Proxies>,
    tls: TlsConnector,
}

impl Dialler {
    pub(crate) fn new(proxies: Rc<Proxies>, tls: Arc<ClientConfig>) -> Self {
        let tls = TlsConnector::from(tls);
        Self { proxies, tls }
    }

    async fn open(&self, uri: &Uri) -> io::Result<Stream> {
        let host = uri.host().ok_or(io::ErrorKind::InvalidInput)?;
        let port = port(uri);
        let connect = async {
            match proxy_of(&self.proxies, uri) {
                None => tcp::connect(host, port).await,
                Some(proxy) if is_https(uri) => tunnel::open(proxy, host, port).await,
                Some(proxy) => return tunnel::forward(proxy, uri).await.map(Err),
            }
            .map(Ok)
        };
        let timed_out = |what: &str| io::Error::new(io::ErrorKind::TimedOut, what);
        let connected = timeout(CONNECT_TIMEOUT, connect).await;
        let tcp = match connected.map_err(|_| timed_out("connecting took too long"))?? {
            Ok(tcp) => tcp,
            Err(forwarding) => return Ok(forwarding),
        };
        if !is_https(uri) {
            return Ok(Stream::direct(tcp));
        }
        let name = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(name);
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let encrypted = timeout(HANDSHAKE_TIMEOUT, self.tls.connect(name, tcp)).await;
        let encrypted = encrypted.map_err(|_| timed_out("the TLS handshake took too long"))?;
        encrypted.map(Stream::encrypted)
    }
}

/// The URI that `awc` is given for a request to `uri`.
///
/// `awc` would speak TLS itself over the connections that it is given. For it, `ws` is a scheme without
/// encryption like `http`; the [`Dialler`] takes it for `https`. The port makes sure that both never
/// share a connection.
pub(crate) fn wire_uri(uri: &Uri) -> Uri {
    let Some(host) = uri.host().filter(|_| is_https(uri)) else {
        return uri.clone();
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let wire = Uri::builder()
        .scheme("ws")
        .authority(format!("{host}:{}", port(uri)))
        .path_and_query(path)
        .build();
    wire.expect("the parts of a URI are those of a URI")
}

/// The proxy of a request to `uri`, if it goes through one.
pub(crate) fn proxy_of<'a>(proxies: &'a Proxies, uri: &Uri) -> Option<&'a Proxy> {
    proxies.proxy(is_https(uri), uri.host()?, port(uri))
}

/// Whether the connection for `uri`, also one of [`wire_uri`], is encrypted.
pub(crate) fn is_https(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("https" | "ws"))
}

fn port(uri: &Uri) -> u16 {
    let default = if is_https(uri) { 443 } else { 80 };
    uri.port_u16().unwrap_or(default)
}

impl Service<ConnectInfo<Uri>> for Dialler {
    type Response = Connection<Uri, Stream>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let dialler = self.clone();
        Box::pin(async move {
            let uri = info.request().clone();
            let stream = dialler.open(&uri).await.map_err(ConnectError::Io)?;
            Ok(Connection::new(uri, stream))
        })
    }
}
