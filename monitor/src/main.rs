//! The monitor's executable. Everything it does stands in the library.

use std::process::ExitCode;

use daemon::startup::{Daemon, run};

fn main() -> ExitCode {
    run(Daemon::Monitor, monitor::check, monitor::run)
}
