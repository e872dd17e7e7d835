//! What clients, daemons and cores share: profiles, runner and dashboard types, values that are
//! valid once parsed, units, error codes and settings.
//!
//! Performs no network I/O and decides nothing.

#![warn(missing_docs)]

pub mod backoff;
pub mod clock;
pub mod error;
pub mod job_spec;
pub mod registration;
pub mod runner_name;
pub mod secret;
pub mod settings;
pub mod software;
pub mod units;
pub mod values;
pub mod wire;
