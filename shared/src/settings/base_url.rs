//! Base URL of a server: the beginning of the URLs of all its paths.
//!
//! Responsible for its form. Resolves no name and opens no connection.

use std::{fmt, str::FromStr};

use http::Uri;
use serde::{Serialize, Serializer};

/// An `http` or `https` URL without user, query and fragment. As text it always ends with `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseUrl(String);

/// The longest base URL, in bytes.
const LENGTH_MAX: usize = 1024;

impl BaseUrl {
    /// The URL, with its `/` at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL of `path` below this one; a leading `/` of `path` makes no difference.
    pub fn join(&self, path: &str) -> String {
        format!("{}{}", self.0, path.strip_prefix('/').unwrap_or(path))
    }
}

/// The error for a text that is not a [`BaseUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a base URL is an http or https URL without user, query and fragment")]
pub struct InvalidBaseUrl;

impl FromStr for BaseUrl {
    type Err = InvalidBaseUrl;

    /// Reads a URL with or without `/` at its end. Scheme and host become lower case, so that two
    /// spellings of one server are equal.
    fn from_str(text: &str) -> Result<Self, InvalidBaseUrl> {
        // `Uri` would drop a fragment silently.
        if text.len() > LENGTH_MAX || text.contains('#') {
            return Err(InvalidBaseUrl);
        }
        let uri: Uri = text.parse().map_err(|_| InvalidBaseUrl)?;
        let scheme = uri
            .scheme_str()
            .filter(|scheme| matches!(*scheme, "http" | "https"))
            .ok_or(InvalidBaseUrl)?;
        let authority = uri.authority().ok_or(InvalidBaseUrl)?;
        let host = authority.host();
        // Composed of its parts again, the authority differs if it contained more: a user, which
        // would appear in logs, or a port that is not a number.
        let parts = match authority.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        if host.is_empty() || parts != authority.as_str() || uri.query().is_some() {
            return Err(InvalidBaseUrl);
        }
        let path = uri.path().trim_end_matches('/');
        Ok(Self(format!(
            "{scheme}://{}{path}/",
            parts.to_ascii_lowercase()
        )))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_ends_with_a_slash_however_it_was_written() {
        for (text, url) in [
            ("http://a", "http://a/"),
            ("http://a/", "http://a/"),
            (
                "https://ci0.example.org:8000",
                "https://ci0.example.org:8000/",
            ),
            ("HTTP://CI0.Example.Org/Ci", "http://ci0.example.org/Ci/"),
            ("http://192.168.100.1:8000/", "http://192.168.100.1:8000/"),
            ("http://[::1]:8000", "http://[::1]:8000/"),
            ("http://a/b/c//", "http://a/b/c/"),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().as_str(), url);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let too_long = format!("http://a/{}", "b".repeat(LENGTH_MAX));
        for text in [
            "",
            "/",
            "a",
            "a.example.org:8000",
            "//a/",
            "http:",
            "http://",
            "http:///b",
            "http://:80/",
            "ftp://a/",
            "http://user@a/",
            "http://user:word@a/",
            "http://a?b",
            "http://a/#b",
            "http://a b/",
            "http://a:/",
            "http://a:65536/",
            "http://a:b/",
            "http://é/",
            &too_long,
        ] {
            assert_eq!(text.parse::<BaseUrl>(), Err(InvalidBaseUrl), "{text:.40}");
        }
    }

    #[test]
    fn paths_are_joined_with_one_slash() {
        let url: BaseUrl = "http://a/b".parse().unwrap();
        assert_eq!(url.join("c/d?e=f"), "http://a/b/c/d?e=f");
        assert_eq!(url.join("/c"), "http://a/b/c");
        assert_eq!(url.join(""), "http://a/b/");
    }

    #[test]
    fn a_base_url_is_shown_unchanged() {
        let url: BaseUrl = "http://a".parse().unwrap();
        assert_eq!(format!("{url} {url:?}"), "http://a/ http://a/");
        assert_eq!(serde_json::to_string(&url).unwrap(), r#""http://a/""#);
    }
}
