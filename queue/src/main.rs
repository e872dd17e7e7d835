//! The queue's daemon.

use std::process::ExitCode;

use queue::app::build;
use shared::daemon::{Daemon, Start, run, until_told_to_stop};

fn main() -> ExitCode {
    run(Daemon::Queue, |start: Start| async move {
        build(&start.settings, start.listeners)?
            .run_until(until_told_to_stop())
            .await
    })
}
