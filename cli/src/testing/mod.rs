//! For tests of this crate and of `dev`: runs programs, waits for what they do, finds free ports.
//!
//! Compiled for tests only.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ports;
mod process;

use std::time::Duration;

pub use ports::free_ports;
pub use process::{Ended, Started, command, end_of, start, text_of};

/// The API token of the tests' daemons, which every command has in its environment.
pub const API_TOKEN: &str = "hunter2";

/// How long anything may take before a test gives up on it. Long, for machines that are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is_met` returns true.
///
/// # Panics
/// When that takes longer than [`PATIENCE`]; `what` names the condition.
pub async fn until(what: &str, mut is_met: impl AsyncFnMut() -> bool) {
    let met = async {
        while !is_met().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, met).await;
    waited.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}
