//! A load of requests over a few kept connections, as fast as they are answered.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// Connections, each with one request under way.
const CONNECTIONS: usize = 16;
/// No answer in here takes longer.
const TIMEOUT: Duration = Duration::from_secs(70);

/// Makes the request of a number.
type Maker = dyn Fn(usize) -> Vec<u8> + Send + Sync;

/// Requests to one server.
pub struct Load {
    address: SocketAddr,
    make: Box<Maker>,
    next: AtomicUsize,
    answered: AtomicUsize,
}

impl Load {
    /// Requests, numbered from 0.
    pub fn of(
        address: SocketAddr,
        make: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self {
            address,
            make: Box::new(make),
            next: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
        }
    }

    /// Sends requests for so long; returns how many were answered a second.
    pub fn run(&self, duration: Duration) -> f64 {
        #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
        let started = Instant::now();
        self.run_while(move |_| started.elapsed() < duration)
    }

    /// Sends so many requests; returns how many were answered a second.
    pub fn run_count(&self, count: usize) -> f64 {
        self.run_while(move |number| number < count)
    }

    fn run_while(&self, goes_on: impl Fn(usize) -> bool + Send + Sync + Copy) -> f64 {
        #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut connection = Connection::to(self.address);
                    loop {
                        let number = self.next.fetch_add(1, Ordering::SeqCst);
                        if !goes_on(number) {
                            break;
                        }
                        connection.ask(&(self.make)(number));
                        self.answered.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        self.answered.load(Ordering::SeqCst) as f64 / started.elapsed().as_secs_f64()
    }
}

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream
            .set_nodelay(true)
            .expect("a TCP stream has this option");
        stream
            .set_read_timeout(Some(TIMEOUT))
            .expect("the timeout is not zero");
        Self {
            stream,
            buffer: vec![0; 64 * 1024],
        }
    }

    /// Sends a request.
    pub fn send(&mut self, request: &[u8]) {
        self.stream
            .write_all(request)
            .expect("the server takes the request");
    }

    /// Reads an answer: its status and its body.
    pub fn receive(&mut self) -> (u16, String) {
        let mut length = 0;
        loop {
            let count = self
                .stream
                .read(&mut self.buffer[length..])
                .expect("the server answers in time");
            assert!(count > 0, "the server closed the connection");
            length += count;
            let text = String::from_utf8_lossy(&self.buffer[..length]);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let content_length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse().ok())
                .unwrap_or(0);
            if body.len() >= content_length {
                let status = head
                    .split(' ')
                    .nth(1)
                    .and_then(|status| status.parse().ok());
                return (status.expect("an answer has a status"), body.to_owned());
            }
        }
    }

    /// Sends a request and reads its answer.
    pub fn ask(&mut self, request: &[u8]) -> (u16, String) {
        self.send(request);
        self.receive()
    }
}

/// A request without a body.
pub fn request(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n{headers}\r\n")
        .into_bytes()
}
