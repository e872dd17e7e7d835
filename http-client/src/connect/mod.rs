//! Connections: over TCP or through a proxy.
//!
//! | module | contents |
//! | --- | --- |
//! | `tcp` | resolves a name and tries its addresses |
//! | `tunnel` | asks a proxy for a connection (CONNECT) |
//! | `stream` | a connection, and requests that are rewritten for a proxy |
//! | `roots` | certificates of certification authorities |
//!
//! TLS inside of a connection is up to `awc` and `rustls`.

mod roots;
mod stream;
mod tcp;
mod tunnel;

use std::{
    rc::Rc,
    task::{Context, Poll},
};

use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use actix_web::dev::Service;
use awc::http::Uri;
use futures_util::future::LocalBoxFuture;
use shared::settings::{Proxies, Proxy};

pub(crate) use roots::tls_config;
pub use roots::{RootCertificates, root_certificates};
pub(crate) use stream::Stream;

/// Opens connections for `awc`.
#[derive(Clone)]
pub(crate) struct Dialler(Rc<Proxies>);

impl Dialler {
    pub(crate) fn new(proxies: Rc<Proxies>) -> Self {
        Self(proxies)
    }
}

/// The proxy of a request to `uri`, if it goes through one.
pub(crate) fn proxy_of<'a>(proxies: &'a Proxies, uri: &Uri) -> Option<&'a Proxy> {
    proxies.proxy(is_https(uri), uri.host()?, port(uri))
}

pub(crate) fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
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
        let proxies = Rc::clone(&self.0);
        Box::pin(async move {
            let uri = info.request().clone();
            let host = uri.host().ok_or(ConnectError::Unresolved)?;
            let port = port(&uri);
            let stream = match proxy_of(&proxies, &uri) {
                None => tcp::connect(host, port).await.map(Stream::direct),
                Some(proxy) if is_https(&uri) => tunnel::open(proxy, host, port).await,
                Some(proxy) => tunnel::forward(proxy, &uri).await,
            };
            Ok(Connection::new(uri, stream.map_err(ConnectError::Io)?))
        })
    }
}
