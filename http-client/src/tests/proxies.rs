//! Requests through an HTTP proxy.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use rustls::version::TLS13;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use super::{tls, *};
use shared::settings::{Environment, Proxies};

/// A proxy: tunnels every CONNECT to `target`, and answers all other requests itself.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Answers CONNECT with `answer`, and tunnels if it is a success.
    async fn start(answer: &'static str, target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        actix_web::rt::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let seen = Arc::clone(&seen);
                actix_web::rt::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else {
                            return;
                        };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let is_connect = head.starts_with("CONNECT ");
                    seen.lock().push(head);
                    let answer = if is_connect { answer } else { WHOLE };
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if is_connect && answer.contains(" 200 ") {
                        let mut upstream = TcpStream::connect(target).await.unwrap();
                        let _ = copy_bidirectional(&mut stream, &mut upstream).await;
                    }
                });
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().clone()
    }
}

fn proxies(variables: &[(&str, String)]) -> Proxies {
    let variables = variables.iter().map(|(name, value)| (*name, value.clone()));
    Proxies::read(&Environment::from_iter(variables)).unwrap()
}

const TUNNEL: &str = "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n";

#[actix_web::test]
async fn https_goes_through_a_tunnel_and_keeps_it() {
    let server = tls::serve(&[&TLS13]).await;
    let proxy = Proxy::start(TUNNEL, server).await;
    let value = format!("http://user:hunter2%21@{}/", proxy.address);
    let client = Client::with(proxies(&[("https_proxy", value)]), &tls::roots());
    // The name has no address: the proxy resolves it.
    let response = client
        .send(get("https://api.github.test/zen?a=b"))
        .await
        .unwrap();
    assert_eq!(response.text().unwrap(), "whole");
    let expected = "CONNECT api.github.test:443 HTTP/1.1\r\nHost: api.github.test:443\r\n\
                    Proxy-Authorization: Basic dXNlcjpodW50ZXIyIQ==\r\n\r\n";
    assert_eq!(proxy.heads(), [expected]);
}

#[actix_web::test]
async fn exceptions_are_reached_directly() {
    let server = tls::serve(&[&TLS13]).await;
    let proxy = Proxy::start(TUNNEL, server).await;
    let value = format!("http://{}", proxy.address);
    let all = proxies(&[("HTTPS_PROXY", value.clone())]);
    let url = format!("https://127.0.0.1:{}/", server.port());
    for (proxies, connect_count) in [
        (all.clone(), 1),
        (
            proxies(&[("HTTPS_PROXY", value), ("no_proxy", "127.0.0.0/8".into())]),
            0,
        ),
        (all.but_not_for_loopback(), 0),
    ] {
        proxy.heads.lock().clear();
        let client = Client::with(proxies, &tls::roots());
        let response = client.send(get(&url)).await.unwrap();
        assert_eq!(response.text().unwrap(), "whole");
        assert_eq!(proxy.heads().len(), connect_count);
    }
}

#[actix_web::test]
async fn a_proxy_that_refuses_is_named_with_the_remedy_and_without_the_password() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    for (answer, user, cause) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
            "",
            "it requires a user and a password; add them to HTTPS_PROXY",
        ),
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "user:hunter2@",
            "it rejects the user and password in HTTPS_PROXY",
        ),
        (
            "HTTP/1.0 403 Forbidden\r\n\r\n",
            "",
            "it answers 403 to CONNECT api.github.test:443",
        ),
        ("SSH-2.0-OpenSSH\r\n\r\n", "", "its answer is not HTTP"),
        ("HTTP/1.1 200", "", "unexpected end of file"),
    ] {
        let proxy = Proxy::start(answer, nowhere).await;
        let value = format!("http://{user}{}", proxy.address);
        let client = Client::with_proxies(proxies(&[("HTTPS_PROXY", value)]));
        let url = "https://api.github.test/";
        let error = client.send(get(url)).await.unwrap_err();
        assert!(matches!(error, HttpError::Unreachable { .. }), "{error}");
        let text = error.to_string();
        let expected = format!("proxy http://{} (HTTPS_PROXY): {cause}", proxy.address);
        assert!(text.contains(&expected), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[actix_web::test]
async fn a_proxy_that_cannot_be_reached_is_named() {
    let address = dead_url();
    let client = Client::with_proxies(proxies(&[("HTTPS_PROXY", address.clone())]));
    let error = client
        .send(get("https://api.github.test/"))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!("proxy {address} (HTTPS_PROXY): ")),
        "{text}"
    );
    assert!(!error.is_ambiguous());
}

#[actix_web::test]
async fn http_is_forwarded_with_the_whole_url_request_by_request() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let proxy = Proxy::start(TUNNEL, nowhere).await;
    let value = format!("http://user:hunter2%21@{}", proxy.address);
    let client = Client::with_proxies(proxies(&[("http_proxy", value)]));
    for retry in [Retry::Never, Retry::Once] {
        let url = "http://monitor.test:8000/take/1?a=b";
        let request = Request {
            retry,
            ..Request::new(Method::POST, url).json(&serde_json::json!({"key": 1}))
        };
        let response = client.send(request).await.unwrap();
        assert_eq!(response.text().unwrap(), "whole");
    }
    let heads = proxy.heads();
    assert_eq!(heads.len(), 2);
    for head in heads {
        let (line, headers) = head.split_once("\r\n").unwrap();
        assert_eq!(line, "POST http://monitor.test:8000/take/1?a=b HTTP/1.1");
        let headers = headers.to_ascii_lowercase();
        assert!(headers.contains("proxy-authorization: basic dxnlcjpodw50zxiyiq==\r\n"));
        assert!(headers.contains("host: monitor.test:8000\r\n"), "{headers}");
    }
}
