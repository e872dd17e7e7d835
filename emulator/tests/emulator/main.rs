//! Tests of the emulator over HTTP, on a free port.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod agent_stop;
mod agent_support;
mod api;
mod apps;
mod artifacts;
mod control;
mod disagreements;
mod faults;
mod github_client;
mod runs;
mod support;
