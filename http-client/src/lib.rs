//! HTTP client for all outgoing requests of the daemons and the command line: a small wrapper
//! around `awc`.
//!
//! Responsible for what `awc` leaves open: one deadline for connection, head *and* body, a limit
//! on the body's size, the check that a body is complete, one retry on a new connection where that is
//! safe, proxies, root certificates of which some cannot be read, and errors that state whether the request may have taken effect. Redirects are never followed. Errors
//! never contain a query string, which may hold a ticket, or the value of a header.
//! Not responsible for what any server means by its responses.

#![warn(missing_docs)]

mod client;
mod connect;
mod error;
mod request;
mod response;
mod retry_budget;
mod streaming;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use awc::http::{Method, StatusCode};
pub use client::{Client, install_tls};
pub use connect::{Begins, Interim, RootCertificates, root_certificates};
pub use error::HttpError;
pub use request::{Request, Retry};
pub use response::{Response, timestamp};
pub use retry_budget::RetryBudget;
pub use streaming::Streaming;
