//! Fault injection: requests that fail, hang or lose their response, and a wrong clock.
//!
//! Responsible for the rules and for which fault is injected into which request. Not responsible for
//! the effect on the request, see `api::fault_middleware`; nor for outdated lists, blocked assignment
//! and lost registrations, which are states of the [`model`](crate::model).

mod injector;
mod rule;

pub(crate) use injector::Injection;
pub use injector::{FaultView, Faults};
pub use rule::{Edit, Fault, FaultId, FaultRule, PathMatch};
