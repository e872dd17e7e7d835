//! The monitor's executable. Everything it does stands in the library.

use std::process::ExitCode;

use shared::daemon::{self, Daemon};

fn main() -> ExitCode {
    daemon::run(Daemon::Monitor, monitor::check, monitor::run)
}
