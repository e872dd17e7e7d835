//! The executable `queue`.

use std::{convert::Infallible, process::ExitCode};

use daemon::startup::{CheckMode, Daemon, Start, run, until_signalled};
use queue::app::build;
use shared::settings::Settings;

fn main() -> ExitCode {
    // `shared` has checked all settings of the queue; nothing is left to check here.
    let check = |_: &Settings, _: CheckMode| Ok::<_, Infallible>(Vec::new());
    run(Daemon::Queue, check, |start: Start| async move {
        build(&start.settings, start.listeners)?
            .run_until(until_signalled())
            .await
    })
}
