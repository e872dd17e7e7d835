//! The scenarios: what each does, and what it expects. Every job is withdrawn, also after a failure.

use std::collections::BTreeSet;

use shared::{secret::Secret, values::Count};

use super::test_job::{LabelMode, ScenarioError, TestContext};
use crate::{
    args::{Scenario, random_unique_id},
    client::RequestError,
};

/// Runs one scenario; returns what was observed if it passed.
pub(super) async fn run_scenario(
    scenario: Scenario,
    context: &TestContext,
) -> Result<String, ScenarioError> {
    match scenario {
        Scenario::One => one(context).await,
        Scenario::Again => again(context).await,
        Scenario::Several => several(context).await,
        Scenario::Unsatisfiable => unsatisfiable(context).await,
        Scenario::Unauthorised => unauthorised(context).await,
    }
}

async fn one(context: &TestContext) -> Result<String, ScenarioError> {
    let labels = labels_of_one_job(context, None, 1, LabelMode::FromResponse).await?;
    Ok(labels.join(" "))
}

/// In both label modes: the monitor answers the second job only once its runner has the label
/// `reserved-for:<unique_id>` at GitHub.
async fn again(context: &TestContext) -> Result<String, ScenarioError> {
    let first = labels_of_one_job(context, None, 2, LabelMode::FromResponse).await?;
    let second = labels_of_one_job(context, None, 1, LabelMode::ReservedFor).await?;
    if first == second {
        return Err(failed(format!(
            "two jobs got the same runner, {}",
            first.join(" ")
        )));
    }
    Ok(format!("{}, then {}", first.join(" "), second.join(" ")))
}

async fn several(context: &TestContext) -> Result<String, ScenarioError> {
    let mode = LabelMode::FromResponse;
    let labels = labels_of_one_job(context, Some(context.count), 1, mode).await?;
    let distinct: BTreeSet<&String> = labels.iter().collect();
    // With `reservation_labels = "on_take"`, all runners of a job have the same label.
    let is_shared = labels
        .iter()
        .all(|label| label.starts_with("reserved-for:"));
    if labels.len() != context.count.get() || (distinct.len() != labels.len() && !is_shared) {
        return Err(failed(format!(
            "expected {} runners, got: {}",
            context.count,
            labels.join(" ")
        )));
    }
    Ok(labels.join(" "))
}

async fn unsatisfiable(context: &TestContext) -> Result<String, ScenarioError> {
    let mut job = context.job(None);
    let name = format!("self-test-{}", random_unique_id());
    job.spec.profile_key = name.parse().expect("it has the form of a profile key");
    let error = context.enqueue_error(&job, &context.api_token).await?;
    expect_code(&error, "unsatisfiable")
}

async fn unauthorised(context: &TestContext) -> Result<String, ScenarioError> {
    let wrong = Secret::new(format!("self-test-{}", random_unique_id()));
    let error = context.enqueue_error(&context.job(None), &wrong).await?;
    expect_code(&error, "wrong_token")
}

/// The labels of one job that asks for its runners this many times. Fails unless it gets the same
/// runners each time.
async fn labels_of_one_job(
    context: &TestContext,
    count: Option<Count>,
    times: usize,
    mode: LabelMode,
) -> Result<Vec<String>, ScenarioError> {
    let mut job = context.test_job(count, mode);
    let labels = async {
        let labels = job.labels().await?;
        for _ in 1..times {
            let repeated = job.labels().await?;
            if repeated != labels {
                return Err(failed(format!(
                    "the same job got {} and then {}",
                    labels.join(" "),
                    repeated.join(" ")
                )));
            }
        }
        Ok(labels)
    }
    .await;
    job.withdraw().await;
    labels
}

fn expect_code(error: &RequestError, code: &str) -> Result<String, ScenarioError> {
    if error.code() == code {
        Ok(format!("refused as {code}"))
    } else {
        Err(failed(format!(
            "expected to be refused as {code}, but failed to {error}"
        )))
    }
}

fn failed(reason: String) -> ScenarioError {
    ScenarioError::Failed(reason)
}
