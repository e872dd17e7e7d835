//! `ci-runners self-test`: whether a queue does what it should, seen from a client.
//!
//! - `stage`: the jobs that are tried, each of which is withdrawn at its end
//! - `scenarios`: what is tried, and what has to come of it
//!
//! This file owns the order, the report, and how the command ends. It never keeps a runner.

mod scenarios;
mod stage;

use std::time::Duration;

use clap::ValueEnum;
use http_client::Client;
use serde::Deserialize;
use shared::{secret::Secret, values::ProfileKey};

use self::{
    scenarios::try_out,
    stage::{Stage, Trouble},
};
use crate::{
    args::{Scenario, SelfTest},
    client::{QueueClient, dashboard},
    exit::Exit,
    failure::Failure,
    format, output,
};

/// Runs the command.
///
/// # Errors
/// When the queue's dashboard cannot be had, or nobody reads the report.
pub async fn self_test(args: &SelfTest, api_token: &Secret) -> Result<Exit, Failure> {
    let client = Client::new();
    let profile_key = match &args.profile {
        Some(profile_key) => profile_key.clone(),
        None => largest_profile(args, &client).await?,
    };
    let stage = Stage {
        queue: QueueClient::new(client, args.queue.clone()),
        api_token: api_token.clone(),
        profile_key,
        qualified_repo: args.repo.clone(),
        count: args.count,
        max_wait: args.max_wait,
    };
    let scenarios = match args.scenario.as_slice() {
        [] => Scenario::value_variants(),
        some => some,
    };
    let mut good_count = 0;
    for &scenario in scenarios {
        let (outcome, took) = stage::timed(try_out(scenario, &stage)).await;
        match outcome {
            Ok(seen) => {
                good_count += 1;
                output::print(&report("ok", scenario, &seen, took))?;
            }
            Err(Trouble::Problem(problem)) => {
                output::print(&report("FAILED", scenario, &problem, took))?;
            }
            Err(Trouble::Signal(signal)) => return Ok(Exit::from(signal)),
            Err(Trouble::NoSignals(error)) => return Err(Failure::Signals(error)),
        }
    }
    let all = format::count(scenarios.len(), "scenario", "scenarios");
    output::print(&format!("{good_count} of {all} went as they should"))?;
    Ok(if good_count == scenarios.len() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn report(verdict: &str, scenario: Scenario, what: &str, took: Duration) -> String {
    let value = scenario.to_possible_value();
    let value = value.expect("no scenario is hidden");
    let took = format::short_duration(took);
    format!("{verdict:<6}  {:<13}  {what} ({took})", value.get_name())
}

/// The profile that the servers are set up to have the most runners of.
async fn largest_profile(args: &SelfTest, client: &Client) -> Result<ProfileKey, Failure> {
    #[derive(Deserialize)]
    struct Dashboard {
        profiles: Vec<Profile>,
    }
    #[derive(Deserialize)]
    struct Profile {
        profile_key: ProfileKey,
        target: usize,
    }
    let answer = dashboard(client, &args.queue).await?;
    let dashboard: Dashboard = answer.json().map_err(crate::client::CallError::from)?;
    let profiles = dashboard.profiles.into_iter();
    let largest = profiles.max_by_key(|profile| profile.target);
    let largest = largest.ok_or_else(|| {
        Failure::Other("find a profile: the queue knows none yet; name one with --profile".into())
    })?;
    Ok(largest.profile_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_line_in_columns() {
        let took = Duration::from_millis(1_500);
        assert_eq!(
            report("ok", Scenario::One, "runner:a", took),
            "ok      one            runner:a (1.5 s)"
        );
        assert_eq!(
            report("FAILED", Scenario::Unsatisfiable, "no", took),
            "FAILED  unsatisfiable  no (1.5 s)"
        );
    }
}
