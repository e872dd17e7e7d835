//! When the outside is polled, and what the answers change.

pub mod jobs;
pub mod lists;
pub mod poll;
pub mod software;
