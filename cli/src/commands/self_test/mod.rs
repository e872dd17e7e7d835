//! `ci-runners self-test`: tests a deployment from a client's point of view.
//!
//! - `test_job`: jobs that are withdrawn after their scenario
//! - `scenarios`: what is done and what is expected
//!
//! Responsible for the order of the scenarios, the report and the exit status.

mod scenarios;
mod test_job;

use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;
use serde_json::json;
use shared::values::ProfileKey;

use self::{
    scenarios::run_scenario,
    test_job::{ScenarioError, TestContext, timed},
};
use crate::{
    addresses::Daemon,
    args::{Scenario, SelfTest},
    client::{RequestError, dashboard},
    exit::Exit,
    failure::Failure,
    format, output,
};

/// Runs the command.
///
/// # Errors
/// When the queue's dashboard cannot be fetched, or the report cannot be printed.
pub async fn self_test(args: &SelfTest, daemon: &Daemon) -> Result<Exit, Failure> {
    let profile_key = match &args.profile {
        Some(profile_key) => profile_key.clone(),
        None => largest_profile(daemon).await?,
    };
    let context = TestContext {
        queue: daemon.jobs(),
        api_token: daemon.api_token()?,
        profile_key,
        qualified_repo: args.repo.clone(),
        count: args.count,
        max_wait: args.max_wait,
    };
    let scenarios = match args.scenario.as_slice() {
        [] => Scenario::value_variants(),
        some => some,
    };
    let report = |scenario, passed, text: &str, took| match args.json {
        true => report_json(scenario, passed, text, took),
        false => report(scenario, passed, text, took),
    };
    let mut passed_count = 0;
    for &scenario in scenarios {
        let (result, took) = timed(run_scenario(scenario, &context)).await;
        match result {
            Ok(observed) => {
                passed_count += 1;
                output::print(&report(scenario, true, &observed, took))?;
            }
            Err(ScenarioError::Failed(reason)) => {
                output::print(&report(scenario, false, &reason, took))?;
            }
            Err(ScenarioError::Interrupted(signal)) => return Ok(Exit::from(signal)),
            Err(ScenarioError::Signals(error)) => return Err(Failure::Signals(error)),
        }
    }
    if !args.json {
        let all = format::count(scenarios.len(), "scenario", "scenarios");
        output::print(&format!("{passed_count} of {all} passed"))?;
    }
    Ok(if passed_count == scenarios.len() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn report(scenario: Scenario, passed: bool, text: &str, took: Duration) -> String {
    let verdict = if passed { "ok" } else { "FAILED" };
    let took = format::short_duration(took);
    format!("{verdict:<6}  {:<13}  {text} ({took})", name(scenario))
}

fn report_json(scenario: Scenario, passed: bool, text: &str, took: Duration) -> String {
    let seconds = took.as_millis() as f64 / 1_000.0;
    json!({"scenario": name(scenario), "passed": passed, "result": text, "seconds": seconds})
        .to_string()
}

fn name(scenario: Scenario) -> String {
    let value = scenario.to_possible_value();
    let value = value.expect("no scenario is hidden");
    value.get_name().to_owned()
}

/// The profile with the highest target over all servers.
async fn largest_profile(daemon: &Daemon) -> Result<ProfileKey, Failure> {
    #[derive(Deserialize)]
    struct Dashboard {
        profiles: Vec<Profile>,
    }
    #[derive(Deserialize)]
    struct Profile {
        profile_key: ProfileKey,
        target: usize,
    }
    let response = dashboard(&daemon.client, &daemon.url).await?;
    let dashboard: Dashboard = response.json().map_err(RequestError::from)?;
    let profiles = dashboard.profiles.into_iter();
    let largest = profiles.max_by_key(|profile| profile.target);
    let largest = largest.ok_or_else(|| {
        Failure::Other(
            "choose a profile: no server has reported one to the queue yet; name one with --profile"
                .to_owned(),
        )
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
            report(Scenario::One, true, "runner:a", took),
            "ok      one            runner:a (1.5 s)"
        );
        assert_eq!(
            report(Scenario::Unsatisfiable, false, "no", took),
            "FAILED  unsatisfiable  no (1.5 s)"
        );
        assert_eq!(
            report_json(Scenario::One, true, "runner:a", took),
            r#"{"passed":true,"result":"runner:a","scenario":"one","seconds":1.5}"#
        );
    }
}
