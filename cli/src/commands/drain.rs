//! `ci-runners drain` and `undrain`: let a server end its runners and make no others, and the reverse.

use std::time::Duration;

use shared::wire::MonitorDashboard;

use super::intervention::{print_begun, print_ended};
use crate::{
    addresses::Daemon,
    args,
    client::{RequestError, dashboard},
    exit::Exit,
    failure::Failure,
    format, output,
    signal::next_signal,
};

/// How often the state of a server that drains is read.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Runs `drain`.
///
/// # Errors
/// When the monitor refuses or is unreachable. An interrupted --wait leaves the server drained.
pub async fn drain(args: &args::Drain, daemon: &Daemon) -> Result<Exit, Failure> {
    let orders = daemon.orders();
    let drain = orders.drain(&args.note, &daemon.api_token()?).await?;
    print_begun(daemon.url.as_str(), "drained", &drain, args.json)?;
    if !args.wait {
        return Ok(Exit::Done);
    }
    tokio::select! {
        waited = until_nothing_is_busy(daemon) => waited.map(|()| Exit::Done),
        signal = next_signal() => {
            let signal = signal.map_err(Failure::Signals)?;
            output::note(&format!("received {signal}: the server stays drained"));
            Ok(Exit::from(signal))
        }
        () = tokio::time::sleep(args.max_wait) => {
            let wait = format::duration(args.max_wait);
            output::note(&format!("runners are still busy after {wait}: the server stays drained"));
            Ok(Exit::WaitedTooLong)
        }
    }
}

/// Runs `undrain`.
///
/// # Errors
/// When the monitor refuses or is unreachable.
pub async fn undrain(args: &args::Undrain, daemon: &Daemon) -> Result<Exit, Failure> {
    let orders = daemon.orders();
    let ended = orders.undrain(&daemon.api_token()?).await?;
    let texts = ["drained no more", "it was not drained"];
    print_ended(daemon.url.as_str(), texts, ended.as_ref(), args.json)?;
    Ok(Exit::Done)
}

/// Polls the dashboard until no runner is busy or reserved; reports each change on standard error.
async fn until_nothing_is_busy(daemon: &Daemon) -> Result<(), Failure> {
    let mut shown = None;
    loop {
        match dashboard(&daemon.client, &daemon.url).await {
            Ok(response) => {
                let dashboard: MonitorDashboard = response.json().map_err(RequestError::from)?;
                let in_use = in_use(&dashboard);
                if shown != Some(in_use) {
                    output::note(&progress(in_use));
                    shown = Some(in_use);
                }
                if in_use == 0 {
                    return Ok(());
                }
            }
            Err(error) if error.is_transient() => {
                output::note(&format!("failed to {error}; trying again"));
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// How many runners run a job, or are reserved for one that may start yet.
fn in_use(dashboard: &MonitorDashboard) -> usize {
    let counts = dashboard.profile_runner_counts.values();
    counts.map(|counts| counts.busy + counts.reserved).sum()
}

fn progress(in_use: usize) -> String {
    match in_use {
        0 => "no runner is busy".to_owned(),
        1 => "1 runner is busy or reserved".to_owned(),
        many => format!("{many} runners are busy or reserved"),
    }
}
