//! Builds images: starts a guest on a base disk, whose build script installs what the image needs and
//! then powers the guest off.
//!
//! Responsible for these guarantees: an image becomes current in one step once it is complete, and a
//! build that fails changes nothing, so the last good image stays current.
//!
//! ```text
//! virtual/ci-rebuild-<profile_key>/  the guest's folder, removed if no rebuild is in progress
//!        │ powers itself off in time             │ does not, or ends for another reason
//!        v                                       v
//! images/<profile_key>/.new ──> <name>    images/<profile_key>/.failed/  screenshot, console, QEMU's log
//! ```

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use shared::{clock::Clock, settings::ConfigIso, values::ProfileKey};
use tokio::time::{Instant, sleep};

use super::{
    console::Console,
    folder::{Folder, unless_missing},
    images,
    provision::Provisioner,
    reaper::Reaper,
    screenshots::Screenshots,
    shutdown::ShutdownWatch,
    virsh::Virsh,
    virsh_output::Shutdown,
};
use crate::hypervisor::{
    blocking::blocking,
    error::{HypervisorError, warn},
    guest::{BuildSpec, Freshness},
    guest_lock::GuestLocks,
    program,
};

/// Timeout of the copy of a base disk.
const COPY_TIMEOUT: Duration = Duration::from_secs(1800);
/// Timeout of the creation of a CD-ROM with a few files.
const ISO_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two attempts to end a guest.
const END_PAUSE: Duration = Duration::from_secs(10);
/// Pause between two checks whether the guest has powered off.
const POLL_PAUSE: Duration = Duration::from_secs(1);

/// Builds images. Cheap to clone.
#[derive(Clone)]
pub struct Rebuilder {
    virsh: Virsh,
    provisioner: Provisioner,
    reaper: Reaper,
    screenshots: Screenshots,
    locks: GuestLocks,
    /// The consoles of the builds that are under way.
    consoles: Arc<Mutex<BTreeMap<ProfileKey, Console>>>,
}

impl Rebuilder {
    pub fn new(
        virsh: Virsh,
        provisioner: Provisioner,
        reaper: Reaper,
        screenshots: Screenshots,
        locks: GuestLocks,
    ) -> Self {
        Self {
            virsh,
            provisioner,
            reaper,
            screenshots,
            locks,
            consoles: Arc::default(),
        }
    }

    /// Builds an image. Nothing of the guest is left when this returns.
    pub async fn rebuild(&self, spec: &BuildSpec) -> Result<(), HypervisorError> {
        let name = &spec.guest_name;
        let _lock = self
            .locks
            .lock(name)
            .ok_or_else(|| HypervisorError::Occupied { name: name.clone() })?;
        let built = self.build(spec).await;
        let console = self.consoles.lock().remove(&spec.profile_key);
        let promoted = match built {
            Ok(()) => {
                let (folder, images) = (self.reaper.folder(name), self.provisioner.images());
                let (profile_key, format) = (spec.profile_key.clone(), spec.disks);
                let image_name = images::image_name(Clock::start().now().to_system_time());
                let promoted = blocking(move || {
                    images::promote(&images, &profile_key, format, &image_name, &folder)
                });
                promoted
                    .await
                    .map_err(|source| HypervisorError::io("keep the image of guest", name, source))
            }
            Err(error) => {
                self.keep_evidence(spec, console).await;
                Err(error)
            }
        };
        // The guest takes memory until it is gone, and the core counts that until this returns.
        while let Err(error) = self.reaper.reap(name).await {
            warn(&error);
            sleep(END_PAUSE).await;
        }
        promoted
    }

    /// Runs the guest until it powers off. Its console is in `consoles` as soon as there is one.
    async fn build(&self, spec: &BuildSpec) -> Result<(), HypervisorError> {
        let name = &spec.guest_name;
        let folder = self.reaper.folder(name);
        let created = {
            let folder = folder.clone();
            blocking(move || folder.create()).await
        };
        let is_new = created
            .map_err(|source| HypervisorError::io("create the folder of guest", name, source))?;
        if !is_new {
            return Err(HypervisorError::AlreadyExists { name: name.clone() });
        }
        create_disk(spec, &folder).await?;
        let cdroms = self.cdroms(spec, &folder).await?;
        self.provisioner
            .provision_build(&folder, spec, &cdroms)
            .await?;
        let (path, secret) = (folder.console_path(), spec.secret.clone());
        let console = blocking(move || Ok(Console::open(path, secret))).await;
        let console = console
            .map_err(|source| HypervisorError::io("open the console of guest", name, source))?;
        self.consoles
            .lock()
            .insert(spec.profile_key.clone(), console);
        let shutdown = ShutdownWatch::start(self.virsh.clone(), name);
        let started = self.virsh.create(&folder.definition_path()).await;
        started.map_err(|source| HypervisorError::program("start guest", name, source))?;
        self.until_powered_off(spec, shutdown).await
    }

    /// Waits for the end of the guest, which is a success only if the guest has powered itself off.
    async fn until_powered_off(
        &self,
        spec: &BuildSpec,
        mut shutdown: ShutdownWatch,
    ) -> Result<(), HypervisorError> {
        let name = &spec.guest_name;
        let deadline = Instant::now() + spec.build.build_timeout;
        while Instant::now() < deadline {
            sleep(POLL_PAUSE).await;
            match self.virsh.builders().await {
                Ok(names) if !names.contains(name) => {
                    return match shutdown.cause().await {
                        Some(Shutdown::PoweredOff) => Ok(()),
                        Some(Shutdown::Other(cause)) => {
                            Err(HypervisorError::build_ended(name, &cause))
                        }
                        None => Err(HypervisorError::build_ended(name, "")),
                    };
                }
                Ok(_) => {}
                // libvirtd may be restarting; the guest continues meanwhile.
                Err(error) => log::debug!("failed to {error}"),
            }
        }
        let state = self.virsh.state(name).await.unwrap_or_default();
        let state = state.trim();
        Err(HypervisorError::BuildTimeout {
            name: name.clone(),
            seconds: spec.build.build_timeout.as_secs(),
            // A guest is paused when the host's disk is full.
            state: match state.starts_with("running") || state.is_empty() {
                true => String::new(),
                false => format!("; it is {state}"),
            },
        })
    }

    /// The CD-ROMs of a build. The last one, with the configuration, is created here.
    async fn cdroms(
        &self,
        spec: &BuildSpec,
        folder: &Folder,
    ) -> Result<Vec<PathBuf>, HypervisorError> {
        let root = spec.image_deps_dir.as_deref().unwrap_or(Path::new(""));
        let cdroms = spec.build.cdroms.iter().map(|cdrom| root.join(cdrom));
        let mut cdroms: Vec<_> = cdroms.collect();
        if let Some(ConfigIso { label, files }) = &spec.build.config_iso {
            let path = folder.path().join("config.iso");
            let mut arguments: Vec<OsString> = vec!["-quiet".into(), "-output".into()];
            arguments.push(path.clone().into());
            // Rock Ridge and Joliet keep the file names, for Linux and for Windows.
            arguments
                .extend(["-rock", "-joliet", "-follow-links", "-volid", label].map(OsString::from));
            let profile = self.provisioner.profile_folder(&spec.profile_key);
            arguments.extend(files.iter().map(|file| profile.join(file).into()));
            let created = program::call("genisoimage", &arguments, ISO_TIMEOUT).await;
            created.map_err(|source| {
                HypervisorError::program(
                    "create the configuration of guest",
                    &spec.guest_name,
                    source,
                )
            })?;
            cdroms.push(path);
        }
        Ok(cdroms)
    }

    /// Keeps the screen and the console of a failed build, from which people find the cause.
    async fn keep_evidence(&self, spec: &BuildSpec, console: Option<Console>) {
        let screenshot = self.screenshots.of(&spec.guest_name, Freshness::Now).await;
        let png = screenshot.ok().flatten();
        let log = self.reaper.log_of(&spec.guest_name).await;
        let failed = self.failed_folder(&spec.profile_key);
        let secret = spec.secret.clone();
        let kept = blocking(move || {
            unless_missing(fs::remove_dir_all(&failed))?;
            fs::create_dir_all(&failed)?;
            if let Some(png) = png {
                fs::write(failed.join("screenshot.png"), png)?;
            }
            if let Some(log) = log {
                // It has the command line of QEMU, which may have the secret.
                let log = String::from_utf8_lossy(&log);
                let log = log.replace(secret.expose(), "[secret]");
                fs::write(failed.join("qemu.log"), log)?;
            }
            let Some(console) = console else {
                return Ok(());
            };
            let kept = console.read_end();
            unless_missing(kept.and_then(|end| fs::write(failed.join("console.log"), end)))
        });
        if let Err(error) = kept.await {
            log::warn!(
                "failed to keep the screen and the console of the failed build of {}: {error}",
                spec.guest_name
            );
        }
    }

    /// The last screenshot of the last failed build, as a PNG.
    pub async fn last_screenshot(&self, profile_key: &ProfileKey) -> Option<Vec<u8>> {
        let path = self.failed_folder(profile_key).join("screenshot.png");
        // `keep_evidence` wrote this file, so its size is bounded.
        blocking(move || fs::read(path)).await.ok()
    }

    /// The end of the console of the build that is under way, or else of the last failed one.
    pub async fn console(&self, profile_key: &ProfileKey) -> Option<Vec<u8>> {
        let running = self.consoles.lock().get(profile_key).cloned();
        if let Some(console) = running {
            let text = blocking(move || console.read_whole_lines()).await;
            return text.ok().map(String::into_bytes);
        }
        let path = self.failed_folder(profile_key).join("console.log");
        // `keep_evidence` wrote this file, so its size is bounded.
        blocking(move || fs::read(path)).await.ok()
    }

    fn failed_folder(&self, profile_key: &ProfileKey) -> PathBuf {
        let profile = self.provisioner.images().join(profile_key.as_str());
        profile.join(".failed")
    }
}

/// Creates the disk on which a build starts.
async fn create_disk(spec: &BuildSpec, folder: &Folder) -> Result<(), HypervisorError> {
    let disk = folder.path().join(images::disk_name(spec.disks));
    let format = OsString::from(spec.disks.as_str());
    let size = OsString::from(spec.build.size.bytes().to_string());
    let calls = match &spec.build.base {
        None => vec![vec![
            "create".into(),
            "-q".into(),
            "-f".into(),
            format,
            disk.into(),
            size,
        ]],
        Some(base) => {
            let root = spec.image_deps_dir.as_deref().unwrap_or(Path::new(""));
            vec![
                vec![
                    "convert".into(),
                    "-q".into(),
                    "-O".into(),
                    format.clone(),
                    root.join(base).into(),
                    disk.clone().into(),
                ],
                vec![
                    "resize".into(),
                    "-q".into(),
                    "-f".into(),
                    format,
                    disk.into(),
                    size,
                ],
            ]
        }
    };
    for arguments in calls {
        let created = program::call("qemu-img", &arguments, COPY_TIMEOUT).await;
        created.map_err(|source| {
            HypervisorError::program("create the disk of guest", &spec.guest_name, source)
        })?;
    }
    Ok(())
}
