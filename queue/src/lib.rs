//! The one line in front of all servers: jobs wait here for the next free runner.

pub mod core;
