//! The HTTP API of the monitor: its routes, and one file per part of the URL tree.
//!
//! Responsible for requests and responses. Not responsible for decisions, which the core makes.

mod cache;
mod dashboard;
mod drain;
mod events;
mod grant;
mod guest;
mod guest_auth;
mod health;
mod image;
mod image_deps;
mod metrics;
mod openapi;
mod page;
mod reservation;
mod runner;
mod screenshot;
mod select_runner;
mod snapshot;
mod state;
mod take;
mod target_override;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod webhook;
mod webhook_body;
pub mod webhook_delivery;

pub use metrics::STATE_METRICS;
pub use openapi::description;

use actix_web::web::{Data, ServiceConfig};
use daemon::web::route;

pub use state::AppState;

/// Registers all routes of the monitor.
pub fn routes(state: AppState) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config
            .app_data(Data::new(state.api_token.clone()))
            .app_data(Data::new(state.clone()));
        // For people and for monitoring.
        config
            .configure(daemon::page::configure)
            .service(route("/").get(page::whole))
            .service(route("/dashboard.html").get(page::live_part))
            .service(route("/dashboard.json").get(dashboard::json))
            .service(route("/metrics").get(metrics::metrics))
            .service(route("/openapi.json").get(openapi::show))
            .service(route("/events").get(events::stream))
            .service(route("/healthz").get(health::alive))
            .service(route("/readyz").get(health::ready))
            .service(route("/runner/{id}/screenshot.png").get(screenshot::of_runner))
            .service(route("/runner/{id}/screenshot/now").get(screenshot::of_runner_now))
            .service(route("/profile/{profile_key}/screenshot.png").get(screenshot::of_profile))
            .service(route("/profile/{profile_key}/console.log").get(screenshot::console));
        // For jobs, the queue and operators.
        config
            .service(route("/profile/{profile_key}/take").post(take::one))
            .service(route("/profile/{profile_key}/take/{count}").post(take::several))
            .service(route("/select-runner").post(select_runner::select_runner))
            .service(route("/reservation/{unique_id}").delete(reservation::release))
            .service(
                route("/runner/{id}")
                    .get(runner::show)
                    .delete(runner::remove),
            )
            .service(route("/runner/{id}/console.log").get(runner::console))
            .service(
                route("/policy/drain")
                    .get(drain::show)
                    .post(drain::begin)
                    .delete(drain::end),
            )
            .service(
                route("/image/{profile_key}/rebuild")
                    .post(image::order)
                    .delete(image::cancel),
            )
            .service(
                route("/policy/override")
                    .get(target_override::show)
                    .post(target_override::set)
                    .delete(target_override::cancel),
            )
            .service(route("/webhook").post(webhook::webhook));
        // For guests.
        config
            .service(route("/github-jitconfig").get_with_effect(guest::github_jitconfig))
            .service(route("/boot").get(guest::boot))
            .service(route("/image-deps/{path:.*}").get(image_deps::file))
            .service(route("/cache/{name}/{path:.*}").get(cache::file));
    }
}
