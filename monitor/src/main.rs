//! Executable of the monitor, a thin wrapper around the library.

use std::process::ExitCode;

use daemon::startup::{Daemon, run};

fn main() -> ExitCode {
    // A start goes on without the image of a profile, which may be imported later.
    let check = match std::env::args_os().any(|argument| argument == "--check") {
        true => monitor::check,
        false => monitor::check_start,
    };
    run(Daemon::Monitor, check, monitor::run)
}
