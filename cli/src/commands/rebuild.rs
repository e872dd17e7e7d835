//! `ci-runners rebuild`: orders the rebuild of an image, and cancels the order.

use super::intervention::{print_begun, print_ended};
use crate::{addresses::Daemon, args::Rebuild, exit::Exit, failure::Failure};

/// Runs the command.
///
/// # Errors
/// When the monitor refuses or is unreachable.
pub async fn rebuild(args: &Rebuild, daemon: &Daemon) -> Result<Exit, Failure> {
    let orders = daemon.orders();
    let (profile, token) = (&args.profile, daemon.api_token()?);
    let subject = format!("{}: image of {profile}", daemon.url);
    if args.cancel {
        let cancelled = orders.cancel_rebuild(profile, &token).await?;
        let texts = ["rebuild cancelled", "no rebuild was ordered"];
        print_ended(&subject, texts, cancelled.as_ref(), args.json)?;
    } else {
        let order = orders.rebuild(profile, &args.note, &token).await?;
        print_begun(&subject, "rebuild ordered", &order, args.json)?;
    }
    Ok(Exit::Done)
}
