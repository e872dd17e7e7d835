//! Executable of the monitor, a thin wrapper around the library.

use std::process::ExitCode;

use daemon::startup::{Daemon, run};

fn main() -> ExitCode {
    run(Daemon::Monitor, monitor::check, monitor::run)
}
