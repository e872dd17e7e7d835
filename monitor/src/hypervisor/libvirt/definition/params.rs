//! The values of one guest that its definition needs.

use std::path::{Path, PathBuf};

use shared::{
    secret::Secret,
    settings::{DiskFormat, GuestAuthMethod},
};

use crate::hypervisor::guest::GuestMemory;

/// What a domain is defined with.
pub struct DomainParams<'a> {
    pub name: &'a str,
    pub uuid: uuid::Uuid,
    /// The last four bytes of the MAC address of the first interface; the first two are constant.
    pub mac: [u8; 4],
    /// The guest's folder.
    pub folder: &'a Path,
    /// The disk of the image, and its format.
    pub image_disk: &'a Path,
    pub image_format: DiskFormat,
    /// Whether the guest builds the image, and so writes to the image's disk itself.
    pub builds: bool,
    /// Inserted into the first empty CD-ROM drives.
    pub cdroms: &'a [PathBuf],
    /// The memory that is counted for the guest.
    pub memory_max: GuestMemory,
    /// How the guest authenticates itself.
    pub proof: GuestAuthMethod,
    /// The file with its secret.
    pub secret_path: &'a Path,
    pub secret: &'a Secret,
    /// Base URL of the monitor.
    pub monitor_url: &'a str,
}
