//! The calls at a queue and at a monitor, as anybody could make them with curl.
//!
//! - `queue`: the calls of a job, one function each
//! - `dashboard`: how a daemon stands
//! - `answer`: what the answers mean
//! - `error`: why there was none, or a refusal
//!
//! Nothing in here waits for a better answer, or asks twice: `commands` decides that.

mod answer;
mod dashboard;
mod error;
mod queue;

pub use answer::{Taken, Waiting};
pub use dashboard::dashboard;
#[cfg(test)]
pub(crate) use error::tests;
pub use error::{CallError, Refusal};
pub use queue::{Job, QueueClient, Take};
