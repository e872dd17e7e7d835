//! The client against real sockets, correct servers and others.

mod kept;
mod proxies;
mod tls;

use std::time::Duration;

use actix_web::HttpResponse;

use super::{
    testing::{Raw, RawServer, Server, dead_url},
    *,
};
use shared::secret::Secret;

const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole";

fn get(url: &str) -> Request<'_> {
    Request::new(Method::GET, url)
}

async fn fail(request: Request<'_>) -> HttpError {
    Client::new().send(request).await.unwrap_err()
}

#[actix_web::test]
async fn a_request_arrives_and_its_response_comes_back_complete() {
    let server = Server::start(|_| {
        HttpResponse::Conflict()
            .insert_header(("etag", "\"1\""))
            .body("taken")
    });
    let (url, token) = (format!("{}/a?b=c", server.url), Secret::new("hunter2"));
    let request = Request {
        bearer: Some(&token),
        ..Request::new(Method::POST, &url)
            .header("prefer", "wait=5")
            .json(&serde_json::json!({"key": 1}))
    };
    let response = Client::new().send(request).await.unwrap();
    assert_eq!(
        (
            response.status.as_u16(),
            response.header("etag"),
            &response.body[..]
        ),
        (409, Some("\"1\""), &b"taken"[..])
    );

    let received = server.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].line, "POST /a?b=c");
    assert_eq!(received[0].body, r#"{"key":1}"#);
    for (name, expected) in [
        (
            "user-agent",
            concat!("ci-runners/", env!("CARGO_PKG_VERSION")),
        ),
        ("authorization", "Bearer hunter2"),
        ("prefer", "wait=5"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(received[0].header(name), Some(expected), "{name}");
    }
}

#[actix_web::test]
async fn a_body_that_was_cut_off_is_an_error() {
    let server = RawServer::start([Raw::Close(
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345",
    )]);
    assert_eq!(
        fail(get(&server.url)).await,
        HttpError::Broken {
            target: server.url,
            cause: "the body ended after 5 bytes".into()
        }
    );
}

#[actix_web::test]
async fn the_timeout_covers_connection_head_and_body() {
    let timeout = Duration::from_millis(50);
    for stalled in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345"] {
        let server = RawServer::start([Raw::Stall(stalled)]);
        let request = Request {
            timeout,
            ..get(&server.url)
        };
        let target = server.url.clone();
        assert_eq!(
            fail(request).await,
            HttpError::TimedOut { target, timeout },
            "{stalled}"
        );
    }
}

#[actix_web::test]
async fn the_timeout_includes_the_retry() {
    let server = RawServer::start([Raw::Close(""), Raw::Stall("")]);
    let request = Request {
        timeout: Duration::from_millis(50),
        retry: Retry::Once,
        ..get(&server.url)
    };
    assert!(matches!(fail(request).await, HttpError::TimedOut { .. }));
}

#[actix_web::test]
async fn a_body_beyond_the_limit_is_refused_with_and_without_content_length() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n123456";
    let in_chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                     3\r\n123\r\n3\r\n456\r\n0\r\n\r\n";
    for bytes in [announced, in_chunks] {
        let server = RawServer::start([Raw::Close(bytes), Raw::Close(bytes)]);
        let limited = |body_max| Request {
            body_max,
            ..get(&server.url)
        };
        let target = server.url.clone();
        assert_eq!(
            fail(limited(5)).await,
            HttpError::TooLarge {
                target,
                body_max: 5
            }
        );
        let response = Client::new().send(limited(6)).await.unwrap();
        assert_eq!(response.text().unwrap(), "123456");
    }
}

#[actix_web::test]
async fn a_refused_connection_is_not_ambiguous() {
    let url = dead_url();
    let request = Request {
        retry: Retry::Once,
        ..get(&url)
    };
    let error = fail(request).await;
    assert!(matches!(error, HttpError::Unreachable { .. }), "{error}");
}

#[actix_web::test]
async fn a_connection_closed_before_the_response_is_ambiguous() {
    for cut in ["", "HTTP/1.1 200 OK\r\ncontent-len"] {
        let server = RawServer::start([Raw::Close(cut)]);
        let error = fail(get(&server.url)).await;
        assert!(
            matches!(error, HttpError::Broken { .. }),
            "{cut:?}: {error}"
        );
    }
}

#[actix_web::test]
async fn only_an_idempotent_request_is_retried_and_only_once() {
    let harmless = |url| Request {
        retry: Retry::Once,
        ..get(url)
    };
    let server = RawServer::start([Raw::Close(""), Raw::Close(WHOLE)]);
    let response = Client::new().send(harmless(&server.url)).await.unwrap();
    assert_eq!(
        (response.text().unwrap(), server.connection_count()),
        ("whole", 2)
    );

    let server = RawServer::start([Raw::Close(""), Raw::Close(""), Raw::Close(WHOLE)]);
    let error = fail(harmless(&server.url)).await;
    assert!(matches!(error, HttpError::Broken { .. }), "{error}");
    assert_eq!(server.connection_count(), 2);

    let server = RawServer::start([Raw::Close(""), Raw::Close(WHOLE)]);
    let error = fail(get(&server.url)).await;
    assert!(matches!(error, HttpError::Broken { .. }), "{error}");
    assert_eq!(server.connection_count(), 1);
}

#[actix_web::test]
async fn a_response_that_breaks_after_its_head_is_not_retried() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345";
    let server = RawServer::start([Raw::Close(cut), Raw::Close(WHOLE)]);
    let request = Request {
        retry: Retry::Once,
        ..get(&server.url)
    };
    let error = fail(request).await;
    assert!(matches!(error, HttpError::Broken { .. }), "{error}");
    assert_eq!(server.connection_count(), 1);
}

#[actix_web::test]
async fn a_redirect_is_a_response_and_is_not_followed() {
    let server = Server::start(|request| match request.line.as_str() {
        "GET /old" => HttpResponse::Found()
            .insert_header(("location", "/new"))
            .finish(),
        _ => HttpResponse::Ok().finish(),
    });
    let url = format!("{}/old", server.url);
    let response = Client::new().send(get(&url)).await.unwrap();
    assert_eq!(
        (response.status, response.header("location")),
        (StatusCode::FOUND, Some("/new"))
    );
    assert_eq!(server.lines(), ["GET /old"]);
}

#[actix_web::test]
async fn no_body_is_awaited_where_http_allows_none() {
    for head in ["304 Not Modified", "204 No Content"] {
        let bytes = format!("HTTP/1.1 {head}\r\ncontent-length: 10\r\n\r\n").leak();
        let server = RawServer::start([Raw::Stall(bytes)]);
        let response = Client::new().send(get(&server.url)).await.unwrap();
        assert!(response.body.is_empty(), "{head}");
    }
}

#[actix_web::test]
async fn another_protocol_than_http_is_malformed() {
    let server = RawServer::start([Raw::Close("SSH-2.0-OpenSSH_9.2\r\n\r\n")]);
    let error = fail(get(&server.url)).await;
    assert!(matches!(error, HttpError::Malformed { .. }), "{error}");
}

#[actix_web::test]
async fn a_request_to_an_unusable_url_is_not_sent() {
    for url in [
        "",
        "/a",
        "host",
        "host/a",
        "ftp://host/a",
        "ws://127.0.0.1:1/a",
        "http://",
        "http:///a",
        "http://a b",
    ] {
        let error = fail(get(url)).await;
        assert!(matches!(error, HttpError::BadUrl { .. }), "{url}: {error}");
    }
}

#[actix_web::test]
async fn a_header_cannot_contain_a_second_one() {
    let server = Server::start(|_| HttpResponse::Ok().finish());
    let token = Secret::new("a\r\nx: y");
    let with_token = Request {
        bearer: Some(&token),
        ..get(&server.url)
    };
    let with_header = get(&server.url).header("prefer", "a\r\nx: y");
    for (request, name) in [(with_token, "authorization"), (with_header, "prefer")] {
        let target = server.url.clone();
        assert_eq!(fail(request).await, HttpError::BadHeader { target, name });
    }
    assert!(server.received().is_empty());
}

#[actix_web::test]
async fn no_error_contains_the_query_string_or_a_header() {
    let token = Secret::new("hunter2");
    let dead = dead_url();
    let scripts = [
        Raw::Close(""),
        Raw::Close("garbage\r\n\r\n"),
        Raw::Close("HTTP/1.1 200 OK\r\nx: hunter2\r\ncontent-length: 9\r\n\r\n1"),
        Raw::Close("HTTP/1.1 200 OK\r\nx: hunter2\r\ncontent-length: 9999999\r\n\r\n1"),
        Raw::Stall(""),
    ];
    let mut errors = Vec::new();
    let urls = scripts.map(|script| RawServer::start([script]).url);
    for base in urls.iter().chain([&dead, &"ftp://a:hunter2@host".into()]) {
        let url = format!("{base}/take/1?token=hunter2");
        let request = Request {
            bearer: Some(&token),
            timeout: Duration::from_millis(50),
            ..get(&url)
        };
        errors.push(fail(request).await);
    }
    for error in errors {
        let texts = format!("{error} {error:?}");
        assert!(texts.contains("/take/1"), "{texts}");
        assert!(
            !texts.contains("hunter2") && !texts.contains("token"),
            "{texts}"
        );
    }
}

#[actix_web::test]
async fn a_client_can_wrap_another_connector() {
    install_tls();
    let server = Server::start(|_| HttpResponse::Ok().body("here"));
    let client = Client::over(awc::Client::builder().disable_redirects().finish());
    let response = client.send(get(&server.url)).await.unwrap();
    assert_eq!(response.text().unwrap(), "here");
}

#[actix_web::test]
async fn informational_responses_are_no_responses() {
    const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nwhole";
    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n";
    for before in [
        "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
        HINTS.to_owned(),
        format!("HTTP/1.1 102 Processing\r\n\r\n{HINTS}{HINTS}"),
    ] {
        let answer: &'static str = format!("{before}{WHOLE}").leak();
        let server = RawServer::start([Raw::Close(answer)]);
        let response = Client::new().send(get(&server.url)).await.unwrap();
        assert_eq!(
            (response.status, response.text().unwrap()),
            (StatusCode::OK, "whole")
        );
        assert_eq!(response.header("link"), None);
    }
    let endless: &'static str = HINTS.repeat(1000).leak();
    let server = RawServer::start([Raw::Stall(endless)]);
    let error = fail(get(&server.url)).await;
    assert!(
        error.to_string().contains("informational responses"),
        "{error}"
    );
}
