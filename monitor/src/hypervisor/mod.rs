//! Where guests are made, found and ended: the monitor's hands on the host.
//!
//! Owns what a guest is for the rest of the monitor, which names are ours, and the choice of the
//! driver. Never decides which guests there should be; whoever calls has decided.
//!
//! There are two drivers behind the same calls: to `command` a guest is a process, to `libvirt` it
//! is a virtual machine. Which one makes a guest is said by its profile; a guest of either is found
//! and ended by its name alone, because by then its profile may have left the settings.

mod command;
mod error;
mod libvirt;
mod namespace;
mod program;

use std::{
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use shared::{
    secret::Secret,
    settings::{DiskFormat, ImageSettings},
    units::Memory,
    values::ProfileKey,
};
use tokio::sync::mpsc;

pub use error::{HypervisorError, warn};
pub use libvirt::{BuildSpec, HostMemory, TemplateError};
use namespace::Namespace;

/// Most guests that there may be at once. What fits is a matter of capacity and far below this;
/// the limit is there for the day when that goes wrong.
pub const GUEST_COUNT_MAX: usize = 256;

/// The names of guests that have ended, each sent once and at once, however it ended. A hint to look
/// again, not a record: when nobody listens for long, some are left out.
pub type Events = mpsc::Receiver<String>;

/// A guest that is there, as the host shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// Unique on this host.
    pub name: String,
    /// Where it can be reached, once that is known. A process has no address of its own.
    pub ipv4_address: Option<Ipv4Addr>,
}

/// How old a picture of a screen may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Some seconds.
    Recent,
    /// As young as can be had.
    Now,
}

/// What a new guest needs to know.
#[derive(Clone, Debug)]
pub struct GuestSpec {
    /// `<guest prefix>-` and more of `[A-Za-z0-9._@-]`, at most 200 bytes; never used before.
    pub name: String,
    /// The runner that it is.
    pub runner_id: u64,
    /// The kind of runner.
    pub profile_key: ProfileKey,
    /// What makes it.
    pub means: Means,
    /// Where the guest asks for its credential.
    pub monitor_url: String,
    /// What it proves itself with, there.
    pub secret: Secret,
    /// The most memory that a virtual machine may have: what is counted for it.
    pub memory_max: Memory,
}

/// What makes a guest.
#[derive(Clone, Debug)]
pub enum Means {
    /// A program and its arguments: the guest is a process. A program without a slash is looked for
    /// in `PATH`; one with a slash is relative to the monitor's working directory.
    Process(Vec<String>),
    /// libvirt: the guest is a virtual machine, which begins with an image of this kind.
    Machine(ImageSettings),
}

impl GuestSpec {
    /// The command that it is, if it is one.
    fn command(&self) -> &[String] {
        match &self.means {
            Means::Process(command) => command,
            Means::Machine(_) => &[],
        }
    }
}

/// What the hypervisor has to know about this host.
#[derive(Clone, Debug)]
pub struct HypervisorSettings {
    /// The monitor's data directory. Guests live in `guests/` and `virtual/` below it.
    pub data_path: PathBuf,
    /// Names that begin with this and a hyphen are ours; no others are ever touched.
    pub guest_prefix: String,
    /// The same for guests that build images.
    pub builder_prefix: String,
    /// Which libvirt makes the virtual machines.
    pub libvirt_uri: String,
    /// Whether there are to be virtual machines. Those that are there are looked after in any case.
    pub makes_virtual_machines: bool,
    /// The folder of the profiles' folders.
    pub profiles_path: PathBuf,
}

/// Refuses a profile of virtual machines of which no guest could be made, whatever its image holds.
/// `profiles` is the folder of the profiles' folders, and `memory_max` what is counted for each
/// guest.
///
/// # Errors
/// When its definition is not there, or cannot be used.
pub fn check(
    profiles: &Path,
    profile_key: &ProfileKey,
    image: &ImageSettings,
    memory_max: Memory,
) -> Result<(), HypervisorError> {
    libvirt::check(profiles, profile_key, image, memory_max)
}

/// Refuses a data directory in which files cannot share blocks, which raw disks need. Nothing is
/// left of the try, and the directory need not be there yet.
///
/// # Errors
/// When its file system has no such thing, or it cannot be tried.
pub fn check_reflinks(data_path: &Path) -> Result<(), HypervisorError> {
    libvirt::check_reflinks(data_path)
}

/// The guests of this host. Cheap to clone.
#[derive(Clone)]
pub struct Hypervisor {
    namespace: Namespace,
    builders: Namespace,
    command: command::Driver,
    /// None where there are no virtual machines, nor are to be: there libvirt need not be there.
    libvirt: Option<libvirt::Driver>,
}

impl Hypervisor {
    /// Prepares to make guests. Finds none yet; [`Hypervisor::list`] does. Must be called within a
    /// tokio runtime that lives as long as the monitor: it listens to libvirt from there.
    ///
    /// # Errors
    /// When the folder for guests cannot be made, or the prefix cannot begin a name.
    pub fn new(settings: HypervisorSettings) -> Result<(Self, Events), HypervisorError> {
        let namespace = Namespace::new(&settings.guest_prefix)?;
        let (ended, events) = mpsc::channel(GUEST_COUNT_MAX);
        let command = command::Driver::new(
            &settings.data_path,
            namespace.clone(),
            ended.clone(),
            command::Timeouts::default(),
        )?;
        let has_libvirt =
            settings.makes_virtual_machines || libvirt::has_guests(&settings.data_path);
        let builders = Namespace::new(&settings.builder_prefix)?;
        let libvirt = has_libvirt.then(|| {
            let namespace = namespace.clone();
            libvirt::Driver::new(
                &settings.data_path,
                &settings.libvirt_uri,
                settings.profiles_path,
                namespace,
                builders.clone(),
                ended,
            )
        });
        let hypervisor = Self {
            namespace,
            builders,
            command,
            libvirt: libvirt.transpose()?,
        };
        Ok((hypervisor, events))
    }

    fn libvirt(&self) -> Result<&libvirt::Driver, HypervisorError> {
        self.libvirt.as_ref().ok_or(HypervisorError::NoLibvirt)
    }

    /// Every guest of ours, by name, also those that an earlier monitor made. Must be called
    /// within a tokio runtime that lives as long as the monitor: it watches the guests from there.
    ///
    /// # Errors
    /// When the host cannot be asked. An error says nothing about which guests there are.
    pub async fn list(&self) -> Result<Vec<Guest>, HypervisorError> {
        let mut guests = self.command.list().await?;
        if let Some(libvirt) = &self.libvirt {
            guests.extend(libvirt.list().await?);
        }
        guests.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(guests)
    }

    /// What libvirt says that the host has, for guests and all others together.
    ///
    /// # Errors
    /// When there is no libvirt in use, or it does not answer.
    pub async fn host_memory(&self) -> Result<HostMemory, HypervisorError> {
        self.libvirt()?.host_memory().await
    }

    /// Makes a guest and starts it. It outlives this process.
    ///
    /// # Errors
    /// Whatever kept it from starting; then nothing of it is left.
    pub async fn create(&self, spec: &GuestSpec) -> Result<(), HypervisorError> {
        self.namespace.check(&spec.name)?;
        match &spec.means {
            Means::Process(_) => self.command.create(spec).await,
            Means::Machine(image) => self.libvirt()?.create(spec, image).await,
        }
    }

    /// Ends a guest, and returns when nothing of it is left. A guest that does not exist is
    /// ended already.
    ///
    /// # Errors
    /// When the name is not one of ours, or the guest will not go.
    pub async fn destroy(&self, name: &str) -> Result<(), HypervisorError> {
        self.namespace.check(name)?;
        self.command.destroy(name).await?;
        match &self.libvirt {
            Some(libvirt) => libvirt.destroy(name).await,
            None => Ok(()),
        }
    }

    /// Builds an image and makes it the current one of its profile. Takes as long as that takes;
    /// nothing of the guest is left then.
    ///
    /// # Errors
    /// Whatever kept it from becoming an image. The one that was current still is.
    pub async fn rebuild(&self, spec: &BuildSpec) -> Result<(), HypervisorError> {
        self.builders.check(&spec.guest_name)?;
        self.libvirt()?.rebuild(spec).await
    }

    /// What is on the screen of a virtual machine, as a PNG; none if there is no such machine, or it
    /// has no screen.
    ///
    /// # Errors
    /// When the picture was taken and cannot be used.
    pub async fn screenshot(
        &self,
        name: &str,
        freshness: Freshness,
    ) -> Result<Option<Arc<[u8]>>, HypervisorError> {
        match &self.libvirt {
            Some(libvirt) if self.is_ours(name) => libvirt.screenshot(name, freshness).await,
            _ => Ok(None),
        }
    }

    /// What was last seen on the screen of the last build of a profile's image that failed.
    pub async fn last_screenshot(&self, profile_key: &ProfileKey) -> Option<Vec<u8>> {
        self.libvirt.as_ref()?.last_screenshot(profile_key).await
    }

    /// What the last build of a profile's image that failed has said last.
    pub async fn last_console(&self, profile_key: &ProfileKey) -> Option<Vec<u8>> {
        self.libvirt.as_ref()?.last_console(profile_key).await
    }

    fn is_ours(&self, name: &str) -> bool {
        self.namespace.contains(name) || self.builders.contains(name)
    }

    /// When the current image of a profile was complete; none if it has no image of that format.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub async fn image_built_at(
        &self,
        profile_key: &ProfileKey,
        format: DiskFormat,
    ) -> Result<Option<SystemTime>, HypervisorError> {
        self.libvirt()?.image_built_at(profile_key, format).await
    }

    /// The address of a virtual machine, once it has one.
    pub async fn address(&self, name: &str) -> Option<Ipv4Addr> {
        if !self.is_ours(name) {
            return None;
        }
        self.libvirt.as_ref()?.address(name).await
    }
}

/// Runs what may block on the disk or on `/proc` where it holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|failure| Err(io::Error::other(failure)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_names_of_ours_reach_the_host() {
        let data = tempfile::tempdir().unwrap();
        let settings = |guest_prefix: &str| HypervisorSettings {
            data_path: data.path().to_owned(),
            guest_prefix: guest_prefix.to_owned(),
            builder_prefix: "ci-rebuild".to_owned(),
            libvirt_uri: "test:///default".to_owned(),
            makes_virtual_machines: false,
            profiles_path: data.path().to_owned(),
        };
        assert!(Hypervisor::new(settings("../up")).is_err());

        let (hypervisor, _events) = Hypervisor::new(settings("ci-runner")).unwrap();
        for name in ["ci-template-a", "ci-runner-../../up"] {
            let spec = GuestSpec {
                name: name.to_owned(),
                runner_id: 1,
                profile_key: "a".parse().unwrap(),
                means: Means::Process(vec!["true".to_owned()]),
                monitor_url: "http://monitor.invalid/".to_owned(),
                secret: Secret::new("hunter2"),
                memory_max: Memory::default(),
            };
            assert!(!format!("{spec:?}").contains("hunter2"));
            for refusal in [
                hypervisor.create(&spec).await,
                hypervisor.destroy(name).await,
            ] {
                let is_refused = matches!(refusal, Err(HypervisorError::InvalidName { .. }));
                assert!(is_refused, "{name}");
            }
        }
        assert_eq!(hypervisor.list().await.unwrap(), []);
        hypervisor.destroy("ci-runner-a.1").await.unwrap();
    }
}
