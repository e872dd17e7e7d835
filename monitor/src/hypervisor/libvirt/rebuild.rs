//! Building an image: a guest that begins with a base disk, installs what its build script says, and
//! powers off.
//!
//! Owns that an image becomes current in one step once it is complete, and that a build which fails
//! changes nothing: the last good image stays.
//!
//! ```text
//! virtual/ci-rebuild-<profile_key>/  where the build is made; swept away if nobody is at work on it
//!        │ powers off in time                    │ does not
//!        v                                       v
//! images/<profile_key>/.new ──> <name>    images/<profile_key>/.failed/  its last words
//! ```

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use shared::{
    clock::Clock,
    secret::Secret,
    settings::{BuildSettings, ConfigIso, DiskFormat, GuestProof},
    units::Memory,
    values::ProfileKey,
};
use tokio::time::{Instant, sleep};

use super::{
    driver::Driver,
    folder::{Folder, unless_missing},
    images,
};
use crate::hypervisor::{
    Freshness, blocking,
    error::{HypervisorError, warn},
    program,
};

/// How much is kept of the console of a build that failed, in bytes.
const CONSOLE_SIZE_MAX: u64 = 1 << 20;
/// How long a base disk may take to be copied.
const COPY_TIMEOUT: Duration = Duration::from_secs(1800);
/// How long it may take to make a CD-ROM of a few files.
const ISO_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two tries to end a guest that would not go.
const END_PAUSE: Duration = Duration::from_secs(10);
/// Between two looks at whether the guest is done.
const PAUSE: Duration = Duration::from_secs(1);

/// An image to be built.
#[derive(Clone, Debug)]
pub struct BuildSpec {
    /// The name of the guest.
    pub guest_name: String,
    /// Of which profile.
    pub profile_key: ProfileKey,
    /// How the guest proves itself.
    pub proof: GuestProof,
    /// What its disk is to be.
    pub disks: DiskFormat,
    /// From what.
    pub build: BuildSettings,
    /// The folder that the base lies below.
    pub image_deps_dir: Option<PathBuf>,
    /// The most memory that the guest may have.
    pub memory_max: Memory,
    /// Where the guest asks for its script.
    pub monitor_url: String,
    /// What it proves itself with, there.
    pub secret: Secret,
}

impl Driver {
    /// Builds an image. Nothing of the guest is left when this returns.
    pub async fn rebuild(&self, spec: &BuildSpec) -> Result<(), HypervisorError> {
        let name = &spec.guest_name;
        let _claim = self
            .claims
            .claim(name)
            .ok_or_else(|| HypervisorError::Occupied { name: name.clone() })?;
        let mut console = None;
        let built = self.build(spec, &mut console).await;
        let promoted = match built {
            Ok(()) => {
                let (folder, images) = (self.folder(name), self.materials.images.clone());
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
                self.keep_last_words(spec, console).await;
                Err(error)
            }
        };
        // As long as there is anything of it, it takes memory; and it counts until this returns.
        while let Err(error) = self.end(name).await {
            warn(&error);
            sleep(END_PAUSE).await;
        }
        promoted
    }

    /// Puts the `console` there as soon as there is one.
    async fn build(
        &self,
        spec: &BuildSpec,
        console: &mut Option<File>,
    ) -> Result<(), HypervisorError> {
        let name = &spec.guest_name;
        let folder = self.folder(name);
        let made = {
            let folder = folder.clone();
            blocking(move || folder.make()).await
        };
        let is_new =
            made.map_err(|source| HypervisorError::io("make the folder of guest", name, source))?;
        if !is_new {
            return Err(HypervisorError::AlreadyExists { name: name.clone() });
        }
        make_disk(spec, &folder).await?;
        let cdroms = self.cdroms(spec, &folder).await?;
        self.materials.furnish_build(&folder, spec, &cdroms).await?;
        let console_path = folder.console_path();
        *console = blocking(move || File::open(console_path)).await.ok();
        let started = self.virsh.create(&folder.definition_path()).await;
        started.map_err(|source| HypervisorError::program("start guest", name, source))?;
        let deadline = Instant::now() + spec.build.build_timeout;
        while Instant::now() < deadline {
            sleep(PAUSE).await;
            match self.builders().await {
                Ok(names) if !names.contains(name) => return Ok(()),
                Ok(_) => {}
                // libvirtd may be restarting; the guest goes on meanwhile.
                Err(error) => log::debug!("failed to {error}"),
            }
        }
        Err(HypervisorError::BuildTimeout {
            name: name.clone(),
            seconds: spec.build.build_timeout.as_secs(),
        })
    }

    /// What is to be in the drives of a build. The last one is made here.
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
            // With the names as they are written here, for Linux and for Windows.
            arguments
                .extend(["-rock", "-joliet", "-follow-links", "-volid", label].map(OsString::from));
            let profile = self.materials.profile_folder(&spec.profile_key);
            arguments.extend(files.iter().map(|file| profile.join(file).into()));
            let made = program::call("genisoimage", &arguments, ISO_TIMEOUT).await;
            made.map_err(|source| {
                HypervisorError::program(
                    "make the configuration of guest",
                    &spec.guest_name,
                    source,
                )
            })?;
            cdroms.push(path);
        }
        Ok(cdroms)
    }

    /// Keeps what is on the screen and the console of a failed build, for whoever looks for the cause.
    async fn keep_last_words(&self, spec: &BuildSpec, console: Option<File>) {
        let seen = self.screenshot(&spec.guest_name, Freshness::Now).await;
        let png = seen.ok().flatten();
        let console_path = self.folder(&spec.guest_name).console_path();
        let failed = self.failed_folder(&spec.profile_key);
        let secret = spec.secret.clone();
        let kept = blocking(move || {
            unless_missing(fs::remove_dir_all(&failed))?;
            fs::create_dir_all(&failed)?;
            if let Some(png) = png {
                fs::write(failed.join("screenshot.png"), png)?;
            }
            unless_missing(keep_console(&console_path, console, &failed, &secret))
        });
        if let Err(error) = kept.await {
            log::warn!("failed to keep the last words of a failed build: {error}");
        }
    }

    /// What was last seen on the screen of the last build that failed, as a PNG.
    pub async fn last_screenshot(&self, profile_key: &ProfileKey) -> Option<Vec<u8>> {
        let path = self.failed_folder(profile_key).join("screenshot.png");
        // It was written here, and is no longer than what was read then.
        blocking(move || fs::read(path)).await.ok()
    }

    /// What the last build that failed has said last.
    pub async fn last_console(&self, profile_key: &ProfileKey) -> Option<Vec<u8>> {
        let path = self.failed_folder(profile_key).join("console.log");
        // The same holds for this.
        blocking(move || fs::read(path)).await.ok()
    }

    fn failed_folder(&self, profile_key: &ProfileKey) -> PathBuf {
        let profile = self.materials.images.join(profile_key.as_str());
        profile.join(".failed")
    }
}

/// Keeps the end of a console, without the guest's secret, which a script may have said there.
///
/// While the guest runs its console belongs to QEMU's user, and only root may open it; we did before.
/// (That one may have been put aside for a new one since, when it had become long.)
fn keep_console(
    path: &Path,
    opened: Option<File>,
    folder: &Path,
    secret: &Secret,
) -> io::Result<()> {
    let mut console = match (File::open(path), opened) {
        (Err(error), Some(opened)) if error.kind() == ErrorKind::PermissionDenied => opened,
        (found, _) => found?,
    };
    let length = console.metadata()?.len();
    console.seek(SeekFrom::Start(length.saturating_sub(CONSOLE_SIZE_MAX)))?;
    let mut end = Vec::new();
    console.take(CONSOLE_SIZE_MAX).read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end);
    let end = end.replace(secret.expose(), "[secret]");
    fs::write(folder.join("console.log"), end)
}

/// Makes the disk that a build begins with.
async fn make_disk(spec: &BuildSpec, folder: &Folder) -> Result<(), HypervisorError> {
    let disk = folder.path().join(images::disk_name(spec.disks));
    let format = OsString::from(spec.disks.word());
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
        let made = program::call("qemu-img", &arguments, COPY_TIMEOUT).await;
        made.map_err(|source| {
            HypervisorError::program("make the disk of guest", &spec.guest_name, source)
        })?;
    }
    Ok(())
}
