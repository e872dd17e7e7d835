//! How a call can fail, and what that means for whoever sent it.
//!
//! Owns the two questions that decide what to do next: may it have had an effect, and may it
//! work later. Its texts never contain a query, a user, a header's value or a body.

use std::time::Duration;

/// Longest address in an error, in characters.
const SHOWN_MAX: usize = 200;

/// Why there is no answer. Each text is a fragment that follows "failed to".
///
/// `target` is the address without its query and user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be called: no scheme, no host, or not `http` or `https`.
    #[error("call {target}: not an http or https address")]
    BadUrl {
        /// What was to be called.
        target: String,
    },
    /// A header or bearer contains what cannot stand in a header, such as a line break.
    #[error("call {target}: header {name} has an unusable value")]
    BadHeader {
        /// What was to be called.
        target: String,
        /// The header.
        name: &'static str,
    },
    /// No connection came about: name, network, refusal or TLS.
    #[error("reach {target}: {cause}")]
    Unreachable {
        /// What was called.
        target: String,
        /// What the connector said.
        cause: String,
    },
    /// The connection ended before a whole answer was there.
    #[error("get a whole answer from {target}: {cause}")]
    Broken {
        /// What was called.
        target: String,
        /// How far it got.
        cause: String,
    },
    /// There was no whole answer in time.
    #[error("get an answer from {target} within {timeout:?}")]
    TimedOut {
        /// What was called.
        target: String,
        /// How long the call was allowed to take.
        timeout: Duration,
    },
    /// The body is longer than the call allows.
    #[error("read the answer of {target}: longer than {body_max} bytes")]
    TooLarge {
        /// What was called.
        target: String,
        /// How many bytes were allowed.
        body_max: usize,
    },
    /// What came back is not HTTP, or its body is not what was agreed.
    #[error("understand the answer of {target}: {cause}")]
    Malformed {
        /// What was called.
        target: String,
        /// What is wrong with it.
        cause: String,
    },
}

impl HttpError {
    /// Whether the same call may well work later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::TimedOut { .. } => true,
            Self::BadUrl { .. }
            | Self::BadHeader { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. } => false,
        }
    }

    /// Whether the call may have had its effect although there is no answer.
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

/// The part of `url` that may be shown: neither user nor query, no control characters, not long.
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
    fn an_address_is_shown_without_user_and_query() {
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
            ("no address\n\x1b[31m", "no address[31m"),
            ("?hunter2", ""),
            ("", ""),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
        assert_eq!(shown(&"é".repeat(1 << 16)).chars().count(), SHOWN_MAX);
    }

    #[test]
    fn every_failure_says_whether_to_ask_again_and_whether_it_may_have_been_done() {
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
            let said = (error.is_transient(), error.is_ambiguous());
            assert_eq!(said, (is_transient, is_ambiguous), "{error:?}");
        }
    }
}
