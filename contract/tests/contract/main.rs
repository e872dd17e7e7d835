//! What our client and the monitor ask, and what the emulated GitHub answers, through the proxy that
//! knows GitHub's description; and GitHub's own examples of webhooks.
//!
//! `contract/run` starts it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod apps;
mod calls;
mod life;
mod support;
mod webhooks;
mod wrong;
