//! The `command` driver: a guest is a process of this host, started from the profile's command.
//!
//! Owns the processes, their folders and their logs. Never restarts anything, and is no wall
//! around strangers' code: the process runs as the monitor's user. What has to be fenced in, the
//! command itself has to fence in (a container, another user, a virtual machine).
//!
//! ```text
//! create ──> running ──────────────> ended ────────────> gone
//!            │  the leader ends, by   its group and all   folder removed,
//!            │  itself or destroyed   that bears its mark log kept
//!            │                        are killed
//! a new monitor finds the folder: leader alive ─> running; otherwise ─> ended
//! ```
//!
//! **Guests outlive the monitor.** Each leads a process group of its own, writes to nothing that
//! ends with the monitor, and is found again by what its folder says of its leader. Under systemd
//! that needs `KillMode=process`, or a restart of the service kills them.
//!
//! **Nothing of a guest outlives its leader.** When the leader has ended, by itself or not, its
//! group is killed, and with it every process whose environment bears the guest's mark: its name
//! and its folder. Only then does the guest count as gone.
//!
//! **A folder without a living leader** is what is left of a guest that ended unseen, or was never
//! started. It is first moved aside, so that a guest which is just being started by a monitor that
//! has died meanwhile finds no place for its record, and gives up. Then what bears the mark is
//! killed, and the folder removed.

mod claims;
mod driver;
mod folder;
mod identity;
mod process;
mod start;
mod survivors;
#[cfg(test)]
mod tests;
mod watch;

pub use driver::{Driver, Timeouts};
