//! What the monitor remembers and what it has observed.
//!
//! Responsible for the data and for questions about it that several modules ask. Not responsible for
//! transitions, decisions or texts for people. Depends on `policy` and `values` only.
//!
//! `durable_state` survives a restart: runners, reservations, a target override. `observed`, `host`,
//! `images` and `software` are found again by polling, `demand` is stated again by queues. `monitor` is all of it together.

pub mod action_log;
pub mod credentials;
pub mod demand;
pub mod durable_state;
pub mod fencing;
pub mod host;
pub mod images;
pub mod monitor;
pub mod observed;
pub mod poll_schedule;
pub mod reservation;
pub mod runner;
pub mod runner_event;
pub mod software;
pub mod target_override;
pub mod targets;
