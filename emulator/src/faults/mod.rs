//! What goes wrong on purpose: answers that fail, break, hang or get lost, and a clock that is
//! wrong.
//!
//! Owns which request is struck by what. Never touches a connection or the model; `api` does what a
//! fault says. (A list that lags, jobs that are not assigned and runners that vanish are states of
//! the [`model`](crate::model) itself.)

mod armed;
mod rule;

pub(crate) use armed::Strike;
pub use armed::{FaultView, Faults};
pub use rule::{Fault, FaultId, FaultRule, PathMatch};
