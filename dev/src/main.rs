//! The `ci-runners-dev` command: programs for the development of CI Runners.
//!
//! - `demo`: queue, monitors, runners and an emulated GitHub at work on this machine
//! - `emulator`: the emulated GitHub alone; `agent`: a runner of it
//! - `args`: the command line
//! - `listen`, `log`: what servers in this process need
//!
//! The tests of this crate run all programs of the workspace together.

mod agent;
mod args;
mod demo;
mod emulator;
mod listen;
mod log;

use std::{path::PathBuf, process::ExitCode};

use cli::{exit::Exit, failure::Failure};
use shared::settings::Environment;

use crate::args::{Command, Dev};

/// The name of this program, as it is printed.
const PROGRAM: &str = "ci-runners-dev";

fn main() -> ExitCode {
    let dev: Dev = match cli::parse(std::env::args_os()) {
        Ok(dev) => dev,
        Err(status) => return status,
    };
    let environment = Environment::from_process_with(&cli::terminal::VARIABLES);
    cli::block_on(PROGRAM, run(dev.command, &environment))
}

async fn run(command: Command, environment: &Environment) -> Result<Exit, Failure> {
    match command {
        Command::Demo(args) => demo::demo(&args, environment).await,
        Command::Emulator(args) => emulator::emulator(&args, environment).await,
        Command::Agent(args) => agent::agent(&args, environment).await,
    }
}

/// The path of this program, which is also the executable of the runners.
fn own_executable() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::Other(format!("find its own executable: {error}")))
}
