//! What clients, daemons and cores share: runner and dashboard types, validated values, units,
//! back-off, error codes and settings.
//!
//! Performs no network I/O, and makes no decisions. Only `settings` reads files and the environment,
//! and only `clock` the time.

#![warn(missing_docs)]

pub mod backoff;
pub mod clock;
pub mod demand;
pub mod error;
pub mod format;
pub mod job_spec;
#[cfg(feature = "openapi")]
mod openapi;
pub mod operator;
pub mod policy;
pub mod problem;
pub mod registration;
pub mod runner_name;
pub mod secret;
pub mod settings;
pub mod sha256;
pub mod software;
pub mod text;
pub mod units;
pub mod values;
pub mod wait_limits;
pub mod wire;
