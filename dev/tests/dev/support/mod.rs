//! What the tests of this crate share.
//!
//! - `clients`: many clients made of curl
//! - `daemons`: the daemons as processes of their own; `fleet`: many of them, for tests that kill
//!   or stop some
//! - `processes`: which processes work in a folder, and where the other executables are

mod clients;
mod daemons;
mod fleet;
mod processes;

use tokio::process::Command;

pub use cli::testing::{
    API_TOKEN, Ended, PATIENCE, Started, end_of, free_ports, start, text_of, until,
};
pub use clients::{Clients, Told};
pub use daemons::{daemon, get, one_file, queue_workflow_job, url};
pub use fleet::{Fleet, Pool};
pub use processes::{executable, processes_in};

/// `ci-runners-dev` with these arguments, which are separated by blanks.
pub fn ci_runners_dev(arguments: &str) -> Command {
    cli::testing::command(env!("CARGO_BIN_EXE_ci-runners-dev"), arguments)
}

/// Runs `ci-runners-dev` with these arguments to its end.
pub async fn run(arguments: &str) -> Ended {
    end_of(ci_runners_dev(arguments)).await
}
