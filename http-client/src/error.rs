//! Failures of requests, and what they mean to the sender.
//!
//! Responsible for the two questions that decide what to do next: may the request have taken
//! effect, and may it succeed later. The texts never contain a query string, a user, the value of
//! a header or a body.

use std::time::Duration;

/// Longest URL in an error, in characters.
const SHOWN_MAX: usize = 200;

/// Why there is no response. Each text is a fragment that follows "failed to".
///
/// `target` is the URL without user and query string.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "`target` is explained above")]
pub enum HttpError {
    /// The URL has no scheme, no host, or another scheme than `http` and `https`.
    #[error("send a request to {target}: not an http or https URL")]
    BadUrl { target: String },
    /// A header or the bearer token contains a character that headers must not contain, such as a
    /// line break.
    #[error("send a request to {target}: the header {name} has an invalid value")]
    BadHeader {
        target: String,
        /// Name of the header.
        name: &'static str,
    },
    /// No connection: name resolution, network, refused connection or TLS.
    #[error("reach {target}: {cause}")]
    Unreachable {
        target: String,
        /// The error of the connector.
        cause: String,
    },
    /// The connection ended before the response was complete.
    #[error("receive the complete response of {target}: {cause}")]
    Broken {
        target: String,
        /// Where it ended.
        cause: String,
    },
    /// The response was not complete in time.
    #[error("receive the response of {target} within {}", seconds(*timeout))]
    TimedOut {
        target: String,
        /// The limit of the request.
        timeout: Duration,
    },
    /// The body is longer than the request allows.
    #[error("read the response of {target}: it is longer than {body_max} bytes")]
    TooLarge {
        target: String,
        /// The limit of the request.
        body_max: usize,
    },
    /// The response is not HTTP, or its body has an unexpected form.
    #[error("understand the response of {target}: {cause}")]
    Malformed {
        target: String,
        /// What is wrong with the response.
        cause: String,
    },
}

impl HttpError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::TimedOut { .. } => true,
            Self::BadUrl { .. }
            | Self::BadHeader { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. } => false,
        }
    }

    /// Whether the request may have taken effect although there is no response.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Broken { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. } => true,
            Self::BadUrl { .. } | Self::BadHeader { .. } | Self::Unreachable { .. } => false,
        }
    }
}

/// `timeout` for people: to the second, or to the millisecond below one. What remains of a longer
/// deadline would print as 19.999997279s.
fn seconds(timeout: Duration) -> String {
    match timeout.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        millis => format!("{} s", (millis + 500) / 1000),
    }
}

/// The part of `url` that may be shown: no user, no query string, no control characters, limited
/// length.
pub(super) fn shown(url: &str) -> String {
    let path_end = url.find(['?', '#']).unwrap_or(url.len());
    let address = &url[..path_end];
    let (scheme, rest) = match address.find("://") {
        Some(colon) => address.split_at(colon + 3),
        None => ("", address),
    };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    [scheme, host, path]
        .concat()
        .chars()
        .filter(|character| !character.is_control())
        .take(SHOWN_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_user_and_query_string() {
        for (url, expected) in [
            (
                "http://host:80/take/a?token=hunter2",
                "http://host:80/take/a",
            ),
            ("https://user:hunter2@host/a", "https://host/a"),
            ("https://user:hunter2@host", "https://host"),
            ("https://host?hunter2", "https://host"),
            ("https://host/#hunter2", "https://host/"),
            ("https://host/a@b", "https://host/a@b"),
            ("user:hunter2@host/a?b", "host/a"),
            ("no url\n\x1b[31m", "no url[31m"),
            ("?hunter2", ""),
            ("", ""),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
        assert_eq!(shown(&"é".repeat(1 << 16)).chars().count(), SHOWN_MAX);
    }

    #[test]
    fn a_timeout_is_shown_in_round_numbers() {
        for (micros, expected) in [
            (19_999_997, "20 s"),
            (10_000_000, "10 s"),
            (1_499_000, "1 s"),
            (50_000, "50 ms"),
            (0, "0 ms"),
        ] {
            assert_eq!(seconds(Duration::from_micros(micros)), expected);
        }
    }

    #[test]
    fn every_failure_states_whether_to_retry_and_whether_it_may_have_taken_effect() {
        let target = String::new;
        let (cause, timeout) = (String::new(), Duration::from_secs(1));
        let expected = [
            (HttpError::BadUrl { target: target() }, false, false),
            (
                HttpError::BadHeader {
                    target: target(),
                    name: "etag",
                },
                false,
                false,
            ),
            (
                HttpError::Unreachable {
                    target: target(),
                    cause: cause.clone(),
                },
                true,
                false,
            ),
            (
                HttpError::Broken {
                    target: target(),
                    cause: cause.clone(),
                },
                true,
                true,
            ),
            (
                HttpError::TimedOut {
                    target: target(),
                    timeout,
                },
                true,
                true,
            ),
            (
                HttpError::TooLarge {
                    target: target(),
                    body_max: 1,
                },
                false,
                true,
            ),
            (
                HttpError::Malformed {
                    target: target(),
                    cause,
                },
                false,
                true,
            ),
        ];
        for (error, is_transient, is_ambiguous) in expected {
            let found = (error.is_transient(), error.is_ambiguous());
            assert_eq!(found, (is_transient, is_ambiguous), "{error:?}");
        }
    }
}
