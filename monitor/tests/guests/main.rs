//! The monitor as in production: a process of its own, real libvirt, QEMU and DHCP, and an emulated
//! GitHub.
//!
//! Not part of a plain `cargo test`: it needs libvirt, and the namespaces that `run` creates. Each test
//! covers one event on a host, after which nothing may be left over.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod failures;
mod guest_auth;
mod images;
mod lifecycle;
mod production;
mod queue;
mod support;
mod unprivileged;
