//! Provisions a guest: creates its disks, its definition and its secret in its folder.
//!
//! Responsible for the order of these steps and their limits. Starts nothing; after a failure the
//! caller removes the folder.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use shared::{
    secret::Secret,
    settings::{BuildSettings, DiskFormat, ImageSettings},
    values::ProfileKey,
};

use super::{
    definition::{self, Definition, DiskMethod, DiskPlan, DomainParams, define},
    folder::{Folder, write_private},
    images::{self, Image},
    reflink,
};
use crate::hypervisor::{
    blocking::blocking,
    error::HypervisorError,
    guest::{BuildSpec, GuestMemory, GuestSpec},
    program,
};

/// Timeout of the creation of an overlay, which takes some milliseconds.
const OVERLAY_TIMEOUT: Duration = Duration::from_secs(30);
/// File name of a profile's template.
const TEMPLATE_NAME: &str = "guest.xml";
/// Maximum size of a template, in bytes.
const TEMPLATE_SIZE_MAX: u64 = 1 << 20;

/// Provisions guests. Cheap to clone.
#[derive(Clone)]
pub struct Provisioner {
    /// The folder of all images.
    images: Arc<Path>,
    /// The folder with the folders of all profiles.
    profiles: Arc<Path>,
}

/// Refuses a profile whose template is unusable for any image.
pub fn check(
    profiles: &Path,
    profile_key: &ProfileKey,
    image: &ImageSettings,
    memory_max: GuestMemory,
) -> Result<(), HypervisorError> {
    let nowhere = Path::new("/");
    let cdrom_count = image.build.as_ref().map_or(0, BuildSettings::cdrom_count);
    let cdroms = &vec![nowhere.to_owned(); cdrom_count];
    let guest = DomainParams {
        name: profile_key.as_str(),
        uuid: uuid::Uuid::nil(),
        mac: [0; 4],
        folder: nowhere,
        image_disk: nowhere,
        image_format: image.disks,
        builds: false,
        cdroms,
        memory_max,
        proof: image.proof,
        secret_path: nowhere,
        secret: &Secret::new(""),
        monitor_url: "",
    };
    let path = profiles.join(profile_key.as_str()).join(TEMPLATE_NAME);
    let template = read_template(&path).map_err(|source| unreadable(&path, source))?;
    define(&template, &guest)
        .map(drop)
        .map_err(|problem| HypervisorError::UnusableTemplate { path, problem })
}

/// The file names of the media that the drives in a profile's template have placeholders for. None if the
/// template cannot be read, which `check` reports.
pub fn placeholders(profile_folder: &Path) -> Vec<String> {
    let template = read_template(&profile_folder.join(TEMPLATE_NAME));
    template.map_or_else(
        |_| Vec::new(),
        |template| definition::placeholders(&template),
    )
}

/// Whether a profile has an image in that format. True if the data directory cannot be read.
pub fn has_image(data_path: &Path, profile_key: &ProfileKey, format: DiskFormat) -> bool {
    let current = images::current(&images::root(data_path), profile_key, format);
    !matches!(current, Ok(None))
}

/// Refuses a data directory in which files cannot share blocks. It need not exist yet, and nothing is
/// left in it. Blocks.
pub fn check_reflinks(data_path: &Path) -> Result<(), HypervisorError> {
    let existing = data_path.ancestors().find(|path| path.is_dir());
    let folder = existing.unwrap_or(Path::new("."));
    let subject = folder.display().to_string();
    match reflink::is_possible_in(folder) {
        Ok(true) => Ok(()),
        Ok(false) => Err(HypervisorError::NoReflinks {
            path: folder.to_owned(),
        }),
        Err(source) => Err(HypervisorError::io(
            "test whether files share blocks in",
            subject,
            source,
        )),
    }
}

impl Provisioner {
    pub fn new(images: PathBuf, profiles: PathBuf) -> Self {
        Self {
            images: images.into(),
            profiles: profiles.into(),
        }
    }

    /// The folder of all images.
    pub fn images(&self) -> Arc<Path> {
        Arc::clone(&self.images)
    }

    /// The folder of a profile.
    pub fn profile_folder(&self, profile_key: &ProfileKey) -> PathBuf {
        self.profiles.join(profile_key.as_str())
    }

    /// When the current image of a profile was complete. None if it has no image.
    pub async fn image_built_at(
        &self,
        profile_key: &ProfileKey,
        format: DiskFormat,
    ) -> Result<Option<SystemTime>, HypervisorError> {
        let (images, profile_key) = (self.images(), profile_key.clone());
        let subject = profile_key.to_string();
        blocking(move || {
            let image = images::current(&images, &profile_key, format)?;
            image.map(|image| image.built_at()).transpose()
        })
        .await
        .map_err(|source| HypervisorError::io("find the image of profile", subject, source))
    }

    /// Puts everything that a runner needs into its folder, which is empty. Its definition can then be
    /// started.
    pub async fn provision(
        &self,
        folder: &Folder,
        spec: &GuestSpec,
        settings: &ImageSettings,
    ) -> Result<(), HypervisorError> {
        let name = &spec.name;
        let image = self.image(spec, settings.disks).await?;
        let guest = DomainParams {
            name,
            uuid: uuid::Uuid::new_v4(),
            mac: rand::random(),
            folder: &folder.path(),
            image_disk: &image.disk(),
            image_format: settings.disks,
            builds: false,
            cdroms: &[],
            memory_max: spec.memory_max,
            proof: settings.proof,
            secret_path: &folder.secret_path(),
            secret: &spec.secret,
            monitor_url: &spec.monitor_url,
        };
        self.write(folder, &spec.profile_key, &guest, image.nvram())
            .await
    }

    /// Puts everything that the build of an image needs into its folder, which has the disk already.
    pub async fn provision_build(
        &self,
        folder: &Folder,
        spec: &BuildSpec,
        cdroms: &[PathBuf],
    ) -> Result<(), HypervisorError> {
        let guest = DomainParams {
            name: &spec.guest_name,
            uuid: uuid::Uuid::new_v4(),
            mac: rand::random(),
            folder: &folder.path(),
            image_disk: &folder.path().join(images::disk_name(spec.disks)),
            image_format: spec.disks,
            builds: true,
            cdroms,
            memory_max: spec.memory_max,
            proof: spec.proof,
            secret_path: &folder.secret_path(),
            secret: &spec.secret,
            monitor_url: &spec.monitor_url,
        };
        // The image, which would have the variables, does not exist yet.
        let nvram = folder.path().join("none");
        self.write(folder, &spec.profile_key, &guest, nvram).await
    }

    async fn write(
        &self,
        folder: &Folder,
        profile_key: &ProfileKey,
        guest: &DomainParams<'_>,
        image_nvram: PathBuf,
    ) -> Result<(), HypervisorError> {
        let path = self.template_path(profile_key);
        let template = {
            let path = path.clone();
            blocking(move || read_template(&path)).await
        };
        let template = template.map_err(|source| unreadable(&path, source))?;
        let definition = define(&template, guest)
            .map_err(|problem| HypervisorError::UnusableTemplate { path, problem })?;
        for disk in &definition.disks {
            create_disk(guest.name, disk).await?;
        }
        let (folder, secret) = (folder.clone(), guest.secret.clone());
        blocking(move || write_files(&folder, &definition, &image_nvram, &secret))
            .await
            .map_err(|source| HypervisorError::io("write the files of guest", guest.name, source))
    }

    async fn image(&self, spec: &GuestSpec, format: DiskFormat) -> Result<Image, HypervisorError> {
        let (images, profile_key) = (self.images(), spec.profile_key.clone());
        let image = blocking(move || images::current(&images, &profile_key, format))
            .await
            .map_err(|source| HypervisorError::io("find the image of guest", &spec.name, source))?;
        image.ok_or_else(|| HypervisorError::NoImage {
            name: spec.name.clone(),
            profile_key: spec.profile_key.clone(),
        })
    }

    fn template_path(&self, profile_key: &ProfileKey) -> PathBuf {
        self.profile_folder(profile_key).join(TEMPLATE_NAME)
    }
}

fn read_template(path: &Path) -> io::Result<Vec<u8>> {
    let mut template = Vec::new();
    File::open(path)?
        .take(TEMPLATE_SIZE_MAX + 1)
        .read_to_end(&mut template)?;
    match template.len() as u64 > TEMPLATE_SIZE_MAX {
        true => Err(io::Error::other("it is longer than 1 MiB")),
        false => Ok(template),
    }
}

fn unreadable(path: &Path, source: io::Error) -> HypervisorError {
    HypervisorError::io("read", path.display().to_string(), source)
}

async fn create_disk(name: &str, disk: &DiskPlan) -> Result<(), HypervisorError> {
    let action = "create a disk of guest";
    let (origin, path) = (disk.origin.clone(), disk.path.clone());
    let DiskMethod::Overlay { origin_format } = &disk.method else {
        return blocking(move || reflink::copy(&origin, &path))
            .await
            .map_err(|source| HypervisorError::io(action, name, source));
    };
    let arguments = [
        "create".into(),
        "-q".into(),
        "-f".into(),
        "qcow2".into(),
        "-F".into(),
        origin_format.clone().into(),
        "-b".into(),
        origin.into(),
        path.into(),
    ];
    program::call("qemu-img", &arguments, OVERLAY_TIMEOUT)
        .await
        .map(drop)
        .map_err(|source| HypervisorError::program(action, name, source))
}

/// Writes the files that QEMU and libvirt read beside the disks.
fn write_files(
    folder: &Folder,
    definition: &Definition,
    image_nvram: &Path,
    secret: &Secret,
) -> io::Result<()> {
    write_private(&folder.secret_path(), secret.expose().as_bytes())?;
    write_private(&folder.definition_path(), &definition.xml)?;
    // libvirt would create it as root, and then the monitor could not read it.
    write_private(&folder.console_path(), b"")?;
    let backing_files = definition.disks.iter().filter_map(DiskPlan::backing_file);
    folder.record_backing_files(&backing_files.collect::<Vec<_>>())?;
    let Some(nvram) = &definition.nvram else {
        return Ok(());
    };
    let template = match image_nvram.try_exists()? {
        true => Some(image_nvram),
        false => nvram.template.as_deref(),
    };
    match template {
        Some(template) => fs::copy(template, &nvram.path).map(drop),
        // libvirt then creates it from the firmware's template.
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
