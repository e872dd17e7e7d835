//! The monitor as it runs in production: its own process, real libvirt, real QEMU, real DHCP, and
//! an emulated GitHub.
//!
//! Not part of a plain `cargo test`: it needs libvirt, and the namespaces that `run` makes. Each
//! test stands for one thing that happens to a host; all of them end with nothing left over.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod account;
mod contract;
mod fleet;
mod images;
mod life;
mod support;
mod trouble;
