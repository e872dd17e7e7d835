//! The real `ci-runners` executable, from the outside: what it prints and how it ends.
//!
//! - `help`: the texts that people learn from
//! - `job`: `enqueue` and `take`; `wait`: both in one, and everything that can come between
//! - `self_test`: `self-test`
//! - `status`: `status`; `emulator`: `emulator` and `agent`
//! - `demo`: `demo`, whole
//! - `line`: all executables together, with curl as the client; `faults`: and when they are hurt
//! - `workflows`: the actions and workflows of `.github`, run as they are
//!
//! The first ones meet a real queue in this process, and a monitor that is a few lines long.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod demo;
mod emulator;
mod faults;
mod help;
mod job;
mod line;
mod self_test;
mod status;
mod support;
mod wait;
mod workflows;
