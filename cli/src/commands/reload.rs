//! `ci-runners reload`: lets a queue or a monitor read its settings again.

use serde_json::json;

use crate::{
    addresses::Daemon,
    args::Reload,
    exit::Exit,
    failure::Failure,
    output::{self, printable},
};

/// The longest name of a setting that is printed, in characters.
const NAME_MAX: usize = 200;

/// Runs the command.
///
/// # Errors
/// When the settings have a mistake, or the daemon refuses the request or is unreachable.
pub async fn reload(args: &Reload, daemon: &Daemon) -> Result<Exit, Failure> {
    let orders = daemon.orders();
    let reloaded = orders.reload(&daemon.api_token()?).await?;
    let text = match args.json {
        true => json!(reloaded).to_string(),
        false => format!(
            "{}: {}; {}",
            daemon.url,
            settings(&reloaded.applied, "no setting has changed", "in force now"),
            settings(
                &reloaded.needs_restart,
                "none needs a restart",
                "after a restart"
            ),
        ),
    };
    output::print(&text)?;
    Ok(Exit::Done)
}

fn settings(names: &[String], none: &str, when: &str) -> String {
    if names.is_empty() {
        return none.to_owned();
    }
    let names: Vec<String> = names.iter().map(|name| printable(name, NAME_MAX)).collect();
    format!("{when}: {}", names.join(", "))
}
