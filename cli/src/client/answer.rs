//! What a queue answers to a take, in the words of the wire.

use std::time::Duration;

use http_client::{Answer, HttpError};
use serde_json::Value;
use shared::{
    values::UniqueId,
    wire::{Estimate, TakeAnswer, TakenRunner, WaitingBody},
};

use crate::{format, output::printable};

/// Longest label that is shown, in characters.
const LABEL_MAX: usize = 256;

/// The runners of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// What was answered, as it came: an object, or an array for a job with a count.
    pub json: Value,
    /// The same, understood; at least one.
    pub runners: Vec<TakenRunner>,
}

/// The job's turn has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in line; 1 is next. None if the queue did not say.
    pub position: Option<u64>,
    /// How long it will still take, if that is known.
    pub estimate: Option<Estimate>,
    /// When to ask again.
    pub retry_after: Duration,
}

/// When to ask again if the queue did not say.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

impl Taken {
    /// Reads the body of a take that succeeded.
    ///
    /// # Errors
    /// When there is no runner in it.
    pub(super) fn of(answer: &Answer) -> Result<Self, HttpError> {
        let json: Value = answer.json()?;
        let runners = answer.json::<TakeAnswer>()?.into_runners();
        if runners.is_empty() {
            // The protocol knows no success without a runner.
            return Err(HttpError::Malformed {
                target: "the queue".into(),
                cause: "there is no runner in it".into(),
            });
        }
        Ok(Self { json, runners })
    }

    /// What the workflow puts in `runs-on`, for each runner.
    pub fn labels(&self, unique_id: &UniqueId) -> Vec<String> {
        let label = |runner: &TakenRunner| match &runner.label {
            Some(label) => printable(label, LABEL_MAX),
            // Monitors that do not say label their runners so.
            None => format!("reserved-for:{unique_id}"),
        };
        self.runners.iter().map(label).collect()
    }

    /// All runners as an array, whether or not the answer was one.
    pub fn json_array(&self) -> Value {
        match &self.json {
            Value::Array(_) => self.json.clone(),
            object => Value::Array(vec![object.clone()]),
        }
    }
}

impl Waiting {
    /// Reads the body of a take that has to wait.
    pub(super) fn of(answer: &Answer) -> Self {
        let body = answer.json::<WaitingBody>().ok();
        Self {
            position: body.as_ref().map(|body| body.position),
            estimate: body.and_then(|body| body.estimate),
            retry_after: answer.retry_after().unwrap_or(RETRY_AFTER_DEFAULT),
        }
    }

    /// The place in line in words: `position 3, about 2 min`.
    pub fn words(&self) -> String {
        format::position(self.position, self.estimate)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken(json: Value) -> Taken {
        let runners: TakeAnswer = serde_json::from_value(json.clone()).unwrap();
        Taken {
            json,
            runners: runners.into_runners(),
        }
    }

    #[test]
    fn a_runner_without_a_label_has_that_of_older_monitors() {
        let id = "job".parse().unwrap();
        let labelled = json!({"id": 1, "runner": {}, "label": "runner:a\x1b"});
        let older = json!({"id": 2, "runner": {}});
        assert_eq!(
            taken(json!([labelled, older])).labels(&id),
            ["runner:a", "reserved-for:job"]
        );
    }

    #[test]
    fn one_runner_and_many_give_an_array() {
        let runner = json!({"id": 1, "runner": {}, "more": "stays"});
        assert_eq!(taken(runner.clone()).json_array(), json!([runner]));
        assert_eq!(taken(json!([runner])).json_array(), json!([runner]));
    }
}
