//! The `libvirt` driver: a guest is a virtual machine, defined by the profile's `guest.xml` on new
//! disks.
//!
//! Responsible for the machines whose names begin with the prefixes of runners and of rebuilds, and
//! for their folders. Never touches a machine with another name, or a disk outside a guest's folder.
//! Uses libvirt's command line, `virsh`, so that a build of the monitor needs no libvirt.
//!
//! ```text
//! create ──> folder ──> disks ──> `virsh create` ──> running ──> ended
//!                                                                │ by itself or destroyed
//!                        folder moved aside ──> machine ended ──> folder removed
//! ```
//!
//! **Machines are transient.** libvirt removes a transient machine the moment it ends, for any reason;
//! after a power failure there is nothing to clean up in libvirt. A machine outlives the monitor and
//! libvirtd, and is found again by its name.
//!
//! **The folder is moved aside before a machine is ended or counts as gone.** A `virsh create` of a
//! monitor that was killed may still be in progress; it then finds no disk at the path in its
//! definition, and fails. So a machine that is missing from a list after the move never appears later.
//!
//! **Guests that build images for an earlier monitor are ended.** No list succeeds while there is one,
//! so that a monitor which has just started includes their memory.
//!
//! **The end of a guest is noticed by `virsh event`,** which runs as long as the monitor; lists find
//! what that has missed.
//!
//! Both drivers have the same files for the same roles: `driver` (the calls), `provision` (what a
//! guest is made from), `watch` (notices its end), `reaper` (removes what is left), `folder` (its
//! files). Only this one has images: `rebuild` builds them, `images` stores them, `console` reads what the
//! guests of builds print. Dependencies point from the former to the latter.

mod addresses;
mod console;
mod definition;
mod driver;
mod event_lines;
mod folder;
mod host_memory;
mod images;
mod logs;
mod memory;
mod provision;
mod reaper;
mod rebuild;
mod reflink;
mod screenshots;
mod shutdown;
mod virsh;
mod virsh_output;
mod watch;

pub use driver::Driver;
pub use folder::has_guests;
pub use host_memory::HostMemory;
pub use provision::{check, check_reflinks, has_image, placeholders};
