//! `ci-runners destroy-runner`: destroys a runner of a monitor, after a confirmation.

use std::io::{self, BufRead};

use http_client::Client;
use shared::{
    secret::Secret,
    wire::{DashboardRunner, MonitorDashboard},
};

use super::status::runner_status;
use crate::{
    args::DestroyRunner,
    client::{self, RequestError, dashboard},
    exit::Exit,
    failure::Failure,
    output::{self, printable},
};

/// The longest name of a runner that is printed, in characters.
const NAME_MAX: usize = 120;
/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 64;

/// Runs the command.
///
/// # Errors
/// When it is not confirmed, or the monitor refuses or is unreachable.
pub async fn destroy_runner(
    args: &DestroyRunner,
    client: &Client,
    api_token: &Secret,
) -> Result<Exit, Failure> {
    if !args.yes {
        let response = dashboard(client, &args.monitor).await?;
        let dashboard: MonitorDashboard = response.json().map_err(RequestError::from)?;
        let shown = dashboard.runners.iter().find(|it| it.id == args.id);
        output::note(&question(args, shown));
        if !is_confirmed(io::stdin().lock()) {
            return Err(Failure::Other(format!(
                "destroy runner {}: it was not confirmed; answer y, or use --yes",
                args.id
            )));
        }
    }
    client::destroy_runner(client, &args.monitor, args.id, args.force, api_token).await?;
    output::print(&format!(
        "runner {}: its monitor destroys it{}",
        args.id,
        if args.force {
            ""
        } else {
            " as soon as GitHub does not show that it runs a job"
        }
    ))?;
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
    format!("Destroy runner {} ({runner}){job}? [y/N]", args.id)
}

/// Whether the answer is yes. The end of the input is no answer.
fn is_confirmed(input: impl BufRead) -> bool {
    let mut answer = String::new();
    let read = input.take(ANSWER_MAX).read_line(&mut answer);
    let answer = answer.trim();
    read.is_ok() && (answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_a_confirmation() {
        for answer in ["y\n", "Y\r\n", "yes\n", "YES", " y "] {
            assert!(is_confirmed(answer.as_bytes()), "{answer:?}");
        }
        let long = format!("{}y", " ".repeat(100));
        for answer in ["", "\n", "n\n", "no\n", "yy\n", "\ny\n", &long] {
            assert!(!is_confirmed(answer.as_bytes()), "{answer:?}");
        }
        assert!(!is_confirmed(&b"y\xff\n"[..]));
    }
}
