//! Simulation of the real cores of queue and monitor on virtual time, with faults.
//!
//! A run has one or two queues, one to eight monitors, their guests, up to thirty clients and an
//! emulated GitHub. Messages are lost, late or duplicated, processes are killed or hang, disks and
//! GitHub fail. All random numbers come from one seed, so that a run can be replayed. After every
//! event the invariants of ARCHITECTURE.md are checked; then the faults end, and every client that
//! still waits must get its runners.
//!
//! Dependencies point one way:
//!
//! ```text
//! world ──▶ actors ──▶ environment ──▶ network, github ──▶ context ──▶ events ──▶ messages
//!   └─────▶ liveness ──▶ actors                               └──▶ invariants, scenario, rng
//! ```
//!
//! `world` delivers events to the `actors` (queues, monitors, guests, clients). An actor has access
//! to its own state and to the `environment`, never to another actor or to the world.

mod actors;
mod context;
mod environment;
mod events;
mod github;
mod invariants;
mod liveness;
mod messages;
mod network;
mod order;
mod rng;
mod scenario;
mod statistics;
mod stories;
mod world;

pub use invariants::Violation;
pub use scenario::{Outage, Workday};
pub use statistics::Statistics;

use scenario::Scenario;
use world::World;

/// Simulates the run of a seed.
///
/// # Errors
/// The first violation of an invariant.
pub fn simulate(seed: u64) -> Result<Statistics, Violation> {
    World::new(Scenario::from_seed(seed), false).run()
}

/// Simulates the run of a seed, and prints every message, reply and fault.
///
/// # Errors
/// The first violation of an invariant.
pub fn simulate_traced(seed: u64) -> Result<Statistics, Violation> {
    World::new(Scenario::from_seed(seed), true).run()
}

/// Simulates a working day.
///
/// # Errors
/// The first violation of an invariant.
pub fn simulate_workday(workday: Workday) -> Result<Statistics, Violation> {
    World::new(Scenario::from_workday(workday), false).run()
}
