//! The real cores of queue and monitors, many of them, in one world that fails in every way.
//!
//! Time is virtual, and every fault comes from one seeded source: a seed gives the same story
//! each time. After each step the rules of ARCHITECTURE.md are checked; then the faults stop, and
//! everybody who still asks must be served.
//!
//! A reader starts at `world`, which owns the story; `network` carries and loses what is said;
//! `queues`, `monitors`, `guests` and `clients` are those who say it; `rules` judges.
//! `day` is one story of another kind: what an ordinary day costs at GitHub.

mod chance;
mod clients;
mod day;
mod deeds;
mod faults;
mod github;
mod guests;
mod monitors;
mod network;
mod queues;
mod rules;
mod scenario;
mod world;

pub use day::{Day, Outage};
pub use rules::{Tally, Violation};
pub use scenario::Scenario;

/// Plays the story of one seed to its end, and tells it on standard output.
///
/// # Errors
/// The first rule that was broken, and when.
pub fn simulate_aloud(seed: u64) -> Result<Tally, Violation> {
    world::World::new(Scenario::of(seed)).told().play()
}

/// Plays the story of one seed to its end.
///
/// # Errors
/// The first rule that was broken, and when.
pub fn simulate(seed: u64) -> Result<Tally, Violation> {
    world::World::new(Scenario::of(seed)).play()
}
