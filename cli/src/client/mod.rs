//! HTTP requests to a queue and a monitor, the same that curl can send.
//!
//! - `queue`: the requests of a job
//! - `dashboard`: the dashboard of a daemon; `queue_dashboard`: what is read of that of a queue
//! - `events`: the stream of events of a daemon
//! - `orders`: what operators order, such as a drain or a pause
//! - `runner`: the story of a runner, and what its guest has printed
//! - `response`: what a take returns
//! - `error`: why a request failed
//!
//! Not responsible for waiting or for repeating a request until it succeeds; `commands` is.

mod dashboard;
mod error;
mod events;
mod orders;
mod queue;
mod queue_dashboard;
mod response;
mod runner;

pub use dashboard::{dashboard, problems};
#[cfg(test)]
pub(crate) use error::tests;
pub use error::{ErrorResponse, RequestError};
pub use events::{EventStream, JournalEvent, Part};
pub use orders::{Orders, Reloaded, Targets};
pub use queue::{JobRequest, QueueClient};
pub use queue_dashboard::{
    AssignedJob, QueueDashboard, QueueProfile, QueueServer, ServerProfile, WaitingJob,
};
pub use response::{Take, Taken, Waiting};
pub use runner::{runner_output, runner_story};
