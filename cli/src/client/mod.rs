//! HTTP requests to a queue and a monitor, the same that curl can send.
//!
//! - `queue`: the requests of a job
//! - `dashboard`: the dashboard of a daemon
//! - `response`: what a take returns
//! - `error`: why a request failed
//!
//! Not responsible for waiting or for repeating a request until it succeeds; `commands` is.

mod dashboard;
mod error;
mod queue;
mod response;

pub use dashboard::dashboard;
#[cfg(test)]
pub(crate) use error::tests;
pub use error::{ErrorResponse, RequestError};
pub use queue::{JobRequest, QueueClient};
pub use response::{Take, Taken, Waiting};
