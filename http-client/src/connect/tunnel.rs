//! Connections through an HTTP proxy: a tunnel (CONNECT; RFC 9110, section 9.3.6) for `https`, and
//! requests with the whole URL for `http`.

use std::io;

use actix_web::rt::net::TcpStream;
use awc::http::Uri;
use base64::{Engine, engine::general_purpose::STANDARD};
use shared::settings::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Stream, stream::Rewrite, tcp};

/// The longest head of a proxy's response that is read, in bytes.
const HEAD_MAX: usize = 16 * 1024;

/// Most informational responses (1xx) of a proxy that are left out.
const INTERIM_MAX: usize = 16;

/// Opens a tunnel to `host`, through which TLS is spoken.
pub(super) async fn open(proxy: &Proxy, host: &str, port: u16) -> io::Result<TcpStream> {
    let mut stream = connect(proxy).await?;
    let target = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let authorization = authorization(proxy);
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
    let failed = |error: io::Error| proxy_error(proxy, &error.to_string());
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut status = 100;
    let mut count = 0;
    // Informational responses may precede the response.
    while (100..200).contains(&status) && count <= INTERIM_MAX {
        let head = read_head(&mut stream).await.map_err(failed)?;
        status = status_of(&head).ok_or_else(|| proxy_error(proxy, "its answer is not HTTP"))?;
        count += 1;
    }
    match status {
        200..300 => Ok(stream),
        407 if proxy.credentials.is_some() => Err(proxy_error(
            proxy,
            &format!("it rejects the user and password in {}", proxy.variable),
        )),
        407 => Err(proxy_error(
            proxy,
            &format!(
                "it requires a user and a password; add them to {}",
                proxy.variable
            ),
        )),
        status => Err(proxy_error(
            proxy,
            &format!("it answers {status} to CONNECT {target}"),
        )),
    }
}

/// A connection to a proxy that forwards one unencrypted request.
pub(super) async fn forward(proxy: &Proxy, uri: &Uri) -> io::Result<Stream> {
    let stream = connect(proxy).await?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    Ok(Stream::rewriting(
        stream,
        Rewrite {
            origin: format!("http://{authority}"),
            header: authorization(proxy),
        },
    ))
}

async fn connect(proxy: &Proxy) -> io::Result<TcpStream> {
    let connected = tcp::connect(&proxy.host, proxy.port).await;
    connected.map_err(|error| proxy_error(proxy, &error.to_string()))
}

fn proxy_error(proxy: &Proxy, cause: &str) -> io::Error {
    io::Error::other(format!("proxy {proxy} ({}): {cause}", proxy.variable))
}

/// The line of the header `Proxy-Authorization`; empty without credentials.
fn authorization(proxy: &Proxy) -> String {
    match &proxy.credentials {
        Some(credentials) => format!(
            "Proxy-Authorization: Basic {}\r\n",
            STANDARD.encode(credentials.expose())
        ),
        None => String::new(),
    }
}

/// Reads up to the empty line after the head, and not beyond it.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_MAX {
            return Err(io::Error::other("the head of its answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

fn status_of(head: &[u8]) -> Option<u16> {
    let line = head.split(|&byte| byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let rest = line.strip_prefix("HTTP/1.")?;
    rest.split(' ').nth(1)?.parse().ok()
}
