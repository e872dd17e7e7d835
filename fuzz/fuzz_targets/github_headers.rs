//! The headers by which GitHub states its time and its limits: no response stops requests for more than an hour.
//! Each paragraph of the input is a response: its status, and its headers.

#![no_main]

use std::time::Duration;

use actix_web::{
    http::header::{HeaderMap, HeaderName, HeaderValue},
    web::Bytes,
};
use github::{GithubTime, RateLimit, retry_after};
use http_client::{Response, StatusCode};
use libfuzzer_sys::fuzz_target;
use shared::clock::Timestamp;

const HOUR: Duration = Duration::from_secs(3600);

fn response(paragraph: &str) -> Response {
    let mut lines = paragraph.lines();
    let status = lines.next().and_then(|line| line.parse().ok());
    let header = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        Some((
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::from_str(value).ok()?,
        ))
    };
    let headers: HeaderMap = lines.filter_map(header).collect();
    let status = status.unwrap_or(StatusCode::TOO_MANY_REQUESTS);
    Response::new("http://host/".to_owned(), status, headers, Bytes::new())
}

fuzz_target!(|text: &str| {
    let mut now = Timestamp::from_seconds(1_790_000_000);
    let mut time = GithubTime::default();
    for paragraph in text.split("\n\n").take(10) {
        let response = response(paragraph);
        if let Some(pause) = retry_after(&response, paragraph) {
            assert!(
                (Duration::from_secs(1)..=HOUR).contains(&pause),
                "{pause:?}"
            );
        }
        if let Some(limit) = RateLimit::of(&response, now) {
            assert!((now..=now + HOUR).contains(&limit.reset_at), "{limit:?}");
        }
        if let Some(date) = response.date() {
            time = time.with(date, now);
        }
        now = now + Duration::from_secs(1);
        let _ = time.at(now);
    }
});
