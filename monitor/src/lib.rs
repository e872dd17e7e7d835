//! The daemon that keeps one server's pool of single-use GitHub Actions runners.
//!
//! The crate `monitor-core` knows and decides. `shared_core` is the one lock around it; `control_loop`
//! drives it: polls the host and GitHub, plans, and has `executor` perform the planned effects by the
//! adapters `hypervisor`, `store` and `github_clients`; `mirrors` keeps git repositories for guests. `api`
//! serves HTTP requests, and `app` builds and
//! runs all of it. `core_policy` translates the settings for the core; `profiles` reads the folders of
//! the profiles.

mod api;
mod app;
mod control_loop;
mod core_policy;
mod executor;
mod github_clients;
pub mod hypervisor;
mod mirrors;
mod profiles;
mod programs;
mod readiness;
mod reload;
mod runner_entries;
mod runner_metrics;
mod shared_core;
pub mod store;

pub use api::webhook_delivery;
pub use app::{App, AppError, build, run};
use daemon::metrics::Metric;
pub use profiles::{ProfileError, check, check_profiles};

/// The description of its HTTP API in OpenAPI 3.1.
pub fn openapi() -> serde_json::Value {
    api::description()
}

/// The metrics of the monitor beside those of both daemons.
pub fn metrics() -> Vec<&'static Metric> {
    let events = runner_metrics::EVENT_METRICS;
    api::STATE_METRICS.into_iter().chain(events).collect()
}
