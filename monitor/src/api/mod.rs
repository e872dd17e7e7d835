//! The monitor over HTTP: the tree of routes is the tree of URLs.

mod caller;
mod dashboard;
mod grant;
mod guest;
mod health;
mod image_deps;
mod metrics;
mod page;
mod parameters;
mod policy;
mod reservation;
mod screenshot;
mod select_runner;
mod take;
#[cfg(test)]
mod testing;
mod webhook;

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use actix_web::{
    Route,
    web::{Data, ServiceConfig, delete, get, post, resource},
};
use daemon::{
    auth::ApiToken,
    error::{ApiError, Code},
    serve::Draining,
    web::method_not_allowed,
};
use github::{ApiStatusCell, artifact_auth::ArtifactVerifier};
use shared::settings::Settings;
use tokio::sync::Semaphore;

use crate::{hypervisor::Hypervisor, pool::Pool, store::StoreError};

/// The most requests for the dashboard that are held at once; others are answered without waiting.
const HELD_MAX: usize = 1000;
/// How long the driver may be silent before the monitor counts as dead, beside the time between
/// two of its looks.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// When it is worth asking again whether the monitor is ready, in seconds.
const NOT_READY_RETRY_SECONDS: u64 = 1;

/// What the handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pool: Arc<Pool>,
    api_token: ApiToken,
    proofs: ArtifactVerifier,
    draining: Draining,
    /// Places for held requests.
    places: Arc<Semaphore>,
    is_queue_member: bool,
    silence_max: Duration,
    /// How long a take is kept waiting for its labels to be at GitHub.
    answer_timeout: Duration,
    trusted_proxies: Arc<[IpAddr]>,
    lib_monitor_dir: Option<PathBuf>,
    webhook_key: Option<webhook::Key>,
    github: ApiStatusCell,
    image_deps_dir: Option<PathBuf>,
    /// Asked for the addresses of guests, and for nothing else.
    hypervisor: Hypervisor,
}

impl Desk {
    /// A desk in front of `pool`.
    pub fn new(
        pool: Arc<Pool>,
        hypervisor: Hypervisor,
        settings: &Settings,
        proofs: ArtifactVerifier,
        draining: Draining,
        github: ApiStatusCell,
    ) -> Self {
        Self {
            pool,
            api_token: ApiToken(settings.secrets.api_token.clone()),
            proofs,
            draining,
            places: Arc::new(Semaphore::new(HELD_MAX)),
            is_queue_member: settings.pool.queue_member,
            silence_max: SILENCE_MAX + settings.pool.monitor_poll_interval,
            answer_timeout: settings.pool.monitor_thread_recv_timeout,
            trusted_proxies: settings.network.trusted_proxies.clone().into(),
            lib_monitor_dir: settings.lib_monitor_dir.clone(),
            github,
            webhook_key: settings
                .secrets
                .github_webhook_secret
                .as_ref()
                .map(webhook::Key::of),
            image_deps_dir: settings.image_deps_dir.clone(),
            hypervisor,
        }
    }
}

/// All routes of the monitor.
pub fn routes(desk: Desk) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config
            .app_data(Data::new(desk.api_token.clone()))
            .app_data(Data::new(desk.clone()));
        let mut serve = |path: &str, allowed: &'static str, routes: Vec<Route>| {
            let resource = resource(path).default_service(method_not_allowed(allowed));
            config.service(
                routes
                    .into_iter()
                    .fold(resource, |resource, route| resource.route(route)),
            );
        };
        serve(
            "/profile/{profile_key}/take",
            "POST",
            vec![post().to(take::one)],
        );
        serve(
            "/profile/{profile_key}/take/{count}",
            "POST",
            vec![post().to(take::several)],
        );
        serve(
            "/select-runner",
            "POST",
            vec![post().to(select_runner::select_runner)],
        );
        serve(
            "/reservation/{unique_id}",
            "DELETE",
            vec![delete().to(reservation::release)],
        );
        serve(
            "/policy/override",
            "GET, POST, DELETE",
            vec![
                get().to(policy::show),
                post().to(policy::set),
                delete().to(policy::cancel),
            ],
        );
        serve("/webhook", "POST", vec![post().to(webhook::webhook)]);
        for (path, route) in gets() {
            serve(path, "GET", vec![route]);
        }
    }
}

/// All that is asked for with GET and nothing else.
fn gets() -> Vec<(&'static str, Route)> {
    vec![
        ("/", get().to(page::whole)),
        ("/dashboard.html", get().to(page::live_part)),
        ("/dashboard.json", get().to(dashboard::json)),
        ("/github-jitconfig", get().to(guest::github_jitconfig)),
        ("/boot", get().to(guest::boot)),
        ("/image-deps/{path:.*}", get().to(image_deps::file)),
        (
            "/runner/{id}/screenshot.png",
            get().to(screenshot::of_runner),
        ),
        (
            "/runner/{id}/screenshot/now",
            get().to(screenshot::of_runner_now),
        ),
        (
            "/profile/{profile_key}/screenshot.png",
            get().to(screenshot::of_profile),
        ),
        (
            "/profile/{profile_key}/console.log",
            get().to(screenshot::last_console),
        ),
        ("/metrics", get().to(metrics::metrics)),
        ("/healthz", get().to(health::alive)),
        ("/readyz", get().to(health::ready)),
    ]
}

/// The world has not been looked at yet.
fn not_looked() -> ApiError {
    ApiError::new(
        Code::NotReady,
        "the monitor has just started and has not seen its runners yet; ask again",
    )
    .retry_after(NOT_READY_RETRY_SECONDS)
}

/// What was asked for could not be saved. What the disk said is in the log.
fn not_saved(_: StoreError) -> ApiError {
    ApiError::new(
        Code::NotReady,
        "the monitor cannot save its state at the moment, so nothing was changed; ask again",
    )
    .retry_after(NOT_READY_RETRY_SECONDS)
}
