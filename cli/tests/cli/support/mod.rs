//! What the tests of this crate share.
//!
//! - `clients`: many clients made of curl
//! - `command`: runs the executable
//! - `daemons`: the daemons as processes of their own; `fleet`: many of them, that can be hurt
//! - `monitor`: a monitor of a few lines, whose runners tests make idle
//! - `queue`: a real queue in this process, which can be restarted
//! - `ports`: ports that are free
//! - `processes`: who works in a folder, and where the other executables are

mod clients;
mod command;
mod daemons;
mod fleet;
mod monitor;
mod ports;
mod processes;
mod queue;

pub use clients::{Clients, Told};
pub use command::{API_TOKEN, Started, ci_runners, end_of, run, start, text_of};
pub use daemons::{daemon, get, one_file, queue_workflow_job, url};
pub use fleet::{Fleet, Pool};
pub use monitor::FakeMonitor;
pub use ports::free_ports;
pub use processes::{executable, processes_in};
pub use queue::TestQueue;

use std::time::Duration;

/// How long anything may take before a test gives up on it. Long, for machines that are busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is_met` says so.
///
/// # Panics
/// When patience is over; `what` says for what.
pub async fn until(what: &str, mut is_met: impl AsyncFnMut() -> bool) {
    let met = async {
        while !is_met().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, met).await;
    waited.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
}
