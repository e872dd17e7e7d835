//! The state of this server for programs, and for a queue that wants to hear of every change.
//! Open to all: nothing secret is in it.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH},
    web::Data,
};
use daemon::{error::ApiError, web::preferred_wait};

use super::{Desk, not_looked};
use crate::pool::Published;

/// `GET /dashboard.json`. With `If-None-Match` and `Prefer: wait=<seconds>` it is held until there
/// is something new; a 304 says that there was not.
pub async fn json(desk: Data<Desk>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let now = desk.pool.listen().borrow().clone().ok_or_else(not_looked)?;
    if !is_known(&request, &now) {
        return Ok(whole(&desk, &now));
    }
    let Some(wait) = preferred_wait(request.headers()) else {
        return Ok(unchanged(&now));
    };
    let Ok(_place) = desk.places.try_acquire() else {
        return Ok(unchanged(&now));
    };
    tokio::select! {
        later = changed(&desk, &now) => Ok(whole(&desk, &later)),
        () = tokio::time::sleep(wait) => Ok(unchanged(&now)),
        () = desk.draining.begins() => Ok(unchanged(&now)),
    }
}

/// Waits until something else than `known` is shown.
async fn changed(desk: &Desk, known: &Published) -> Arc<Published> {
    let mut changes = desk.pool.listen();
    loop {
        let shown = changes.borrow_and_update().clone();
        if let Some(shown) = shown.filter(|shown| shown.etag != known.etag) {
            return shown;
        }
        if changes.changed().await.is_err() {
            // The pool is gone, and with it this daemon.
            std::future::pending::<()>().await;
        }
    }
}

fn is_known(request: &HttpRequest, shown: &Published) -> bool {
    let headers = request.headers().get_all(IF_NONE_MATCH);
    headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(','))
        // RFC 9110, section 13.1.2: it is the weak comparison that is meant here.
        .any(|etag| is_weakly_the_same(etag.trim(), &shown.etag))
}

/// RFC 9110, section 8.8.3.2: a proxy may have marked it as weak, or have taken the mark away.
fn is_weakly_the_same(one: &str, other: &str) -> bool {
    one.trim_start_matches("W/") == other.trim_start_matches("W/")
}

fn whole(desk: &Desk, shown: &Published) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((ETAG, shown.etag.as_str()))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .json(shown.view.dashboard_at(desk.pool.now()))
}

fn unchanged(shown: &Published) -> HttpResponse {
    HttpResponse::NotModified()
        .insert_header((ETAG, shown.etag.as_str()))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .finish()
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        pin::{Pin, pin},
        task::Poll,
    };

    use actix_web::test::TestRequest;
    use daemon::serve::drain;

    use super::*;
    use crate::api::testing::desk;

    /// A request that may be held, for what is shown already.
    fn request(desk: &Desk) -> HttpRequest {
        let etag = desk.pool.listen().borrow().as_ref().unwrap().etag.clone();
        TestRequest::default()
            .insert_header((IF_NONE_MATCH, etag))
            .insert_header(("prefer", "wait=60"))
            .to_http_request()
    }

    /// The status of the answer, if it is there after the handler was polled once.
    async fn status_at_once(
        mut held: Pin<&mut impl Future<Output = Result<HttpResponse, ApiError>>>,
    ) -> Option<u16> {
        let polled = poll_fn(|context| Poll::Ready(held.as_mut().poll(context))).await;
        match polled {
            Poll::Ready(answer) => Some(answer.unwrap().status().as_u16()),
            Poll::Pending => None,
        }
    }

    #[actix_web::test]
    async fn a_held_request_is_answered_when_the_daemon_ends() {
        let (drain, draining) = drain();
        let (desk, _folder) = desk(draining);
        let request = request(&desk);
        let mut held = pin!(json(Data::new(desk), request));
        assert_eq!(status_at_once(held.as_mut()).await, None);
        drop(drain);
        assert_eq!(status_at_once(held).await, Some(304));
    }

    #[actix_web::test]
    async fn without_a_place_a_request_is_answered_at_once() {
        let (_drain, draining) = drain();
        let (desk, _folder) = desk(draining);
        let request = request(&desk);
        let places = desk.places.clone();
        let _all = places.try_acquire_many(1000).unwrap();
        let held = pin!(json(Data::new(desk), request));
        assert_eq!(status_at_once(held).await, Some(304));
    }
}
