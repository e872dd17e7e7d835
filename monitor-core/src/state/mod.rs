//! What the monitor remembers and what it has seen.
//!
//! Depends on nothing else in this crate but the policy.

pub mod action_log;
pub mod back_off;
pub mod credentials;
pub mod durable_state;
pub mod host;
pub mod images;
pub mod monitor;
pub mod observed;
pub mod poll_schedule;
pub mod reservation;
pub mod resources;
pub mod runner;
pub mod software;
