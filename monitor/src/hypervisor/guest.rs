//! What a guest is for the rest of the monitor, and what is needed to create one.
//!
//! Responsible for these values only; the drivers act on them.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use shared::{
    secret::Secret,
    settings::{BuildSettings, DiskFormat, GuestAuthMethod, ImageSettings, ProfileSettings},
    units::Memory,
    values::ProfileKey,
};
use tokio::sync::mpsc;

use super::error::HypervisorError;

/// Maximum number of guests at a time. The capacity of a host is far below this; the limit bounds
/// the damage if the capacity is computed wrongly.
pub const GUEST_COUNT_MAX: usize = 256;

/// Guests that have ended, each sent once, however the guest ended. This is a hint to list the guests
/// again and not a record: if the receiver lags behind, guests are dropped.
pub type Events = mpsc::Receiver<EndedGuest>;

/// A guest that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedGuest {
    pub name: String,
    /// How it ended, such as `exit status: 1` or `Stopped Crashed`; none if that is not known.
    pub exit_status: Option<String>,
    /// The last lines of its output, without long words.
    pub output: Vec<String>,
}

/// A guest as the host reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Unique on this host.
    pub name: String,
    /// Known once DHCP has assigned it. A process has no address of its own.
    pub ipv4_address: Option<Ipv4Addr>,
}

/// The guests of each driver, by name, or why a driver cannot list them. A driver that fails does not
/// affect the other one.
#[derive(Debug)]
pub struct Listed {
    pub processes: Result<Vec<Guest>, HypervisorError>,
    pub machines: Result<Vec<Guest>, HypervisorError>,
}

/// Where a request comes from that one of several guests may have sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// From the guest with this name.
    At(String),
    /// From none of them; these are their addresses.
    Elsewhere(Vec<IpAddr>),
    /// Perhaps from one whose address is not known yet.
    Unknown,
}

/// How old a screenshot may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Some seconds.
    Recent,
    /// Half a second, which is as recent as the rate limit allows.
    Now,
}

/// A guest to create.
#[derive(Clone, Debug)]
pub struct GuestSpec {
    /// `<guest prefix>-` and more of `[A-Za-z0-9._@-]`, at most 200 bytes; never used before.
    pub name: String,
    pub runner_id: u64,
    pub profile_key: ProfileKey,
    pub kind: GuestKind,
    /// Base URL where the guest fetches its credential.
    pub monitor_url: String,
    /// Authenticates the guest to the monitor.
    pub secret: Secret,
    /// The memory that is counted for a virtual machine; a template that wants more is refused.
    pub memory_max: GuestMemory,
}

/// The memory that is counted for a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestMemory {
    /// Hugepages of 1 GiB.
    pub hugepages_1g: u64,
    pub normal: Memory,
}

impl From<&ProfileSettings> for GuestMemory {
    fn from(profile: &ProfileSettings) -> Self {
        Self {
            hugepages_1g: profile.requires_1g_hugepages,
            normal: profile.requires_normal_memory,
        }
    }
}

/// Which driver creates a guest, and from what.
#[derive(Clone, Debug)]
pub enum GuestKind {
    /// A process: the program and its arguments. A program without a slash is searched for in
    /// `PATH`; one with a slash is relative to the monitor's working directory.
    Process(Vec<String>),
    /// A virtual machine, whose disks begin with an image.
    VirtualMachine(ImageSettings),
}

impl GuestSpec {
    /// The command of a process; empty for a virtual machine.
    pub fn command(&self) -> &[String] {
        match &self.kind {
            GuestKind::Process(command) => command,
            GuestKind::VirtualMachine(_) => &[],
        }
    }
}

/// An image to build.
#[derive(Clone, Debug)]
pub struct BuildSpec {
    /// Name of the guest that builds it.
    pub guest_name: String,
    pub profile_key: ProfileKey,
    /// How the guest authenticates itself.
    pub proof: GuestAuthMethod,
    pub disks: DiskFormat,
    pub build: BuildSettings,
    /// The folder that contains the base disk and the CD-ROMs.
    pub image_deps_dir: Option<PathBuf>,
    pub memory_max: GuestMemory,
    /// Base URL where the guest fetches its build script.
    pub monitor_url: String,
    /// Authenticates the guest to the monitor.
    pub secret: Secret,
}
