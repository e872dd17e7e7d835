//! The state of this server as JSON, which a queue long-polls. It contains no secret, and for readers
//! without a token no label and no reservation.
//!
//! For a queue it is never answered from a cache, because jobs are dispatched by it; for readers without
//! a token it is, like pages and metrics.

use std::{convert::Infallible, future, sync::Arc};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder,
    dev::Payload,
    http::header::{CACHE_CONTROL, ContentType, ETAG, IF_NONE_MATCH, VARY},
    web::Data,
};
use daemon::{
    auth::NotWrongToken, error::ApiError, snapshot::SNAPSHOT_AGE_MAX, web::PreferredWait,
};

use monitor_core::Monitor;
use shared::{
    demand::{DEMAND_HEADER, Demand},
    text::printable_json,
    wire::MonitorDashboard,
};

use super::{AppState, snapshot::Snapshot, state::not_ready};
use crate::{runner_metrics, shared_core::PublishedView};

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

/// What a queue states of the jobs that wait; none if the request says nothing that can be read.
#[derive(Clone, Debug)]
pub struct StatedDemand(Option<Demand>);

impl FromRequest for StatedDemand {
    type Error = Infallible;
    type Future = future::Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let header = request.headers().get(DEMAND_HEADER);
        let text = header.and_then(|header| header.to_str().ok());
        future::ready(Ok(Self(text.and_then(|text| text.parse().ok()))))
    }
}

/// `GET /dashboard.json`. With `If-None-Match` and `Prefer: wait=<seconds>` it is held until the
/// dashboard changes; 304 if it does not change in that time.
///
/// With a token it is complete and current. Without one it lacks labels and reservations, which would
/// allow their reader to use the runners, and is rendered at most four times a second for all readers. A
/// wrong token is refused: so a queue notices that its takes would be refused too. What jobs wait for counts
/// only with a token.
pub async fn json(
    token: NotWrongToken,
    state: Data<AppState>,
    known: KnownEtags,
    wait: PreferredWait,
    StatedDemand(demand): StatedDemand,
) -> Result<HttpResponse, ApiError> {
    if token.is_authorised() {
        if let Some(Demand { queue, counts }) = demand {
            let change = |core: &mut Monitor, now| core.handle_demand(queue, counts, now);
            state.core.change(change);
        }
        respond(state, known, wait).await
    } else {
        respond_to_stranger(state, known, wait).await
    }
}

async fn respond(
    state: Data<AppState>,
    known: KnownEtags,
    PreferredWait(wait): PreferredWait,
) -> Result<HttpResponse, ApiError> {
    let current = state.core.published();
    let current = current.ok_or_else(|| not_ready(&state.core))?;
    if !known.contain(&current.etag) {
        return Ok(whole(&state, &current));
    }
    let Some(wait) = wait else {
        return Ok(unchanged(&current.etag));
    };
    let Ok(_permit) = state.hold_permits.try_acquire() else {
        return Ok(unchanged(&current.etag));
    };
    tokio::select! {
        later = next_change(&state, &current) => {
            runner_metrics::observe_long_poll(state.core.now().since(later.changed_at));
            Ok(whole(&state, &later))
        }
        () = tokio::time::sleep(wait) => Ok(unchanged(&current.etag)),
        () = state.draining.begins() => Ok(unchanged(&current.etag)),
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

async fn respond_to_stranger(
    state: Data<AppState>,
    known: KnownEtags,
    PreferredWait(wait): PreferredWait,
) -> Result<HttpResponse, ApiError> {
    let snapshot = state.snapshot();
    let current = snapshot.published.as_ref();
    let current = current.ok_or_else(|| not_ready(&state.core))?;
    let etag = public_etag(&state, current);
    if !known.contain(&etag) {
        return Ok(public(&state, &snapshot, current));
    }
    let Some(wait) = wait else {
        return Ok(unchanged(&etag));
    };
    let Ok(_permit) = state.public_hold_permits.try_acquire() else {
        return Ok(unchanged(&etag));
    };
    let changed = async {
        let later = next_change(&state, current).await;
        // One rendering answers all that are held: none is made for each of them.
        loop {
            let snapshot = state.snapshot();
            match &snapshot.published {
                Some(published) if published.revision >= later.revision => {
                    return public(&state, &snapshot, published);
                }
                _ => tokio::time::sleep(SNAPSHOT_AGE_MAX).await,
            }
        }
    };
    tokio::select! {
        response = changed => Ok(response),
        () = tokio::time::sleep(wait) => Ok(unchanged(&etag)),
        () = state.draining.begins() => Ok(unchanged(&etag)),
    }
}

fn whole(state: &AppState, published: &PublishedView) -> HttpResponse {
    let mut dashboard = published.view.dashboard_at(state.core.now());
    dashboard.instance = Some(state.core.instance().to_owned());
    found(&published.etag)
        .insert_header(ContentType::json())
        .body(json_text(&dashboard))
}

fn public(state: &AppState, snapshot: &Snapshot, published: &PublishedView) -> HttpResponse {
    let body = snapshot.public_dashboard.get_or(|| {
        let mut dashboard = published.view.public_dashboard_at(snapshot.now);
        dashboard.instance = Some(state.core.public_instance().to_owned());
        json_text(&dashboard)
    });
    found(&public_etag(state, published))
        .insert_header(ContentType::json())
        .body(body)
}

/// Its problems contain what GitHub has answered, and its runners what GitHub calls them.
fn json_text(dashboard: &MonitorDashboard) -> String {
    let json = serde_json::to_string(dashboard);
    printable_json(json.expect("a dashboard can always be written as JSON"))
}

/// Another one than that of the complete dashboard, so that a reader who has one of them never keeps it in
/// place of the other.
fn public_etag(state: &AppState, published: &PublishedView) -> String {
    format!(
        "W/\"{}-{}\"",
        state.core.public_instance(),
        published.revision
    )
}

fn found(etag: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    with_headers(&mut response, etag);
    response
}

fn unchanged(etag: &str) -> HttpResponse {
    let mut response = HttpResponse::NotModified();
    with_headers(&mut response, etag).finish()
}

fn with_headers<'a>(
    response: &'a mut HttpResponseBuilder,
    etag: &str,
) -> &'a mut HttpResponseBuilder {
    response
        .insert_header((ETAG, etag))
        .insert_header((CACHE_CONTROL, "no-cache"))
        // A cache between must not give one reader what another one may read.
        .insert_header((VARY, "authorization"))
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
    use crate::api::{
        state::{HELD_MAX, PUBLIC_HELD_MAX},
        testing::Fixture,
    };

    /// A request that may be held, because the client has the current dashboard.
    async fn long_poll(state: AppState) -> Result<HttpResponse, ApiError> {
        let known = KnownEtags(vec![state.core.published().unwrap().etag.clone()]);
        let wait = PreferredWait(Some(Duration::from_secs(60)));
        respond(Data::new(state), known, wait).await
    }

    /// The same without a token.
    async fn public_long_poll(state: AppState) -> Result<HttpResponse, ApiError> {
        let known = KnownEtags(vec![public_etag(&state, &state.core.published().unwrap())]);
        let wait = PreferredWait(Some(Duration::from_secs(60)));
        respond_to_stranger(Data::new(state), known, wait).await
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

    #[actix_web::test]
    async fn readers_without_a_token_have_places_of_their_own() {
        let fixture = Fixture::new();
        let public_permits = fixture.state.public_hold_permits.clone();
        let all = public_permits
            .try_acquire_many(PUBLIC_HELD_MAX as u32)
            .unwrap();
        let mut public = pin!(public_long_poll(fixture.state.clone()));
        assert_eq!(status_at_once(public.as_mut()).await, Some(304));
        let mut held = pin!(long_poll(fixture.state.clone()));
        assert_eq!(status_at_once(held.as_mut()).await, None);
        drop(all);
        let permits = fixture.state.hold_permits.clone();
        let _all = permits.try_acquire_many(HELD_MAX as u32 - 1).unwrap();
        let mut public = pin!(public_long_poll(fixture.state.clone()));
        assert_eq!(status_at_once(public.as_mut()).await, None);
        let mut other = pin!(long_poll(fixture.state.clone()));
        assert_eq!(status_at_once(other.as_mut()).await, Some(304));
    }

    #[actix_web::test]
    async fn what_jobs_wait_for_counts_only_with_a_token() {
        let fixture = Fixture::new();
        let core = &fixture.state.core;
        let mut policy = monitor_core::testing::policy(&[("linux", 1)]);
        for profile in policy.profiles.values_mut() {
            profile.max_count = 3;
        }
        core.change(|core, _| core.apply_policy(&policy));
        let routes = crate::api::routes(fixture.state.clone());
        let app = actix_web::test::init_service(actix_web::App::new().configure(routes)).await;
        for (token, demand, known) in [
            (None, "7; linux=2", 0),
            (Some("wrong"), "7; linux=2", 0),
            (Some("token"), "nonsense", 0),
            (Some("token"), "7; linux=2", 2),
            (Some("token"), "7;", 0),
        ] {
            let request = TestRequest::get().uri("/dashboard.json");
            let mut request = request.insert_header((DEMAND_HEADER, demand));
            if let Some(token) = token {
                request = request.insert_header(("authorization", format!("Bearer {token}")));
            }
            let response = actix_web::test::call_service(&app, request.to_request()).await;
            let is_accepted = response.status().is_success();
            assert_eq!(is_accepted, token != Some("wrong"), "{token:?}");
            let linux = "linux".parse().unwrap();
            assert_eq!(
                core.read(|core| core.demand_for(&linux)),
                known,
                "{token:?} {demand}"
            );
        }
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
