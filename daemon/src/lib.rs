//! The frame around both daemons: command line, logging, listening, serving, authentication,
//! error responses, metrics and signals.
//!
//! Knows nothing about jobs or runners.

#![warn(missing_docs)]

pub mod auth;
pub mod error;
pub mod metrics;
pub mod serve;
pub mod snapshot;
pub mod startup;
pub mod web;
