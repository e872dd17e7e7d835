//! Tests of the whole daemon, in this process, with real guests and an emulated GitHub.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api;
mod evidence;
mod guests;
mod history;
mod labels;
mod log_lines;
mod mirrors;
mod outages;
mod outgoing;
mod pool;
mod shipped;
mod support;
mod takes;
mod webhooks;
