//! Rules for requests that a browser sends on behalf of a page, and for how browsers treat responses.
//!
//! Pages of other sites can make a browser send requests to daemons that only the browser's host can
//! reach. So what changes state is refused if it comes from another site, the names under which a daemon
//! is reached can be limited (against DNS rebinding), and responses say that they must not be embedded,
//! interpreted as something else or kept.

use actix_web::{
    HttpResponse,
    dev::ServiceRequest,
    http::{
        Method,
        header::{
            self, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HOST, HeaderMap, HeaderName,
            HeaderValue, LAST_MODIFIED, ORIGIN, REFERER,
        },
    },
    web::Data,
};
use shared::settings::NetworkSettings;

use crate::error::{ApiError, Code};

/// What a document of ours may do in a browser unless its handler allows more: nothing.
const NOTHING: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The headers of every response.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
];

/// The names under which a daemon may be reached, as application data; all, if there are none.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// Those of the settings. If there are some, the hosts of our own base URLs are among them.
    pub fn of(settings: &NetworkSettings) -> Self {
        if settings.allowed_hosts.is_empty() {
            return Self::default();
        }
        let mut hosts: Vec<String> = settings
            .allowed_hosts
            .iter()
            .map(|host| name(host))
            .collect();
        for url in [&settings.external_base_url, &settings.guest_base_url] {
            let authority = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
            hosts.push(name(authority.split('/').next().unwrap_or_default()));
        }
        Self(hosts)
    }

    fn allow(&self, host: &str) -> bool {
        self.0.is_empty() || self.0.contains(&name(host))
    }
}

/// A host without its port, in lower case, without the dot of an absolute name.
fn name(host: &str) -> String {
    let host = host.trim();
    let end = match host.rfind(']') {
        // An IPv6 address has colons of its own.
        Some(end) => end + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    host[..end].trim_end_matches('.').to_ascii_lowercase()
}

/// Whether a browser says that another site, or another server of the same site, has caused the request.
/// Programs other than browsers send none of these headers.
pub fn is_cross_site(headers: &HeaderMap) -> bool {
    let mut sites = headers
        .get_all(HeaderName::from_static("sec-fetch-site"))
        .peekable();
    if sites.peek().is_some() {
        return sites.any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    }
    // Browsers from before 2023, and those that do not trust the connection of an HTTP page. Those from
    // before 2020 send only a referrer with forms.
    let Some(source) = headers.get(ORIGIN).or_else(|| headers.get(REFERER)) else {
        return false;
    };
    let source = source.to_str().unwrap_or_default();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let of_source = source.split_once("://").map(|(_, rest)| rest);
    let of_source = of_source.and_then(|rest| rest.split(['/', '?', '#']).next());
    match (of_source, host) {
        (Some(of_source), Some(host)) => !of_source.eq_ignore_ascii_case(host),
        _ => true,
    }
}

/// # Errors
/// 403 for a request that must not be handled.
pub(super) fn check(request: &ServiceRequest) -> Result<(), ApiError> {
    let headers = request.headers();
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if !is_safe && is_cross_site(headers) {
        return Err(ApiError::new(
            Code::CrossSite,
            "a page of another site has caused this request; browsers may change state from this \
             server's own pages only",
        ));
    }
    let Some(allowed) = request.app_data::<Data<AllowedHosts>>() else {
        return Ok(());
    };
    // Supervisors and load balancers check the health by address.
    if allowed.0.is_empty() || matches!(request.path(), "/healthz" | "/readyz") {
        return Ok(());
    }
    let mut hosts = headers.get_all(HOST);
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let is_allowed = host.is_some_and(|host| allowed.allow(host))
        && hosts.next().is_none()
        && request.uri().host().is_none_or(|host| allowed.allow(host));
    if is_allowed {
        return Ok(());
    }
    Err(ApiError::new(
        Code::WrongHost,
        "this server does not answer under that name; the setting allowed_hosts lists its names",
    ))
}

/// Adds the headers that every response has. A handler's own headers stay.
pub(super) fn add_headers(response: &mut HttpResponse<impl Sized>) {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING));
    }
    let has_validator = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    if !has_validator && !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App,
        middleware::from_fn,
        test::{TestRequest, call_service, init_service, read_body_json},
        web,
    };
    use serde_json::Value;

    use super::*;
    use crate::web::{apply_common_rules, route};

    async fn status(
        allowed: &[&str],
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let allowed = AllowedHosts(allowed.iter().map(|host| name(host)).collect());
        let ok = || async { "ok" };
        let app = App::new()
            .wrap(from_fn(apply_common_rules))
            .app_data(Data::new(allowed))
            .service(route("/healthz").get(ok))
            .service(route("/x").get(ok).post(ok).delete(ok));
        let app = init_service(app.default_service(web::to(crate::web::not_found))).await;
        let mut request = TestRequest::with_uri(path).method(method);
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        let response = call_service(&app, request.to_request()).await;
        let status = response.status().as_u16();
        let code = match status {
            200 => String::new(),
            _ => read_body_json::<Value, _>(response).await["code"]
                .as_str()
                .unwrap()
                .to_owned(),
        };
        (status, code)
    }

    #[actix_web::test]
    async fn other_sites_cannot_change_state_through_a_browser() {
        let (host, cross) = (("host", "ci:8000"), ("sec-fetch-site", "cross-site"));
        for (headers, is_refused) in [
            (&[host][..], false),
            (&[host, ("sec-fetch-site", "same-origin")], false),
            (&[host, ("sec-fetch-site", "none")], false),
            (&[host, cross], true),
            (&[host, ("sec-fetch-site", "same-site")], true),
            (&[host, ("sec-fetch-site", "Cross-Site")], true),
            (&[host, ("sec-fetch-site", "same-origin"), cross], true),
            (&[host, ("sec-fetch-site", "")], true),
            (&[host, ("origin", "http://ci:8000")], false),
            (&[host, ("origin", "http://ci:8001")], true),
            (&[host, ("origin", "https://evil.example")], true),
            (&[host, ("origin", "null")], true),
            (&[("origin", "http://ci:8000")], true),
            (&[host, ("referer", "http://ci:8000/?a")], false),
            (&[host, ("referer", "http://ci:8000")], false),
            (
                &[host, ("referer", "https://evil.example/http://ci:8000/")],
                true,
            ),
            (&[host, ("referer", "http://ci:8000@evil.example/")], true),
            (&[host, ("referer", "about:client")], true),
            (
                &[
                    host,
                    ("origin", "http://ci:8000"),
                    ("referer", "https://evil.example/"),
                ],
                false,
            ),
            (
                &[
                    host,
                    ("origin", "https://ci.example"),
                    ("sec-fetch-site", "same-origin"),
                ],
                false,
            ),
        ] {
            for method in [Method::POST, Method::DELETE] {
                let (status, code) = status(&[], method, "/x", headers).await;
                let expected = if is_refused {
                    (403, "cross_site")
                } else {
                    (200, "")
                };
                assert_eq!((status, code.as_str()), expected, "{headers:?}");
            }
        }
        let read = status(&[], Method::GET, "/x", &[host, cross]).await;
        assert_eq!(read.0, 200, "links from other sites work");
        let unknown = status(&[], Method::PUT, "/x", &[host, cross]).await;
        assert_eq!(unknown.0, 403);
    }

    #[actix_web::test]
    async fn only_the_listed_names_are_answered() {
        let allowed = ["CI.example", "[2001:db8::1]", "192.0.2.1"];
        for (host, is_allowed) in [
            ("ci.example", true),
            ("CI.Example.:8000", true),
            ("192.0.2.1:8000", true),
            ("[2001:DB8::1]:8000", true),
            ("evil.example", false),
            ("ci.example.evil.example", false),
            ("ci.example@evil.example", false),
            ("192.0.2.10", false),
            ("[2001:db8::2]", false),
            ("", false),
        ] {
            let expected = if is_allowed {
                (200, "")
            } else {
                (403, "wrong_host")
            };
            let (status, code) = status(&allowed, Method::GET, "/x", &[("host", host)]).await;
            assert_eq!((status, code.as_str()), expected, "{host}");
        }
        let both = [("host", "ci.example"), ("host", "evil.example")];
        assert_eq!(status(&allowed, Method::GET, "/x", &both).await.0, 403);
        assert_eq!(status(&allowed, Method::GET, "/x", &[]).await.0, 403);
        assert_eq!(status(&allowed, Method::GET, "/healthz", &[]).await.0, 200);
        assert_eq!(
            status(&[], Method::GET, "/x", &[("host", "any")]).await.0,
            200
        );
        let absolute = "http://evil.example/x";
        let found = status(&allowed, Method::GET, absolute, &[("host", "ci.example")]).await;
        assert_eq!(found.0, 403);
    }

    #[actix_web::test]
    async fn every_response_has_the_headers_for_browsers() {
        let app = App::new().wrap(from_fn(apply_common_rules)).service(
            route("/x")
                .get(|| async { HttpResponse::Ok().insert_header((ETAG, "\"a\"")).finish() }),
        );
        let app = init_service(app.default_service(web::to(crate::web::not_found))).await;
        let cross = ("sec-fetch-site", "cross-site");
        for (request, cache_control) in [
            (TestRequest::get().uri("/x"), None),
            (TestRequest::delete().uri("/x"), Some("no-store")),
            (TestRequest::get().uri("/nowhere"), Some("no-store")),
            (
                TestRequest::post().uri("/x").insert_header(cross),
                Some("no-store"),
            ),
        ] {
            let response = call_service(&app, request.to_request()).await;
            let value = |name| {
                response
                    .headers()
                    .get(name)
                    .map(|value| value.to_str().unwrap())
            };
            for (name, expected) in HEADERS {
                assert_eq!(value(name), Some(expected));
            }
            assert_eq!(value(CONTENT_SECURITY_POLICY), Some(NOTHING));
            assert_eq!(value(CACHE_CONTROL), cache_control);
        }
    }
}
