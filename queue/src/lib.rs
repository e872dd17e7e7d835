//! The one line in front of all servers: jobs wait here for the next free runner.
//!
//! The crate `queue-core` decides; [`driver`] holds it and performs what it wants; [`servers`] talks to
//! the monitors; [`api`] is what clients see; [`ticket`] makes and checks their tickets; [`app`]
//! puts it all together.

pub mod api;
pub mod app;
pub mod driver;
pub mod servers;
pub mod ticket;
