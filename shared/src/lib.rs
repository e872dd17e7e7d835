//! What monitor, queue, command line and emulator have in common: the words of the wire, parsed
//! once into types that cannot be wrong, and the few adapters that both daemons need.
//!
//! Nothing in here decides anything: no order, no dispatch, no plan.

#![warn(missing_docs)]

pub mod auth;
pub mod clock;
pub mod daemon;
pub mod error;
pub mod github;
pub mod http;
pub mod metrics;
pub mod proof;
pub mod secret;
pub mod serve;
pub mod settings;
pub mod units;
pub mod values;
pub mod web;
pub mod wire;
