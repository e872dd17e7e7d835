//! The queue's daemon: jobs wait here for the next free runner of any server.
//!
//! The crate `queue-core` decides. Here [`event_loop`] runs it, [`recorder`] keeps what happens to jobs, [`poll`] and [`commands`] connect it
//! to the monitors through a [`monitor_client`], [`api`] connects it to clients, [`ticket`] signs
//! and verifies their tickets, and [`app`] puts all of it together.

pub mod api;
pub mod app;
pub mod commands;
pub mod event_loop;
pub mod grant_proofs;
mod job_metrics;
mod last_run;
pub mod monitor_client;
mod past_runs;
mod pauses;
pub mod poll;
pub mod recorder;
mod reload;
pub mod ticket;
mod unfinished;
mod waits;

use daemon::metrics::Metric;

/// The description of its HTTP API in OpenAPI 3.1.
pub fn openapi() -> serde_json::Value {
    api::description()
}

/// The metrics of the queue beside those of both daemons.
pub fn metrics() -> Vec<&'static Metric> {
    let events = job_metrics::EVENT_METRICS;
    api::STATE_METRICS.into_iter().chain(events).collect()
}
