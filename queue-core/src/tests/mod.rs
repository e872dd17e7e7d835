//! Tests of the whole queue: scenarios, and a random model of queue, servers and clients.

pub mod harness;

mod adopted_reservations;
mod client_presence;
mod demand;
mod duplicates;
mod enqueue_refusals;
mod forward_outcomes;
mod granted_runners;
mod history;
mod job_order;
mod pauses;
mod policy;
mod problems;
mod property;
mod refused_jobs;
mod refused_tokens;
mod repeated_requests;
mod restarts;
mod server_health;
mod several_runners;
mod views;
