//! `ci-runners override`: shows, sets and cancels the temporary targets of a monitor.

use serde_json::json;
use shared::wire::MonitorDashboard;

use super::intervention::by_and_why;
use crate::{
    addresses::Daemon,
    args::OverrideAction,
    client::{Targets, dashboard},
    exit::Exit,
    failure::Failure,
    output::{self, printable},
};

/// The longest name of a profile that is printed, in characters.
const NAME_MAX: usize = 64;

/// Runs the command.
///
/// # Errors
/// When the monitor refuses or is unreachable, or a profile is named twice.
pub async fn target_override(action: &OverrideAction, daemon: &Daemon) -> Result<Exit, Failure> {
    let orders = daemon.orders();
    let url = &daemon.url;
    let (targets, is_json, text) = match action {
        OverrideAction::Get(args) => {
            let targets = orders.targets().await?;
            let text = match &targets {
                Some(targets) => {
                    let order = order(daemon).await.unwrap_or_default();
                    format!("{url}: temporary targets {}{order}", listed(targets))
                }
                None => format!("{url}: no temporary targets"),
            };
            (targets, args.json, text)
        }
        OverrideAction::Set(args) => {
            let mut targets = Targets::new();
            for target in &args.targets {
                let (key, count) = (target.profile_key.to_string(), u64::from(target.count));
                if targets.insert(key, count).is_some() {
                    let key = &target.profile_key;
                    return Err(Failure::Usage(format!(
                        "set temporary targets: {key} is named twice"
                    )));
                }
            }
            let set = orders
                .set_targets(&targets, &args.note, &daemon.api_token()?)
                .await?;
            let text = format!("{url}: temporary targets {}", listed(&set));
            (Some(set), args.json, text)
        }
        OverrideAction::Cancel(args) => {
            let cancelled = orders.cancel_targets(&daemon.api_token()?).await?;
            let text = match &cancelled {
                Some(targets) => format!("{url}: temporary targets {} cancelled", listed(targets)),
                None => format!("{url}: there were no temporary targets"),
            };
            (cancelled, args.json, text)
        }
    };
    output::print(&match is_json {
        true => json!(targets).to_string(),
        false => text,
    })?;
    Ok(Exit::Done)
}

/// Since when, by whom and why they are in force, as the dashboard has it: `, since <time> by <author> (<note>)`.
/// That of an earlier monitor has not.
async fn order(daemon: &Daemon) -> Option<String> {
    let response = dashboard(&daemon.client, &daemon.url).await.ok()?;
    let dashboard: MonitorDashboard = response.json().ok()?;
    let order = dashboard.target_override?.order;
    let (since, by_and_why) = (order.since.date_and_time(), by_and_why(&order));
    Some(format!(", since {since}{by_and_why}"))
}

fn listed(targets: &Targets) -> String {
    let targets = targets
        .iter()
        .map(|(key, count)| format!("{}={count}", printable(key, NAME_MAX)));
    targets.collect::<Vec<_>>().join(" ")
}
