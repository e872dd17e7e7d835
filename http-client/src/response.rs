//! A complete response: status, headers and body.
//!
//! Responsible for reading the few headers that the daemons and the command line use. Never shows
//! a body, which may contain a ticket or a credential.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use actix_web::web::Bytes;
use awc::http::{
    StatusCode,
    header::{HeaderMap, HttpDate},
};
use serde::de::DeserializeOwned;

use super::HttpError;
use shared::clock::Timestamp;

/// The longest wait that is taken from `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// A complete response of any status.
#[derive(Clone)]
pub struct Response {
    /// The status; redirects and errors are responses like any other.
    pub status: StatusCode,
    /// All headers, as they were received.
    pub headers: HeaderMap,
    /// The body; its length agrees with `Content-Length`, if there is one.
    pub body: Bytes,
    /// The URL without user and query string.
    target: String,
}

impl Response {
    /// A response to a request for `target`, a URL without user and query string.
    pub fn new(target: String, status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            headers,
            body,
            target,
        }
    }

    /// The value of the first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, parsed as JSON.
    ///
    /// # Errors
    /// [`HttpError::Malformed`] for another shape. A body that ends early is
    /// [`HttpError::Broken`]: `awc` takes a chunked body whose connection was cut for a complete
    /// one, so only the JSON shows that something is missing.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let target = self.target.clone();
            // The text of `error` may repeat a part of the body; its position does not.
            let cause = format!("line {} column {}", error.line(), error.column());
            if error.is_eof() {
                let cause = format!("the JSON ends at {cause}");
                HttpError::Broken { target, cause }
            } else {
                let cause = format!("not the expected JSON at {cause}");
                HttpError::Malformed { target, cause }
            }
        })
    }

    /// The body as text.
    ///
    /// # Errors
    /// [`HttpError::Malformed`] if it is not UTF-8.
    pub fn text(&self) -> Result<&str, HttpError> {
        std::str::from_utf8(&self.body).map_err(|_| HttpError::Malformed {
            target: self.target.clone(),
            cause: "not UTF-8".into(),
        })
    }

    /// The header `Retry-After`, a number of seconds or a date, as a duration of at most a day. A date
    /// counts from the date of the response, by the same clock. Other values, such as negative ones,
    /// are ignored.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let wait = if is_number {
            // A number beyond the type is long in any case.
            Duration::from_secs(text.parse().unwrap_or(u64::MAX))
        } else {
            let date: HttpDate = text.parse().ok()?;
            timestamp(date.into())?.since(self.date()?)
        };
        Some(wait.min(RETRY_AFTER_MAX))
    }

    /// The header `Date`: when the response was made, by the clock of the server, to the second.
    pub fn date(&self) -> Option<Timestamp> {
        let date: HttpDate = self.header("date")?.parse().ok()?;
        timestamp(date.into())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (target, status, length) = (&self.target, self.status, self.body.len());
        write!(formatter, "{status} from {target}, {length} bytes")
    }
}

/// `time` as a [`Timestamp`]; `None` before 1970.
pub fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::default() + since_epoch)
}

#[cfg(test)]
mod tests {
    use awc::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn response(headers: &[(&'static str, &'static str)], body: &'static str) -> Response {
        let headers = headers.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        Response {
            status: StatusCode::OK,
            headers: headers.collect(),
            body: Bytes::from_static(body.as_bytes()),
            target: "http://host/path".into(),
        }
    }

    #[test]
    fn json_that_ends_early_is_a_broken_response() {
        for body in ["", "[1, 2", "[\"a"] {
            let error = response(&[], body).json::<Vec<u8>>().unwrap_err();
            assert!(matches!(error, HttpError::Broken { .. }), "{body}: {error}");
        }
        assert_eq!(
            response(&[], "[1, 2]").json::<Vec<u8>>().unwrap(),
            vec![1, 2]
        );
    }

    #[test]
    fn json_of_another_shape_is_refused_without_repeating_it() {
        let error = response(&[], r#""hunter2""#).json::<u8>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "understand the response of http://host/path: not the expected JSON at line 1 column 9"
        );
    }

    #[test]
    fn only_utf8_is_text() {
        assert_eq!(response(&[], "ticket").text().unwrap(), "ticket");
        let mut garbled = response(&[], "");
        garbled.body = Bytes::from_static(b"\xff");
        assert!(matches!(garbled.text(), Err(HttpError::Malformed { .. })));
    }

    #[test]
    fn retry_after_and_date_are_read_from_their_headers() {
        let dated = response(
            &[
                ("retry-after", "7"),
                ("date", "Thu, 01 Jan 1970 00:01:40 GMT"),
            ],
            "",
        );
        assert_eq!(dated.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(dated.date(), Some(Timestamp::from_seconds(100)));

        let (day, now) = (24 * 3600, "Thu, 01 Jan 1970 00:01:40 GMT");
        for (text, seconds) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("86401", Some(day)),
            ("18446744073709551616", Some(day)),
            ("Thu, 01 Jan 1970 00:01:50 GMT", Some(10)),
            ("Thu, 01 Jan 1970 00:01:30 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(day)),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let wait = response(&[("retry-after", text), ("date", now)], "").retry_after();
            assert_eq!(wait, seconds.map(Duration::from_secs), "{text:?}");
        }
        let undated = response(&[("retry-after", now), ("date", "yesterday")], "");
        assert_eq!((undated.retry_after(), undated.date()), (None, None));
    }

    #[test]
    fn a_response_prints_neither_headers_nor_body() {
        let secret = response(&[("etag", "hunter2")], "hunter2");
        assert_eq!(
            format!("{secret:?}"),
            "200 OK from http://host/path, 7 bytes"
        );
    }
}
