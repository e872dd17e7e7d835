//! What the steps of runners add to the metrics: pure, so that tests can compare the sums with what happened.

use std::{collections::BTreeMap, time::Duration};

use shared::clock::Timestamp;

use crate::{RunnerEvent, RunnerId, RunnerStep};

/// What one step adds to a counter or a histogram of the profile of its runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// The creation of a runner began.
    Created { reason: &'static str },
    /// Nothing is left of a runner.
    Destroyed { reason: &'static str },
    /// Something failed with a runner.
    Failed { what: &'static str },
    /// The time from the beginning of its creation to its first time online.
    StartDuration(Duration),
    /// The time for which it was idle before it was reserved.
    IdleDuration(Duration),
    /// The time from the moment at which GitHub showed it busy to the end of its guest.
    JobDuration(Duration),
}

/// When the runners of a monitor that exist reached their steps. A runner is forgotten when nothing is left
/// of it.
#[derive(Debug, Default)]
pub struct StepTimes(BTreeMap<RunnerId, Reached>);

/// When a runner reached its steps; `None` also for what was before the start of this process.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    created_at: Option<Timestamp>,
    idle_since: Option<Timestamp>,
    busy_since: Option<Timestamp>,
    /// GitHub can show a runner busy after its guest has ended; how long its job ran is unknown then.
    has_ended: bool,
}

impl StepTimes {
    /// What a step of a runner adds to the metrics, by the times of its steps before.
    pub fn measure(&mut self, event: &RunnerEvent) -> Vec<Measurement> {
        let reached = self.0.entry(event.runner).or_default();
        let since = |from: Option<Timestamp>| from.map(|from| event.at.since(from));
        let job_duration = |reached: &mut Reached| {
            let duration = since(reached.busy_since.take());
            duration.map(Measurement::JobDuration)
        };
        match &event.step {
            RunnerStep::Created { reason } => {
                reached.created_at = Some(event.at);
                vec![Measurement::Created {
                    reason: reason.code,
                }]
            }
            RunnerStep::Online => {
                reached.idle_since = Some(event.at);
                let duration = since(reached.created_at);
                Vec::from_iter(duration.map(Measurement::StartDuration))
            }
            RunnerStep::Reserved => {
                let duration = since(reached.idle_since.take());
                Vec::from_iter(duration.map(Measurement::IdleDuration))
            }
            RunnerStep::Released => {
                reached.idle_since = Some(event.at);
                Vec::new()
            }
            RunnerStep::Busy => {
                reached.busy_since = (!reached.has_ended).then_some(event.at);
                Vec::new()
            }
            RunnerStep::Ended { .. } => {
                reached.has_ended = true;
                Vec::from_iter(job_duration(reached))
            }
            RunnerStep::Failed { what, .. } => vec![Measurement::Failed { what: what.name() }],
            RunnerStep::Destroyed { reason } => {
                let destroyed = Measurement::Destroyed {
                    reason: reason.code,
                };
                let duration = job_duration(reached);
                self.0.remove(&event.runner);
                [destroyed].into_iter().chain(duration).collect()
            }
            RunnerStep::Found
            | RunnerStep::GuestStarted
            | RunnerStep::CredentialFetched
            | RunnerStep::GuestMissing => Vec::new(),
        }
    }

    /// For how many runners it has times.
    pub fn runner_count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests;
