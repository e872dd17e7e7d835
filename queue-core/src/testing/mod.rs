//! Checks for the tests of this crate and for the simulation.

mod stories;

pub use stories::Stories;
