//! Names the endpoint of a request, for metrics: its path without the parts that differ from request to
//! request.

use http_client::Method;

/// The most segments of a path that are named.
const SEGMENTS_MAX: usize = 12;

/// Method and path, such as `GET /orgs/{org}/actions/runners`. `url` begins with `api_url`, or the endpoint is
/// one of another server, such as that of an artifact store.
pub(super) fn endpoint(method: &Method, url: &str, api_url: &str) -> String {
    let Some(path) = url.strip_prefix(api_url) else {
        return format!("{method} elsewhere");
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').filter(|it| !it.is_empty()).collect();
    let mut name = format!("{method} ");
    for (index, segment) in segments.iter().take(SEGMENTS_MAX).enumerate() {
        let is_below = |parent: &str| index > 0 && segments[index - 1] == parent;
        let shown = match (segments[0], index) {
            ("orgs", 1) => "{org}",
            ("repos", 1) => "{owner}",
            ("repos", 2) => "{repo}",
            _ if index > 2 && is_below("labels") => "{label}",
            _ if segment.bytes().all(|byte| byte.is_ascii_digit()) => "{id}",
            _ => segment,
        };
        name += "/";
        name += shown;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_that_differ_are_left_out() {
        let api_url = "https://api.github.com";
        for (url, name) in [
            (
                "https://api.github.com/orgs/servo/actions/runners?per_page=100&page=2",
                "GET /orgs/{org}/actions/runners",
            ),
            (
                "https://api.github.com/repos/a/actions/actions/runners/42/labels/reserved-for:x",
                "GET /repos/{owner}/{repo}/actions/runners/{id}/labels/{label}",
            ),
            (
                "https://api.github.com/repos/orgs/repos/actions/runs/7/jobs",
                "GET /repos/{owner}/{repo}/actions/runs/{id}/jobs",
            ),
            (
                "https://api.github.com/app/installations/5/access_tokens",
                "GET /app/installations/{id}/access_tokens",
            ),
            ("https://store.example/x?sig=secret", "GET elsewhere"),
        ] {
            assert_eq!(endpoint(&Method::GET, url, api_url), name, "{url}");
        }
    }
}
