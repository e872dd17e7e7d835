//! What to do next, and why: the difference between what should be and what is.

pub mod eviction;
pub mod plan;
pub mod reason;
