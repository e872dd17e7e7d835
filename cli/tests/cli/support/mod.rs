//! What the tests of this crate share.
//!
//! - `monitor`: a monitor of a few lines, whose runners tests make idle
//! - `queue`: a real queue in this process, which can be restarted

mod monitor;
mod queue;

use tokio::process::Command;

pub use cli::testing::{API_TOKEN, Ended, end_of, start, text_of, until};
pub use monitor::FakeMonitor;
pub use queue::TestQueue;

/// `ci-runners` with these arguments, which are separated by blanks.
pub fn ci_runners(arguments: &str) -> Command {
    cli::testing::command(env!("CARGO_BIN_EXE_ci-runners"), arguments)
}

/// Runs `ci-runners` with these arguments to its end.
pub async fn run(arguments: &str) -> Ended {
    end_of(ci_runners(arguments)).await
}
