//! The `ci-runners` executable from the outside: what it prints and how it ends.
//!
//! - `help`: the texts that people learn from
//! - `job`: `enqueue` and `take`; `wait`: both in one
//! - `self_test`: `self-test`; `status`: `status`
//! - `operate`: `withdraw`, `drain`, `undrain`, `override`, `logs`, and where addresses come from
//! - `proxies`: the proxies of the environment
//! - `dependencies`: what the executable does not link
//!
//! The queue is real and in this process; the monitor is a test double.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dependencies;
mod help;
mod job;
mod operate;
mod proxies;
mod self_test;
mod status;
mod support;
mod wait;
