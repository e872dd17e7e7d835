//! Requests for owners and repositories that are not where the path says.

use actix_web::{
    HttpResponse, ResponseError,
    dev::ServiceRequest,
    http::{Method, StatusCode, header::LOCATION},
};
use serde_json::json;

use super::ApiError;
use crate::{
    Emulator,
    model::{Access, Scope},
};

/// The response to a request for a renamed repository, or for what the caller may not see.
pub(super) fn misdirected(emulator: &Emulator, request: &ServiceRequest) -> Option<HttpResponse> {
    let (scope, rest) = scope_of(request.uri().path())?;
    match emulator.model(|model, now| model.access(now, &scope)) {
        Access::Here => None,
        Access::Hidden => Some(ApiError::NOT_FOUND.error_response()),
        Access::Moved(id) => {
            let query = request.uri().query();
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            let url = format!("{}/repositories/{id}{rest}{query}", emulator.base_url());
            Some(redirect(request.method(), &url))
        }
    }
}

/// As at GitHub: 301 for requests without effect, 307, which keeps method and body, for others.
fn redirect(method: &Method, url: &str) -> HttpResponse {
    let status = match *method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::TEMPORARY_REDIRECT,
    };
    HttpResponse::build(status)
        .insert_header((LOCATION, url))
        .json(json!({
            "message": "Moved Permanently",
            "url": url,
            "documentation_url": "https://docs.github.com/rest",
        }))
}

/// The organisation or repository of a path, and the rest of the path.
fn scope_of(path: &str) -> Option<(Scope, &str)> {
    let part_count = match path.split('/').nth(1)? {
        "orgs" => 2,
        "repos" => 3,
        _ => return None,
    };
    let slash = path.match_indices('/').nth(part_count);
    let (scope, rest) = path.split_at(slash.map_or(path.len(), |(at, _)| at));
    Some((scope.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_with_its_scope() {
        for (path, expected) in [
            (
                "/orgs/acme/actions/runners",
                Some(("/orgs/acme", "/actions/runners")),
            ),
            ("/repos/Acme/A/actions", Some(("/repos/acme/a", "/actions"))),
            ("/repos/acme/a", Some(("/repos/acme/a", ""))),
            ("/repos/acme", None),
            ("/rate_limit", None),
            ("/", None),
        ] {
            let found = scope_of(path).map(|(scope, rest)| (scope.to_string(), rest));
            let found = found.as_ref().map(|(scope, rest)| (scope.as_str(), *rest));
            assert_eq!(found, expected, "{path}");
        }
    }
}
