//! For the tests of this crate and of `dev`: runs programs, waits for conditions, finds free ports,
//! reads dashboards.
//!
//! Compiled for tests only.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dashboard;
mod ports;
mod process;

use std::time::Duration;

pub use dashboard::{queue_dashboard, waiting_jobs};
pub use ports::free_ports;
pub use process::{Finished, Running, command, finish, start, stdout_of};

/// The API token of the tests' daemons, also of the queue's `FakeMonitor`. Every [`command`] has it in
/// its environment.
pub const API_TOKEN: &str = "hunter2-opens-the-api";

/// How long anything may take before a test fails. Long, for busy machines.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until `is_met` returns true.
///
/// # Panics
/// After [`TIMEOUT`]; `condition` names what was waited for.
pub async fn wait_until(condition: &str, mut is_met: impl AsyncFnMut() -> bool) {
    let met = async {
        while !is_met().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(TIMEOUT, met).await;
    waited.unwrap_or_else(|_| panic!("{condition}: not within {TIMEOUT:?}"));
}
