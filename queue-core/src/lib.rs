//! The queue's decisions, pure: no I/O, no clock, no randomness, no async.
//!
//! A reader starts at [`queue`], the state machine, and its [`events`]; then [`job`], which draws
//! the states of a job. Each other room holds one kind of event or one piece of arithmetic.

pub mod assign;
mod dispatch;
mod enqueue;
pub mod estimate;
pub mod events;
pub mod fleet;
mod forward;
pub mod job;
pub mod line;
mod presence;
pub mod queue;
mod release;
pub mod report;
mod retired;
mod server;
mod servers;
mod take;
#[cfg(test)]
mod tests;
mod timers;
pub mod view;
