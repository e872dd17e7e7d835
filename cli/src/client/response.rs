//! What a take returns: the runners of the job, or its position in the queue.

use std::time::Duration;

use http_client::{HttpError, Response};
use serde_json::Value;
use shared::{
    values::UniqueId,
    wire::{Estimate, TakeAnswer, TakenRunner, WaitingBody},
};

use crate::{format, output::printable};

/// The longest label that is printed, in characters.
const LABEL_MAX: usize = 256;
/// When to ask again if the response has no `Retry-After`.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// The result of a take.
#[derive(Clone, Debug, PartialEq)]
pub enum Take {
    /// The job has its runners.
    Runners(Taken),
    /// The job still waits.
    Waiting(Waiting),
}

/// The runners of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The response body as it arrived: an object, or an array for a job with a count.
    pub json: Value,
    /// The same, parsed; at least one runner.
    pub runners: Vec<TakenRunner>,
}

/// The state of a job that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The position in the queue of its profile; 1 is next. `None` if the response has none.
    pub position: Option<u64>,
    /// How much longer the job is expected to wait, if the queue can tell.
    pub estimate: Option<Estimate>,
    /// Why it cannot, as a clause, if it says so.
    pub no_estimate_because: Option<String>,
    /// How long to wait before the next take.
    pub retry_after: Duration,
}

impl Taken {
    /// Parses the body of a take that succeeded.
    ///
    /// # Errors
    /// When it has no runner.
    pub(super) fn parse(response: &Response) -> Result<Self, HttpError> {
        let json: Value = response.json()?;
        let runners = response.json::<TakeAnswer>()?.into_runners();
        if runners.is_empty() {
            return Err(HttpError::Malformed {
                target: "the queue".into(),
                cause: "it has no runner".into(),
            });
        }
        Ok(Self { json, runners })
    }

    /// The value for `runs-on` of each runner.
    pub fn labels(&self, unique_id: &UniqueId) -> Vec<String> {
        let label = |runner: &TakenRunner| match &runner.label {
            Some(label) => printable(label, LABEL_MAX),
            // Older monitors do not return the label; they give their runners this one.
            None => format!("reserved-for:{unique_id}"),
        };
        self.runners.iter().map(label).collect()
    }

    /// All runners as an array, also if the response body is a single object.
    pub fn json_array(&self) -> Value {
        match &self.json {
            Value::Array(_) => self.json.clone(),
            object => Value::Array(vec![object.clone()]),
        }
    }
}

impl Waiting {
    /// Parses the response to a take of a job that waits.
    pub(super) fn parse(response: &Response) -> Self {
        let body = response.json::<WaitingBody>().ok();
        Self {
            position: body.as_ref().map(|body| body.position),
            estimate: body.as_ref().and_then(|body| body.estimate),
            no_estimate_because: body.and_then(|body| body.no_estimate_because),
            retry_after: response.retry_after().unwrap_or(RETRY_AFTER_DEFAULT),
        }
    }

    /// The position as text: `position 3, estimated wait: about 2 min; 9 of 10 within 6 min`.
    pub fn position_text(&self) -> String {
        let because = self.no_estimate_because.as_deref();
        format::position(self.position, self.estimate, because)
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
    fn a_runner_without_a_label_has_the_label_that_older_monitors_give() {
        let id = "job".parse().unwrap();
        let labelled = json!({"id": 1, "runner": {}, "label": "runner:a\x1b"});
        let older = json!({"id": 2, "runner": {}});
        assert_eq!(
            taken(json!([labelled, older])).labels(&id),
            ["runner:a", "reserved-for:job"]
        );
    }

    #[test]
    fn one_runner_or_several_make_an_array() {
        let runner = json!({"id": 1, "runner": {}, "more": "stays"});
        assert_eq!(taken(runner.clone()).json_array(), json!([runner]));
        assert_eq!(taken(json!([runner])).json_array(), json!([runner]));
    }
}
