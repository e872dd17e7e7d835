//! `ci-runners take`: asks once for the runners of a job.

use std::time::Duration;

use crate::{addresses::Daemon, args, client::Take, exit::Exit, failure::Failure, format, output};

/// Runs the command.
///
/// # Errors
/// When the queue refuses the take or is unreachable, or the runners cannot be printed.
pub async fn take(args: &args::Take, daemon: &Daemon) -> Result<Exit, Failure> {
    let queue = daemon.jobs();
    let taken = queue
        .take(&args.unique_id, &args.ticket, Duration::ZERO)
        .await?;
    match taken {
        Take::Runners(taken) => {
            output::print(&taken.json.to_string())?;
            Ok(Exit::Done)
        }
        Take::Waiting(waiting) => {
            let position = waiting.position_text();
            let after = format::duration(waiting.retry_after);
            output::note(&format!("waiting: {position}; retry in {after}"));
            Ok(Exit::NotYet)
        }
    }
}
