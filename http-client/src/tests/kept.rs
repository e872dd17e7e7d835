//! Kept connections that are dead without notice: a proxy or another middle box has forgotten them,
//! and resets or ignores what comes later.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::*;

/// What happens to the second request on a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Second {
    /// The connection is reset.
    Reset,
    /// There is no answer.
    Ignored,
}

/// A server that answers the first request on each connection, and keeps the connection.
struct Forgetful {
    url: String,
    connection_count: Arc<AtomicUsize>,
}

impl Forgetful {
    /// The first `together` requests are answered when all of them have arrived.
    fn start(second: Second, together: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connection_count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connection_count);
        let barrier = Arc::new(Barrier::new(together));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let barrier = (number < together).then(|| Arc::clone(&barrier));
                thread::spawn(move || serve(stream.unwrap(), second, barrier));
            }
        });
        Self {
            url,
            connection_count,
        }
    }

    fn connection_count(&self) -> usize {
        self.connection_count.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, second: Second, barrier: Option<Arc<Barrier>>) {
    if !read_head(&mut stream) {
        return;
    }
    if let Some(barrier) = barrier {
        barrier.wait();
    }
    stream.write_all(WHOLE.as_bytes()).unwrap();
    if read_head(&mut stream) && second == Second::Ignored {
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// Reads the head of a request; false if the connection ends before.
fn read_head(stream: &mut TcpStream) -> bool {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}

fn idempotent(url: &str, timeout: Duration) -> Request<'_> {
    Request {
        retry: Retry::Once,
        timeout,
        ..get(url)
    }
}

/// A client with three kept connections to the server.
async fn with_kept_connections(server: &Forgetful) -> Client {
    let client = Client::new();
    let request = || client.send(idempotent(&server.url, Duration::from_secs(60)));
    let (one, two, three) = futures_util::future::join3(request(), request(), request()).await;
    for response in [one, two, three] {
        assert_eq!(response.unwrap().text().unwrap(), "whole");
    }
    client
}

#[actix_web::test]
async fn a_retry_is_sent_on_a_new_connection_not_on_another_dead_one() {
    let server = Forgetful::start(Second::Reset, 3);
    let client = with_kept_connections(&server).await;
    for number in 1..=3 {
        let request = idempotent(&server.url, Duration::from_secs(60));
        let response = client.send(request).await.unwrap();
        assert_eq!(response.text().unwrap(), "whole", "request {number}");
    }
    assert_eq!(server.connection_count(), 6);
}

#[actix_web::test]
async fn a_request_without_an_answer_is_sent_again_on_a_new_connection() {
    let server = Forgetful::start(Second::Ignored, 3);
    let client = with_kept_connections(&server).await;
    for number in 1..=3 {
        let request = idempotent(&server.url, Duration::from_millis(800));
        let response = client.send(request).await.unwrap();
        assert_eq!(response.text().unwrap(), "whole", "request {number}");
    }
    assert_eq!(server.connection_count(), 6);
}

#[actix_web::test]
async fn a_request_that_asks_to_be_held_is_not_sent_again() {
    let server = Forgetful::start(Second::Ignored, 3);
    let client = with_kept_connections(&server).await;
    let request = idempotent(&server.url, Duration::from_millis(200)).header("prefer", "wait=5");
    let error = client.send(request).await.unwrap_err();
    assert!(matches!(error, HttpError::TimedOut { .. }), "{error}");
    assert_eq!(server.connection_count(), 3);
}

#[actix_web::test]
async fn a_request_that_must_not_be_sent_twice_gets_a_new_connection() {
    for second in [Second::Reset, Second::Ignored] {
        let server = Forgetful::start(second, 3);
        let client = with_kept_connections(&server).await;
        for _ in 0..2 {
            let request = Request::new(Method::POST, &server.url);
            let response = client.send(request).await.unwrap();
            assert_eq!(response.text().unwrap(), "whole", "{second:?}");
        }
        assert_eq!(server.connection_count(), 5);
    }
}

#[actix_web::test]
async fn a_slow_first_answer_counts_if_the_second_request_fails() {
    let both = |first: u64, second: Result<u64, u64>| async move {
        let answer = |after: u64, outcome: Result<u64, HttpError>| async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            outcome
        };
        let again = move || match second {
            Ok(after) => answer(after, Ok(2)),
            Err(after) => {
                let (target, cause) = (String::new(), String::new());
                answer(after, Err(HttpError::Broken { target, cause }))
            }
        };
        let after = Some(Duration::from_millis(10));
        crate::client::retry_or_double(answer(first, Ok(1)), again, after).await
    };
    tokio::time::pause();
    for (first, second, expected) in [
        (5, Ok(0), 1),
        (30, Ok(100), 1),
        (100, Ok(30), 2),
        (100, Err(30), 1),
    ] {
        assert_eq!(
            both(first, second).await.unwrap(),
            expected,
            "{first} {second:?}"
        );
    }
}
