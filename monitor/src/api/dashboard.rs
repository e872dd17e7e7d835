//! The state of this server as JSON, which a queue long-polls. Public: it contains no secret.
//!
//! Unlike pages and metrics this is never answered from a cache, because a queue dispatches jobs by it.

use std::{convert::Infallible, future, sync::Arc};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH},
    web::Data,
};
use daemon::{auth::NotWrongToken, error::ApiError, web::PreferredWait};

use super::{AppState, state::not_ready};
use crate::shared_core::PublishedView;

/// The ETags of `If-None-Match`: the versions of the dashboard that the client has.
#[derive(Clone, Debug)]
pub struct KnownEtags(Vec<String>);

impl FromRequest for KnownEtags {
    type Error = Infallible;
    type Future = future::Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let headers = request.headers().get_all(IF_NONE_MATCH);
        let etags = headers
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(','))
            .map(|etag| etag.trim().to_owned());
        future::ready(Ok(Self(etags.collect())))
    }
}

impl KnownEtags {
    /// RFC 9110, section 13.1.2: `If-None-Match` compares weakly, which ignores the mark `W/`. A proxy
    /// may also have added or removed it (section 8.8.3.2).
    fn contain(&self, etag: &str) -> bool {
        let opaque = |etag: &str| etag.trim_start_matches("W/").to_owned();
        self.0.iter().any(|known| opaque(known) == opaque(etag))
    }
}

/// `GET /dashboard.json`. With `If-None-Match` and `Prefer: wait=<seconds>` it is held until the
/// dashboard changes; 304 if it does not change in that time. It needs no API token, but a wrong one is
/// refused: so a queue notices that its takes would be refused too.
pub async fn json(
    _: NotWrongToken,
    state: Data<AppState>,
    known: KnownEtags,
    wait: PreferredWait,
) -> Result<HttpResponse, ApiError> {
    respond(state, known, wait).await
}

async fn respond(
    state: Data<AppState>,
    known: KnownEtags,
    PreferredWait(wait): PreferredWait,
) -> Result<HttpResponse, ApiError> {
    let current = state.core.published().ok_or_else(not_ready)?;
    if !known.contain(&current.etag) {
        return Ok(whole(&state, &current));
    }
    let Some(wait) = wait else {
        return Ok(unchanged(&current));
    };
    let Ok(_permit) = state.hold_permits.try_acquire() else {
        return Ok(unchanged(&current));
    };
    tokio::select! {
        later = next_change(&state, &current) => Ok(whole(&state, &later)),
        () = tokio::time::sleep(wait) => Ok(unchanged(&current)),
        () = state.draining.begins() => Ok(unchanged(&current)),
    }
}

/// Waits until the dashboard differs from `known`.
async fn next_change(state: &AppState, known: &PublishedView) -> Arc<PublishedView> {
    let mut changes = state.core.subscribe();
    loop {
        let published = changes.borrow_and_update().clone();
        if let Some(published) = published.filter(|published| published.etag != known.etag) {
            return published;
        }
        if changes.changed().await.is_err() {
            // The core is gone, so the daemon is ending and drops this request.
            future::pending::<()>().await;
        }
    }
}

fn whole(state: &AppState, published: &PublishedView) -> HttpResponse {
    let mut dashboard = published.view.dashboard_at(state.core.now());
    dashboard.instance = Some(state.core.instance().to_owned());
    HttpResponse::Ok()
        .insert_header((ETAG, published.etag.as_str()))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .json(dashboard)
}

fn unchanged(published: &PublishedView) -> HttpResponse {
    HttpResponse::NotModified()
        .insert_header((ETAG, published.etag.as_str()))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .finish()
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        pin::{Pin, pin},
        task::Poll,
        time::Duration,
    };

    use actix_web::test::TestRequest;
    use daemon::serve::drain;

    use super::*;
    use crate::api::{state::HELD_MAX, testing::Fixture};

    /// A request that may be held, because the client has the current dashboard.
    async fn long_poll(state: AppState) -> Result<HttpResponse, ApiError> {
        let known = KnownEtags(vec![state.core.published().unwrap().etag.clone()]);
        let wait = PreferredWait(Some(Duration::from_secs(60)));
        respond(Data::new(state), known, wait).await
    }

    /// The status of the response, if it is there after the handler was polled once.
    async fn status_at_once(
        mut held: Pin<&mut impl Future<Output = Result<HttpResponse, ApiError>>>,
    ) -> Option<u16> {
        let polled = poll_fn(|context| Poll::Ready(held.as_mut().poll(context))).await;
        match polled {
            Poll::Ready(response) => Some(response.unwrap().status().as_u16()),
            Poll::Pending => None,
        }
    }

    #[actix_web::test]
    async fn a_held_request_is_answered_when_the_daemon_ends() {
        let (drain, draining) = drain();
        let fixture = Fixture::draining(draining);
        let mut held = pin!(long_poll(fixture.state.clone()));
        assert_eq!(status_at_once(held.as_mut()).await, None);
        drop(drain);
        assert_eq!(status_at_once(held).await, Some(304));
    }

    #[actix_web::test]
    async fn without_a_permit_a_request_is_answered_at_once() {
        let fixture = Fixture::new();
        let permits = fixture.state.hold_permits.clone();
        let _all = permits.try_acquire_many(HELD_MAX as u32).unwrap();
        let held = pin!(long_poll(fixture.state.clone()));
        assert_eq!(status_at_once(held).await, Some(304));
    }

    #[test]
    fn etags_are_compared_weakly() {
        for (header, is_known) in [
            ("W/\"a-1\"", true),
            ("\"a-1\"", true),
            ("\"b\", W/\"a-1\"", true),
            ("W/\"a-2\"", false),
            ("", false),
        ] {
            let request = TestRequest::default().insert_header((IF_NONE_MATCH, header));
            let extracted =
                KnownEtags::from_request(&request.to_http_request(), &mut Payload::None);
            let known = extracted.into_inner().unwrap();
            assert_eq!(known.contain("W/\"a-1\""), is_known, "{header}");
        }
    }
}
