//! What the tests of this crate share.
//!
//! - `clients`: many concurrent clients made of curl
//! - `daemons`: the daemons as processes; `fleet`: several monitors and a queue, to kill and stop
//! - `processes`: the processes in a directory, and the paths of other executables

mod clients;
mod daemons;
mod fleet;
mod processes;

use tokio::process::Command;

pub use cli::testing::{
    API_TOKEN, Finished, Running, TIMEOUT, finish, free_ports, queue_dashboard, start, stdout_of,
    wait_until, waiting_jobs,
};
pub use clients::{ClientResult, Clients};
pub use daemons::{
    daemon, get, get_authorised, profile, queue_workflow_job, settings_of_both, settings_with, url,
};
pub use fleet::{Fleet, Pool};
pub use processes::{executable, processes_in};

/// `ci-runners-dev` with these arguments, which are separated by blanks.
pub fn ci_runners_dev(arguments: &str) -> Command {
    cli::testing::command(env!("CARGO_BIN_EXE_ci-runners-dev"), arguments)
}

/// Runs `ci-runners-dev` with these arguments until it exits.
pub async fn run(arguments: &str) -> Finished {
    finish(ci_runners_dev(arguments)).await
}

/// Starts `ci-runners-dev emulator` on a free port; returns it with its base URL.
pub async fn start_emulator() -> (Running, String) {
    let mut emulator = start(ci_runners_dev("emulator --port 0"));
    let line = emulator.expect_stdout("github_api_url = ").await;
    let url = line.split('"').nth(1).unwrap().to_owned();
    (emulator, url)
}
