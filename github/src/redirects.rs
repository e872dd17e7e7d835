//! Redirects of the API: where they lead, and whether the token may be sent there.

use http_client::{Response, StatusCode};

/// A response as far as it is a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    None,
    /// To this URL, on the server that was asked.
    Same(String),
    /// To another server, or to no URL.
    Elsewhere,
}

/// Whether `response` to a request for `url` is a redirect. One without a location is none.
pub(super) fn of(response: &Response, url: &str) -> Redirect {
    if !is_redirect(response.status) {
        return Redirect::None;
    }
    let location = response.header("location");
    location.map_or(Redirect::None, |location| resolve(location, url))
}

/// The path that a redirect leads to, for people.
pub(super) fn target(response: &Response) -> Option<String> {
    let location = response
        .header("location")
        .filter(|_| is_redirect(response.status))?;
    let (_, rest) = location.split_once("://").unwrap_or(("", location));
    let path = rest.find('/').map_or("", |slash| &rest[slash..]);
    // The path of a repository by its id, without what was asked of it.
    let path = path.split("/actions/").next().unwrap_or(path);
    Some(path.split(['?', '#']).next().unwrap_or(path).to_owned())
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 307 | 308)
}

fn resolve(location: &str, url: &str) -> Redirect {
    let Some(origin) = origin(url) else {
        return Redirect::Elsewhere;
    };
    if location.starts_with('/') && !location.starts_with("//") {
        return Redirect::Same(format!("{origin}{location}"));
    }
    let is_same = self::origin(location).is_some_and(|other| normal(other) == normal(origin));
    match is_same {
        true => Redirect::Same(location.to_owned()),
        false => Redirect::Elsewhere,
    }
}

/// Scheme, host and port of a URL, as they are written. A URL with a user has none.
fn origin(url: &str) -> Option<&str> {
    let authority_at = url.find("://")? + 3;
    let rest = &url[authority_at..];
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    (!rest[..end].contains('@')).then(|| &url[..authority_at + end])
}

/// An origin in lower case, without the default port of its scheme.
fn normal(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    let port = match origin.starts_with("https://") {
        true => ":443",
        false => ":80",
    };
    origin.strip_suffix(port).unwrap_or(&origin).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_server_that_was_asked_gets_the_request_again() {
        let same = |url: &str| Redirect::Same(url.to_owned());
        for (url, location, expected) in [
            (
                "https://api.github.com/repos/a/b?c=d",
                "https://api.github.com/repositories/7?c=d",
                same("https://api.github.com/repositories/7?c=d"),
            ),
            (
                "https://ghes/api/v3/repos/a/b",
                "/api/v3/repositories/7",
                same("https://ghes/api/v3/repositories/7"),
            ),
            (
                "https://ghes/a",
                "HTTPS://GHES:443/b",
                same("HTTPS://GHES:443/b"),
            ),
            ("http://ghes:80/a", "http://ghes/b", same("http://ghes/b")),
            ("https://ghes/a", "https://ghes:8443/b", Redirect::Elsewhere),
            ("https://ghes/a", "http://ghes/b", Redirect::Elsewhere),
            ("http://ghes/a", "https://ghes/b", Redirect::Elsewhere),
            ("https://ghes/a", "https://other/b", Redirect::Elsewhere),
            (
                "https://ghes/a",
                "https://ghes.other/b",
                Redirect::Elsewhere,
            ),
            (
                "https://ghes/a",
                "https://ghes@other/b",
                Redirect::Elsewhere,
            ),
            (
                "https://ghes/a",
                "https://ghes:443@other/b",
                Redirect::Elsewhere,
            ),
            (
                "https://ghes/a",
                "https://other\\.ghes/b",
                Redirect::Elsewhere,
            ),
            ("https://ghes/a", "//other/b", Redirect::Elsewhere),
            ("https://ghes/a", "b", Redirect::Elsewhere),
            ("https://ghes/a", "", Redirect::Elsewhere),
        ] {
            assert_eq!(resolve(location, url), expected, "{location}");
        }
    }
}
