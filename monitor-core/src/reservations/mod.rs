//! Runners for jobs: takes and releases.

pub mod release;
pub mod take;
