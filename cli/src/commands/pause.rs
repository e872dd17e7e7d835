//! `ci-runners pause` and `resume`: let a queue choose no job of a profile, and the reverse.

use super::intervention::{print_begun, print_ended};
use crate::{addresses::Daemon, args, exit::Exit, failure::Failure};

/// Runs `pause`.
///
/// # Errors
/// When the queue refuses or is unreachable.
pub async fn pause(args: &args::Pause, daemon: &Daemon) -> Result<Exit, Failure> {
    let orders = daemon.orders();
    let token = daemon.api_token()?;
    let pause = orders.pause(&args.profile, &args.note, &token).await?;
    print_begun(args.profile.as_str(), "paused", &pause, args.json)?;
    Ok(Exit::Done)
}

/// Runs `resume`.
///
/// # Errors
/// When the queue refuses or is unreachable.
pub async fn resume(args: &args::Resume, daemon: &Daemon) -> Result<Exit, Failure> {
    let orders = daemon.orders();
    let ended = orders.resume(&args.profile, &daemon.api_token()?).await?;
    let texts = ["resumed", "it was not paused"];
    print_ended(args.profile.as_str(), texts, ended.as_ref(), args.json)?;
    Ok(Exit::Done)
}
