//! Servers for tests: one whose responses come from a closure, and one that violates HTTP.
//!
//! Compiled for tests only. They listen on port 0, and never wait for time to pass.

#![expect(
    clippy::unwrap_used,
    reason = "test support: a failure is the test's failure"
)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use parking_lot::Mutex;

/// A request as the server received it.
#[derive(Clone, Debug)]
pub struct Received {
    /// `<method> <path>?<query>`
    pub line: String,
    headers: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
}

impl Received {
    /// The value of a header; `None` when it is missing.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter of the query string, not decoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.line.split_once('?')?;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

type Script = Arc<dyn Fn(&Received) -> HttpResponse + Send + Sync>;

/// A correct server; it lives as long as the runtime of its test.
pub struct Server {
    /// Base URL without trailing slash.
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Starts a server that responds to every request with what `script` returns.
    pub fn start(script: impl Fn(&Received) -> HttpResponse + Send + Sync + 'static) -> Self {
        let script: Script = Arc::new(script);
        let received = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&received);
        let server = HttpServer::new(move || {
            let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
            App::new().default_service(web::to(move |request: HttpRequest, body: String| {
                let arrived = arrived(&request, body);
                seen.lock().push(arrived.clone());
                let response = script(&arrived);
                async move { response }
            }))
        });
        let server = server
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        actix_web::rt::spawn(server.run());
        Self { url, received }
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    /// The first lines of all requests so far.
    pub fn lines(&self) -> Vec<String> {
        let received = self.received.lock();
        received
            .iter()
            .map(|request| request.line.clone())
            .collect()
    }
}

fn arrived(request: &HttpRequest, body: String) -> Received {
    let headers = request.headers().iter().map(|(name, value)| {
        let value = value.to_str().unwrap();
        (name.to_string(), value.to_owned())
    });
    Received {
        line: format!("{} {}", request.method(), request.uri()),
        headers: headers.collect(),
        body,
    }
}

/// What [`RawServer`] does on a connection after it received the request.
pub enum Raw {
    /// Sends these bytes, then closes the connection.
    Close(&'static str),
    /// Sends these bytes, then nothing more.
    Stall(&'static str),
}

/// A server that sends bytes as they are. It handles one connection after the other, so a client
/// must not keep one open while it opens the next.
pub struct RawServer {
    /// Base URL without trailing slash.
    pub url: String,
    connection_count: Arc<AtomicUsize>,
}

impl RawServer {
    /// Starts a server that handles one connection with each item of `script`, in order.
    pub fn start(script: impl IntoIterator<Item = Raw>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connection_count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connection_count);
        let script: Vec<Raw> = script.into_iter().collect();
        std::thread::spawn(move || {
            let mut stalled = Vec::new();
            for step in script {
                let (mut stream, _) = listener.accept().unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                read_head(&mut stream);
                match step {
                    Raw::Close(bytes) => stream.write_all(bytes.as_bytes()).unwrap(),
                    Raw::Stall(bytes) => {
                        stream.write_all(bytes.as_bytes()).unwrap();
                        stalled.push(stream);
                    }
                }
            }
            // Keeps the stalled connections open until their clients close them.
            for mut stream in stalled {
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        Self {
            url,
            connection_count,
        }
    }

    /// The number of connections so far.
    pub fn connection_count(&self) -> usize {
        self.connection_count.load(Ordering::SeqCst)
    }
}

fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
}

/// A base URL at which nothing listens.
pub fn dead_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
