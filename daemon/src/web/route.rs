//! Registration of paths with the methods that they accept.
//!
//! Responsible for `Allow` and the 405 response of every path, and for HEAD. Not responsible for
//! what the handlers do.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    FromRequest, Handler, HttpResponse, Resource, Responder,
    body::{BodySize, MessageBody},
    dev::{AppService, HttpServiceFactory},
    guard,
    http::{
        Method,
        header::{ALLOW, HeaderValue},
    },
    web::{self, Bytes},
};

use crate::error::{ApiError, Code};

/// A path, to which [`get`](Route::get), [`post`](Route::post) and [`delete`](Route::delete) add
/// handlers. `{name}` in the path matches one segment.
///
/// ```
/// # use daemon::web::route;
/// # async fn show() -> &'static str { "" }
/// # async fn withdraw() -> &'static str { "" }
/// # let configure = |config: &mut actix_web::web::ServiceConfig| {
/// config.service(route("/job/{unique_id}").get(show).delete(withdraw));
/// # };
/// ```
pub fn route(path: &str) -> Route {
    Route {
        resource: web::resource(path.to_owned()),
        allowed: Vec::new(),
    }
}

/// One path and its handlers. Other methods are answered with 405 `method_not_allowed`, and an
/// `Allow` header that lists the accepted ones.
#[must_use = "a route has to be registered with `ServiceConfig::service`"]
pub struct Route {
    resource: Resource,
    allowed: Vec<Method>,
}

impl Route {
    /// Handles GET, and HEAD like GET; `serve` leaves the body out of responses to HEAD.
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method(Method::GET, handler.clone())
            .method(Method::HEAD, handler)
    }

    /// Handles GET but not HEAD: for a path where GET has an effect, which HEAD must not have
    /// (RFC 9110, section 9.2.1).
    pub fn get_with_effect<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method(Method::GET, handler)
    }

    /// Handles POST.
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method(Method::POST, handler)
    }

    /// Handles DELETE.
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.method(Method::DELETE, handler)
    }

    fn method<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let guarded = web::route().guard(guard::Method(method.clone()));
        self.resource = self.resource.route(guarded.to(handler));
        self.allowed.push(method);
        self
    }
}

impl HttpServiceFactory for Route {
    fn register(self, config: &mut AppService) {
        let names: Vec<&str> = self.allowed.iter().map(Method::as_str).collect();
        let allowed = names.join(", ");
        let refuse = move || {
            let allowed = allowed.clone();
            async move { method_not_allowed(&allowed) }
        };
        let resource = self.resource.default_service(web::route().to(refuse));
        resource.register(config);
    }
}

fn method_not_allowed(allowed: &str) -> HttpResponse {
    let message = format!("this path takes {allowed} only");
    let mut response = HttpResponse::from_error(ApiError::new(Code::MethodNotAllowed, message));
    let allowed = HeaderValue::from_str(allowed).expect("names of methods are ASCII");
    response.headers_mut().insert(ALLOW, allowed);
    response
}

/// The body of a response to HEAD: as long as the body of GET would be, so that the headers are
/// the same, but without content, so that no file is read to be thrown away.
pub(super) struct HeadBody(pub(super) BodySize);

impl MessageBody for HeadBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
    };

    use actix_web::{
        App, HttpServer,
        middleware::from_fn,
        rt::task::spawn_blocking,
        test::{TestRequest, call_service, init_service, read_body_json},
    };
    use serde_json::Value;

    use super::*;
    use crate::web::apply_common_rules;

    async fn greet() -> &'static str {
        "hello"
    }

    async fn fail() -> Result<HttpResponse, ApiError> {
        Err(ApiError::new(Code::NotFound, "nothing here"))
    }

    #[actix_web::test]
    async fn another_method_is_refused_with_the_accepted_ones() {
        let app = init_service(
            App::new()
                .service(route("/both/{name}").get(greet).delete(greet))
                .service(route("/post").post(greet))
                .service(route("/once").get_with_effect(greet)),
        )
        .await;
        for (method, path, allowed) in [
            (Method::GET, "/both/a", None),
            (Method::HEAD, "/both/a", None),
            (Method::DELETE, "/both/a", None),
            (Method::POST, "/both/a", Some("GET, HEAD, DELETE")),
            (Method::POST, "/post", None),
            (Method::GET, "/post", Some("POST")),
            (Method::HEAD, "/post", Some("POST")),
            (Method::GET, "/once", None),
            (Method::HEAD, "/once", Some("GET")),
        ] {
            let request = TestRequest::with_uri(path).method(method.clone());
            let response = call_service(&app, request.to_request()).await;
            let status = if allowed.is_some() { 405 } else { 200 };
            assert_eq!(response.status(), status, "{method} {path}");
            let header = response.headers().get(ALLOW);
            assert_eq!(header.map(|value| value.to_str().unwrap()), allowed);
            if let Some(allowed) = allowed {
                let body: Value = read_body_json(response).await;
                assert_eq!(body["code"], "method_not_allowed");
                let message = format!("this path takes {allowed} only");
                assert_eq!(body["message"], message);
            }
        }
    }

    /// Head and body of the response to a request, as they arrive; the date is left out.
    fn exchange(address: std::net::SocketAddr, line: &str) -> (Vec<String>, String) {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let lines = head.lines().filter(|line| !line.starts_with("date:"));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort();
        (lines, body.to_owned())
    }

    #[actix_web::test]
    async fn head_gives_the_headers_of_get_and_no_body() {
        let server = HttpServer::new(|| {
            App::new()
                .wrap(from_fn(apply_common_rules))
                .service(route("/hello").get(greet))
                .service(route("/fail").get(fail))
        });
        let server = server.workers(1).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        for (path, length) in [
            ("/hello", "content-length: 5"),
            ("/fail", "content-length: 45"),
        ] {
            let ask = move |method| exchange(address, &format!("{method} {path}"));
            let get = spawn_blocking(move || ask("GET")).await.unwrap();
            let head = spawn_blocking(move || ask("HEAD")).await.unwrap();
            assert_eq!(head.0, get.0);
            assert!(head.0.contains(&length.to_owned()), "{head:?}");
            assert!(!get.1.is_empty());
            assert_eq!(head.1, "");
        }
        handle.stop(false).await;
    }
}
