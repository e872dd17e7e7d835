//! The frame of both daemons: command line, logging, listening, serving, authentication, error
//! responses, metrics and signals.
//!
//! Not responsible for anything that concerns jobs or runners.

#![warn(missing_docs)]

pub mod artifact_claims;
pub mod auth;
pub mod checked_file;
pub mod connections;
mod drops;
pub mod error;
pub mod journal;
pub mod log_output;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod private_file;
pub mod problems;
pub mod readiness;
pub mod reload;
pub mod repeated;
pub mod serve;
pub mod snapshot;
pub mod startup;
pub mod web;
