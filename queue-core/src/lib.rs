//! State machine of the job queue: which job gets which runners, and when. Performs no I/O.
//!
//! Start reading at [`Queue`] in `queue`, then `input` and `effect`, then `state::job`, which draws
//! the states of a job.
//!
//! | module | contents |
//! | --- | --- |
//! | `queue` | the machine: one input, its transition, due timers, one scheduling pass |
//! | `input`, `effect` | everything that can happen, and everything that can be wanted |
//! | `demand` | the demand that is stated to each server |
//! | `estimate` | how long jobs must still wait |
//! | `event` | what happens to jobs, for their history |
//! | `measurement` | what these steps add to the metrics |
//! | `state` | what the queue knows, in parts with private fields |
//! | `transitions` | one module for each kind of input; they change state and mark what is dirty |
//! | `scheduling` | the only place where runners are requested for jobs |
//! | `problems` | what is wrong, for the operator |
//! | `testing` | checks for tests, which no daemon contains |
//! | `wait_reason` | why a job waits |
//! | `worth_waiting` | whether a hosted runner is the better choice |
//! | `view` | snapshots for dashboards and metrics |
//!
//! Dependencies point one way: `transitions` → `state` ← `scheduling`. Neither of the two calls the
//! other.

mod config;
mod demand;
mod effect;
mod estimate;
mod event;
mod input;
mod measurement;
mod problems;
mod queue;
mod scheduling;
mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod transitions;
mod view;
mod wait_reason;
mod worth_waiting;

pub use config::{Config, Limits};
pub use effect::{Answer, Effect, Forward, Refusal, Release, WaitingAnswer};
pub use estimate::{NoEstimate, PastRun, PastShare};
pub use event::{
    Assignment, EnqueuedBy, ForwardFailure, JobEvent, JobStep, PassOverReason, Replacement,
    ServerRunners, WithdrawnBy,
};
pub use input::{CallId, ForwardOutcome, Input, JobReference, PauseOrder};
pub use measurement::Measurement;
pub use queue::Queue;
pub use state::{
    fleet::{
        Fleet, Guest, Health, NotReport, ProfileReport, Report, RunnerId, SeenRunner,
        ServerFailure, ServerId,
    },
    job::{GrantEnd, Job, JobRequest, Retirement, TicketContent},
    profile_queues::QueuePosition,
};
pub use view::{AssignedView, JobView, ProfileView, ServerProfileView, ServerView, View};
pub use wait_reason::WaitReason;
pub use worth_waiting::NotWorthIt;
