//! Checks for the tests of this crate and for the simulation.

mod stories;
mod tally;

pub use stories::Stories;
