//! `ci-runners destroy-runner`: destroys a runner of a monitor, after a confirmation.

use serde_json::json;
use shared::wire::{DashboardRunner, MonitorDashboard};

use super::status::runner_status;
use crate::{
    addresses::Daemon,
    args::DestroyRunner,
    client::{RequestError, dashboard},
    confirmation,
    exit::Exit,
    failure::Failure,
    output::{self, printable},
};

/// The longest name of a runner that is printed, in characters.
const NAME_MAX: usize = 120;

/// Runs the command.
///
/// # Errors
/// When it is not confirmed, or the monitor refuses or is unreachable.
pub async fn destroy_runner(args: &DestroyRunner, daemon: &Daemon) -> Result<Exit, Failure> {
    if !args.yes {
        let response = dashboard(&daemon.client, &daemon.url).await?;
        let dashboard: MonitorDashboard = response.json().map_err(RequestError::from)?;
        let shown = dashboard.runners.iter().find(|it| it.id == args.id);
        let purpose = format!("destroy runner {}", args.id);
        confirmation::ask(&question(args, shown), &purpose)?;
    }
    let (orders, token) = (daemon.orders(), daemon.api_token()?);
    orders.destroy_runner(args.id, args.force, &token).await?;
    let when = match args.force {
        true => "",
        false => " as soon as GitHub does not show that it runs a job",
    };
    output::print(&match args.json {
        true => json!({"id": args.id, "force": args.force, "destroyed": true}).to_string(),
        false => format!("runner {}: its monitor destroys it{when}", args.id),
    })?;
    Ok(Exit::Done)
}

/// What is asked before the runner is destroyed.
fn question(args: &DestroyRunner, shown: Option<&DashboardRunner>) -> String {
    let runner = shown.map_or_else(
        || "not on the dashboard".to_owned(),
        |shown| {
            let name = shown.runner.registration.as_ref().map(|it| &it.name);
            let name = name.or(shown.runner.guest_name.as_ref());
            let name = name.map_or_else(String::new, |it| format!("{}, ", printable(it, NAME_MAX)));
            format!("{name}{}", runner_status(shown))
        },
    );
    let job = if args.force {
        "; a job that it runs ends"
    } else {
        ""
    };
    format!("Destroy runner {} ({runner}){job}", args.id)
}
