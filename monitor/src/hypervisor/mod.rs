//! Lists, creates and destroys guests on this host, by one of two drivers.
//!
//! Responsible for the choice of the driver, and that only names of this monitor reach a driver. Not
//! responsible for which guests there should be.
//!
//! For the driver `command` a guest is a process, for `libvirt` it is a virtual machine. A profile
//! chooses the driver for new guests; a guest of either is found and destroyed by its name alone,
//! because its profile may have left the settings since.

mod blocking;
mod command;
mod error;
mod guest;
mod guest_lock;
mod libvirt;
mod namespace;
mod output;
pub(crate) mod program;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use shared::{
    settings::{DiskFormat, ImageSettings},
    values::ProfileKey,
};
use tokio::sync::mpsc;

pub use error::{HypervisorError, TemplateError, error_with_cause, warn};
pub use guest::{
    BuildSpec, EndedGuest, Events, Freshness, GUEST_COUNT_MAX, Guest, GuestKind, GuestMemory,
    GuestSpec, Listed, Located,
};
pub use libvirt::{HostMemory, has_image, placeholders};
use namespace::Namespace;

/// What the drivers have to know about this host.
#[derive(Clone, Debug)]
pub struct HypervisorSettings {
    /// The monitor's data directory. It has the guests' folders, in `guests/` and `virtual/`.
    pub data_path: PathBuf,
    /// Prefix of the names of guests. Guests with other names are never touched.
    pub guest_prefix: String,
    /// Prefix of the names of guests that build images.
    pub builder_prefix: String,
    pub libvirt_uri: String,
    /// Whether a profile has virtual machines. Existing ones are managed in any case.
    pub makes_virtual_machines: bool,
    /// The folder with the folders of all profiles.
    pub profiles_path: PathBuf,
}

/// Refuses a profile of virtual machines whose template is unusable for any image. `profiles` is the
/// folder with the folders of all profiles, and `memory_max` is the memory that is counted for each
/// guest.
///
/// # Errors
/// If the template is missing or unusable.
pub fn check(
    profiles: &Path,
    profile_key: &ProfileKey,
    image: &ImageSettings,
    memory_max: GuestMemory,
) -> Result<(), HypervisorError> {
    libvirt::check(profiles, profile_key, image, memory_max)
}

/// Refuses a data directory in which files cannot share blocks, which raw disks need. Nothing is left
/// in the directory, and it need not exist yet.
///
/// # Errors
/// If its file system cannot share blocks, or the test of that fails.
pub fn check_reflinks(data_path: &Path) -> Result<(), HypervisorError> {
    libvirt::check_reflinks(data_path)
}

/// The drivers of this host. Cheap to clone.
#[derive(Clone)]
pub struct Hypervisor {
    namespace: Namespace,
    builders: Namespace,
    command: command::Driver,
    /// None if there are no virtual machines and no profile has any: libvirt need not be installed.
    libvirt: Option<libvirt::Driver>,
}

impl Hypervisor {
    /// Sets up the drivers, and returns the events of guests that end. [`Hypervisor::list`] finds the
    /// existing guests. Must be called within a tokio runtime that lives as long as the monitor, because
    /// libvirt is watched from there.
    ///
    /// # Errors
    /// If the folder for guests cannot be created, or a prefix is invalid.
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

    /// Every guest of each driver, including those of an earlier monitor. Must be called within a tokio
    /// runtime that lives as long as the monitor, because guests are watched from there.
    pub async fn list(&self) -> Listed {
        let machines = async {
            match &self.libvirt {
                Some(libvirt) => libvirt.list().await,
                None => Ok(Vec::new()),
            }
        };
        let (processes, machines) = tokio::join!(self.command.list(), machines);
        Listed {
            processes,
            machines,
        }
    }

    /// The memory of the host as libvirt reports it, for guests and everything else together.
    ///
    /// # Errors
    /// If libvirt is not in use, or does not answer.
    pub async fn host_memory(&self) -> Result<HostMemory, HypervisorError> {
        self.libvirt()?.host_memory().await
    }

    /// Creates a guest and starts it. It outlives this process.
    ///
    /// # Errors
    /// If it cannot be started; then nothing of it is left.
    pub async fn create(&self, spec: &GuestSpec) -> Result<(), HypervisorError> {
        self.namespace.check(&spec.name)?;
        match &spec.kind {
            GuestKind::Process(_) => self.command.create(spec).await,
            GuestKind::VirtualMachine(image) => self.libvirt()?.create(spec, image).await,
        }
    }

    /// Ends a guest, and returns when nothing of it is left. Succeeds if the guest does not exist.
    /// Unless it is known whether it `is_virtual`, it is looked for by both drivers.
    ///
    /// # Errors
    /// If the name is outside the namespace, or the guest does not end in time.
    pub async fn destroy(
        &self,
        name: &str,
        is_virtual: Option<bool>,
    ) -> Result<(), HypervisorError> {
        self.namespace.check(name)?;
        if is_virtual != Some(true) {
            self.command.destroy(name).await?;
        }
        match &self.libvirt {
            Some(libvirt) if is_virtual != Some(false) => libvirt.destroy(name).await,
            _ => Ok(()),
        }
    }

    /// Builds an image and makes it the current one of its profile. Returns when nothing of the guest is
    /// left.
    ///
    /// # Errors
    /// If the build fails. The current image then stays the same.
    pub async fn rebuild(&self, spec: &BuildSpec) -> Result<(), HypervisorError> {
        self.builders.check(&spec.guest_name)?;
        self.libvirt()?.rebuild(spec).await
    }

    /// The screen of a virtual machine, as a PNG. None if there is no such machine, or it has no screen.
    ///
    /// # Errors
    /// If the screenshot cannot be read, or is not a PNG.
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

    /// The last screenshot of the last failed build of a profile's image, as a PNG.
    pub async fn last_screenshot(&self, profile_key: &ProfileKey) -> Option<Vec<u8>> {
        self.libvirt.as_ref()?.last_screenshot(profile_key).await
    }

    /// The end of the console of the build of a profile's image that is under way, or else of the last failed one.
    pub async fn console(&self, profile_key: &ProfileKey) -> Option<Vec<u8>> {
        self.libvirt.as_ref()?.console(profile_key).await
    }

    /// The last lines of what a guest has printed, without words that may be secrets. None if there is no such
    /// guest, or its output cannot be read: the definition of a virtual machine may have no serial port of type
    /// `file`, and the file may belong to QEMU's user.
    pub async fn output(&self, name: &str) -> Option<Vec<String>> {
        if !self.namespace.contains(name) {
            return None;
        }
        let mut paths = vec![self.command.output_path(name)];
        paths.extend(self.libvirt.as_ref().map(|it| it.console_path(name)));
        let read = blocking::blocking(move || {
            let ends = paths.iter().map(|path| output::end_of(path));
            let found = ends.flatten().next();
            Ok(found.map(|end| output::console_lines(&end)))
        });
        read.await.ok().flatten()
    }

    fn is_ours(&self, name: &str) -> bool {
        self.namespace.contains(name) || self.builders.contains(name)
    }

    /// When the current image of a profile was complete. None if it has no image in that format.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub async fn image_built_at(
        &self,
        profile_key: &ProfileKey,
        format: DiskFormat,
    ) -> Result<Option<SystemTime>, HypervisorError> {
        self.libvirt()?.image_built_at(profile_key, format).await
    }

    /// Which of these virtual machines has this address.
    pub async fn locate(&self, names: &[String], address: IpAddr) -> Located {
        match &self.libvirt {
            Some(libvirt) if names.iter().all(|name| self.is_ours(name)) => {
                libvirt.locate(names, address).await
            }
            _ => Located::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::secret::Secret;

    use super::*;

    #[tokio::test]
    async fn only_names_in_the_namespace_reach_a_driver() {
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
                kind: GuestKind::Process(vec!["true".to_owned()]),
                monitor_url: "http://monitor.invalid/".to_owned(),
                secret: Secret::new("hunter2"),
                memory_max: GuestMemory::default(),
            };
            assert!(!format!("{spec:?}").contains("hunter2"));
            for refusal in [
                hypervisor.create(&spec).await,
                hypervisor.destroy(name, None).await,
            ] {
                let is_refused = matches!(refusal, Err(HypervisorError::InvalidName { .. }));
                assert!(is_refused, "{name}");
            }
        }
        let Listed {
            processes,
            machines,
        } = hypervisor.list().await;
        assert_eq!((processes.unwrap(), machines.unwrap()), (vec![], vec![]));
        hypervisor.destroy("ci-runner-a.1", None).await.unwrap();
    }
}
