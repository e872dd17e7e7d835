//! The processes of a run. Each has its own state and acts only on the environment: it sends
//! messages and schedules events, and never calls another process.

pub mod client;
pub mod guest;
mod leases;
pub mod monitor;
pub mod operations;
pub mod operator;
pub mod queue;
mod raised;
