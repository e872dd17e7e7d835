//! What the steps of jobs add to the metrics: pure, so that tests can compare the sums with what happened.

use std::time::Duration;

use crate::{GrantEnd, JobEvent, JobStep, Retirement, ServerId};

/// What one step adds to a counter or a histogram. All but takes are of the profile of the job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measurement {
    /// A job was enqueued; by what authorised that.
    Enqueued { by: &'static str },
    /// A job got all its runners.
    Assigned,
    /// A job is over.
    Ended { outcome: &'static str },
    /// How long a job waited until it was assigned, withdrawn or abandoned, since its enqueue.
    Wait {
        outcome: &'static str,
        waited: Duration,
    },
    /// The time from its enqueue to the start of a workflow job on its runners.
    WaitUntilStart(Duration),
    /// The time from the start of a workflow job to the end of all runners of its job.
    JobDuration(Duration),
    /// A wait until the assignment, divided by the median that was estimated at the enqueue. Of jobs that were
    /// assigned at once, as estimated, there is none.
    EstimateRatio(f64),
    /// A take at a server.
    Take {
        server: ServerId,
        outcome: &'static str,
    },
}

impl JobEvent {
    /// What this step adds to the metrics.
    pub fn measurements(&self) -> Vec<Measurement> {
        let waited = self.at.since(self.enqueued_at);
        let wait = |outcome| Measurement::Wait { outcome, waited };
        match &self.step {
            JobStep::Enqueued { by } => vec![Measurement::Enqueued { by: by.name() }],
            JobStep::Assigned { runners, estimated } => {
                let mut measurements = vec![Measurement::Assigned, wait("assigned")];
                measurements.extend(runners.iter().map(|part| Measurement::Take {
                    server: part.server,
                    outcome: "granted",
                }));
                measurements.extend(estimated.and_then(|estimated| {
                    // Below a second both are as good as nothing.
                    let estimated = (estimated.p50_seconds as f64).max(1.0);
                    let waited = waited.as_secs_f64().max(1.0);
                    // That a job which is assigned at once need not wait is known and says nothing.
                    let has_waited = waited.max(estimated) > 1.0;
                    has_waited.then_some(Measurement::EstimateRatio(waited / estimated))
                }));
                measurements
            }
            JobStep::Refused { server, reason, .. } => vec![Measurement::Take {
                server: *server,
                outcome: reason.name(),
            }],
            JobStep::Started => vec![Measurement::WaitUntilStart(waited)],
            JobStep::Retired {
                retirement,
                assignment,
            } => {
                let outcome = retirement.outcome();
                let is_finished = *retirement == Retirement::Ended(GrantEnd::Finished);
                let mut measurements = vec![Measurement::Ended { outcome }];
                if assignment.runners.is_empty() && !is_finished {
                    measurements.push(wait(outcome));
                }
                if let (Some(started_at), true) = (assignment.started_at, is_finished) {
                    let duration = self.at.since(started_at);
                    measurements.push(Measurement::JobDuration(duration));
                }
                measurements
            }
            JobStep::Restored
            | JobStep::PassedOver { .. }
            | JobStep::Forwarded { .. }
            | JobStep::Delivered
            | JobStep::NotDelivered
            | JobStep::Returned => Vec::new(),
        }
    }
}
