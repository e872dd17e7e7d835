//! The `libvirt` driver: a guest is a virtual machine, made from the profile's `guest.xml` on
//! freshly made disks.
//!
//! Owns the machines whose names begin with the prefixes of runners and of rebuilds, and their folders. It speaks to
//! libvirt by its command line, `virsh`, so that building the monitor needs nothing of libvirt.
//! Never touches a machine of another name, and never a disk outside a guest's folder.
//!
//! ```text
//! create ──> folder ──> disks ──> `virsh create` ──> running ──> ended
//!                                                                │ by itself or destroyed
//!                        folder moved aside ──> machine ended ──> folder removed
//! ```
//!
//! **Machines are transient.** libvirt forgets a transient machine in the moment in which it ends,
//! whoever ended it; after a power cut there is nothing to clean up in libvirt at all. A machine
//! outlives the monitor and libvirtd, and is found again by its name.
//!
//! **The folder is moved aside before anything is ended or called gone.** A `virsh create` that a
//! monitor left behind when it was killed may still be on its way; it then finds no disk at the
//! path in its definition, and fails. So a machine that was not in a list asked for after the move
//! never comes to be.
//!
//! **Guests that build images** are swept away when nobody is at work on them: no list succeeds
//! while there is one, so that a monitor which has just started counts nothing else before.
//!
//! **An ended guest is noticed by `virsh event`,** which runs as long as the monitor; lists only
//! find what that has missed.

mod answers;
mod claims;
mod definition;
mod driver;
mod events;
mod folder;
mod furnish;
mod host;
mod images;
mod memory;
mod rebuild;
mod reflink;
mod screen;
mod virsh;

pub use definition::TemplateError;
pub use driver::Driver;
pub use folder::has_guests;
pub use furnish::{check, check_reflinks};
pub use host::HostMemory;
pub use rebuild::BuildSpec;
