//! The emulator as its users meet it: the real server on a free port, over real connections.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod agent_end;
mod api;
mod apps;
mod artifacts;
mod client;
mod control;
mod faults;
mod guest;
mod runs;
mod support;
