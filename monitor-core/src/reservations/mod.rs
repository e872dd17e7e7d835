//! Reserving runners for jobs: takes, releases, and what becomes of reservations in between.

pub mod adoption;
pub mod progress;
pub mod release;
pub mod take;
