//! Every call that leaves a daemon or the command line: one small wrapper over `awc`.
//!
//! Owns what `awc` leaves open: one deadline over connection, head *and* body, a limit on the
//! body, the check that a body is whole, the one repetition that is safe, and errors that say
//! whether the call may have had an effect. Never follows a redirect, and never shows a query,
//! because tickets travel there, or the value of a header.

#![warn(missing_docs)]

mod answer;
mod call;
mod client;
mod error;
mod retry_budget;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use answer::timestamp;
pub use awc::http::{Method, StatusCode};
pub use call::{Call, Retry};
pub use client::{Client, install_tls};
pub use error::HttpError;
pub use retry_budget::RetryBudget;
