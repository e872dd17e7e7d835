//! Values without state: what all other modules are about.

pub mod resources;
pub mod runner_id;
