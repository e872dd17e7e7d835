//! The `command` driver: a guest is a process of this host, started from the profile's command.
//!
//! Responsible for the processes, their folders and their logs. Not responsible for isolation: the
//! process runs as the monitor's user, so a command that runs untrusted code brings its own (a
//! container, another user, a virtual machine). Never restarts a guest.
//!
//! ```text
//! create ──> running ──────────────> ended ────────────> gone
//!            │  its group leader      its process group   folder removed,
//!            │  ends, by itself or    and all processes   log kept
//!            │  destroyed             with its marker
//!            │                        are killed
//! a new monitor finds the folder: leader alive ─> running; otherwise ─> ended
//! ```
//!
//! **Guests outlive the monitor.** Each leads a process group of its own, has no pipe that ends with
//! the monitor, and is found again by the record of its leader in its folder. Under systemd this
//! needs `KillMode=process`; otherwise a restart of the service kills them.
//!
//! **No process of a guest outlives its leader.** When the leader has ended, its group is killed, and
//! so is every process whose environment has the guest's marker: its name and its folder. Only then
//! does the guest count as gone.
//!
//! **A folder without a living leader** is what is left of a guest that ended while no monitor ran, or
//! that was never started. It is first moved aside, so that a guest which a killed monitor was about
//! to start cannot write its record, and exits. Then the processes with the marker are killed, and the
//! folder is removed.
//!
//! Both drivers have the same files for the same roles: `driver` (the calls), `provision` (what a
//! guest is started from), `watch` (notices its end), `reaper` (removes what is left), `folder` (its
//! files). Dependencies point from the former to the latter.

mod driver;
mod folder;
mod leader_record;
mod process;
mod process_marker;
mod provision;
mod reaper;
#[cfg(test)]
mod tests;
mod watch;

pub use driver::{Driver, Timeouts};
