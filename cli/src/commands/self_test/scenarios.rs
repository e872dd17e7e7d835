//! What is tried, and what has to come of it. Leaves nothing in line, whatever came.

use std::collections::BTreeSet;

use shared::{secret::Secret, values::Count};

use super::stage::{Stage, Trouble};
use crate::{
    args::{Scenario, random_unique_id},
    client::CallError,
};

/// Tries one scenario; returns what was seen.
pub(super) async fn try_out(scenario: Scenario, stage: &Stage) -> Result<String, Trouble> {
    match scenario {
        Scenario::One => one(stage).await,
        Scenario::Again => again(stage).await,
        Scenario::Several => several(stage).await,
        Scenario::Unsatisfiable => unsatisfiable(stage).await,
        Scenario::Unauthorised => unauthorised(stage).await,
    }
}

async fn one(stage: &Stage) -> Result<String, Trouble> {
    let labels = labels_of_a_job(stage, None, 1).await?;
    Ok(labels.join(" "))
}

async fn again(stage: &Stage) -> Result<String, Trouble> {
    let first = labels_of_a_job(stage, None, 2).await?;
    let second = labels_of_a_job(stage, None, 1).await?;
    if first == second {
        return Err(problem(format!(
            "two jobs got the same runner, {}",
            first.join(" ")
        )));
    }
    Ok(format!("{}, then {}", first.join(" "), second.join(" ")))
}

async fn several(stage: &Stage) -> Result<String, Trouble> {
    let labels = labels_of_a_job(stage, Some(stage.count), 1).await?;
    let different: BTreeSet<&String> = labels.iter().collect();
    // Where labels are made for a take, all runners of the job share one.
    let is_shared = labels
        .iter()
        .all(|label| label.starts_with("reserved-for:"));
    if labels.len() != stage.count.get() || (different.len() != labels.len() && !is_shared) {
        return Err(problem(format!(
            "{} runners were asked for, and these came: {}",
            stage.count,
            labels.join(" ")
        )));
    }
    Ok(labels.join(" "))
}

async fn unsatisfiable(stage: &Stage) -> Result<String, Trouble> {
    let mut job = stage.job(None);
    let name = format!("self-test-{}", random_unique_id());
    job.profile_key = name.parse().expect("that is a profile's form");
    let error = stage.refusal_of(&job, &stage.api_token).await?;
    expect(&error, "unsatisfiable")
}

async fn unauthorised(stage: &Stage) -> Result<String, Trouble> {
    let wrong = Secret::new(format!("self-test-{}", random_unique_id()));
    let error = stage.refusal_of(&stage.job(None), &wrong).await?;
    expect(&error, "wrong_token")
}

/// The labels that a job gets that asks so many times, which must be the same each time.
async fn labels_of_a_job(
    stage: &Stage,
    count: Option<Count>,
    times: usize,
) -> Result<Vec<String>, Trouble> {
    let mut standing = stage.standing(count);
    let labels = async {
        let labels = standing.labels().await?;
        for _ in 1..times {
            let repeated = standing.labels().await?;
            if repeated != labels {
                return Err(problem(format!(
                    "the same job got {} and then {}",
                    labels.join(" "),
                    repeated.join(" ")
                )));
            }
        }
        Ok(labels)
    }
    .await;
    standing.leave().await;
    labels
}

fn expect(error: &CallError, code: &str) -> Result<String, Trouble> {
    if error.code() == code {
        Ok(format!("refused as {code}"))
    } else {
        Err(problem(format!(
            "it should have been refused as {code}, but: failed to {error}"
        )))
    }
}

fn problem(text: String) -> Trouble {
    Trouble::Problem(text)
}
