//! How long a job must still wait: the median, and the time within which nine of ten such jobs get their runners.
//!
//! ```text
//!   reports, grants ──▶ runner_log ──▶ history        what runners do, and how long that took so far
//!                           │             │
//!                           ▼             ▼
//!                         slots ─────▶ replay ──▶ forecast      the queue's rule, played 99 times
//! ```
//!
//! | module | contents |
//! | --- | --- |
//! | `runner_log` | since when each runner starts, is idle or has a job; durations follow from the changes |
//! | `history` | how long jobs and replacements took; bounded |
//! | `distribution` | quantiles of these durations, also under the condition that some time has passed |
//! | `slots` | the places for runners of a profile, and what is in each now |
//! | `replay` | assigns jobs to slots in the order of the queue, for many possible futures at once |
//! | `forecast` | the waits of the jobs of a profile: kept until something changes, extrapolated behind the first 200 |
//!
//! What an input costs is bounded: reports and grants update the log, and a replay is made only when an
//! estimate is asked for and the last one is outdated. The same state gives the same estimate: the
//! possible futures are quantiles in a fixed order, not random numbers.

mod distribution;
mod forecast;
mod history;
mod replay;
mod runner_log;
mod slots;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use shared::wire::Estimate;

pub use self::{
    forecast::{Forecasts, forget, is_next, prospect_of, prospects, refresh},
    history::{History, PastRun, PastShare},
    runner_log::RunnerLog,
};
use crate::wait_reason::WaitReason;

/// Why the wait of a job cannot be estimated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoEstimate {
    /// Something keeps every runner from it, so that no runner will come as things are.
    Obstacle(WaitReason),
    /// It waits for runners that something delays, for a time that is unknown: what, as a clause.
    Delayed(String),
    /// It waits for a runner that has a job, and no job has ended yet that would show how long they take.
    NoHistory,
    /// It needs more runners than there are; servers make room for them because it waits.
    NotMadeYet,
}

/// The estimated wait of a job, or why there is none.
pub type Prospect = Result<Estimate, NoEstimate>;

impl fmt::Display for NoEstimate {
    /// A clause.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Obstacle(reason) => formatter.write_str(&reason.clause()),
            Self::Delayed(clause) => formatter.write_str(clause),
            Self::NoHistory => formatter.write_str("no job has finished yet"),
            Self::NotMadeYet => formatter
                .write_str("there are fewer runners than it needs, and servers make room for more"),
        }
    }
}
