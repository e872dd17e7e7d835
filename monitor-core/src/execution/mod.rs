//! The plan as effects, and what their outcomes change.

pub mod begin;
pub mod effect;
pub mod labels;
pub mod outcomes;
