//! HTTP calls to a queue and a monitor, the same that curl can make.
//!
//! - `queue`: the calls of a job
//! - `dashboard`: the dashboard of a daemon
//! - `response`: what a take returns
//! - `error`: why a call failed
//!
//! Not responsible for waiting or for repeating a call until it succeeds; `commands` is.

mod dashboard;
mod error;
mod queue;
mod response;

pub use dashboard::dashboard;
#[cfg(test)]
pub(crate) use error::tests;
pub use error::{CallError, ErrorResponse};
pub use queue::{JobRequest, QueueClient};
pub use response::{Take, Taken, Waiting};
