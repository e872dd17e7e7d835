//! What is put into a new guest's folder: its disks, its definition, its secret.
//!
//! Owns the order and the limits of that. Starts nothing; what is left of a failure, whoever called
//! removes.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use shared::{
    secret::Secret,
    settings::{BuildSettings, DiskFormat, ImageSettings},
    units::Memory,
    values::ProfileKey,
};

use super::{
    definition::{Definition, Disk, Making, Newborn, define},
    folder::{Folder, write_private},
    images::{self, Image},
    rebuild::BuildSpec,
    reflink,
};
use crate::hypervisor::{GuestSpec, HypervisorError, blocking, program};

/// How long it may take to make a layer, which is a matter of milliseconds.
const LAYER_TIMEOUT: Duration = Duration::from_secs(30);
/// What a profile's template is called.
const TEMPLATE_NAME: &str = "guest.xml";
/// The longest template, in bytes.
const TEMPLATE_SIZE_MAX: u64 = 1 << 20;

/// Where what guests are made of lies. Cheap to clone.
#[derive(Clone)]
pub struct Materials {
    /// The folder of all images.
    pub images: Arc<Path>,
    /// The folder of the profiles' folders.
    pub profiles: Arc<Path>,
}

/// Refuses a profile of which no guest could be made, whatever its image holds.
pub fn check(
    profiles: &Path,
    profile_key: &ProfileKey,
    image: &ImageSettings,
    memory_max: Memory,
) -> Result<(), HypervisorError> {
    let nowhere = Path::new("/");
    let cdrom_count = image.build.as_ref().map_or(0, BuildSettings::cdrom_count);
    let cdroms = &vec![nowhere.to_owned(); cdrom_count];
    let guest = Newborn {
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

/// Refuses a data directory, be it there yet or not, in which files cannot share blocks. Leaves
/// nothing behind. Blocks.
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
            "try whether files share blocks in",
            subject,
            source,
        )),
    }
}

impl Materials {
    /// Puts all that a guest needs into its folder, which is empty. Its definition can then be
    /// started.
    pub async fn furnish(
        &self,
        folder: &Folder,
        spec: &GuestSpec,
        settings: &ImageSettings,
    ) -> Result<(), HypervisorError> {
        let name = &spec.name;
        let image = self.image(spec, settings.disks).await?;
        let guest = Newborn {
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
        self.put_in(folder, &spec.profile_key, &guest, image.nvram())
            .await
    }

    /// Puts all that is needed to build an image beside its disk.
    pub async fn furnish_build(
        &self,
        folder: &Folder,
        spec: &BuildSpec,
        cdroms: &[PathBuf],
    ) -> Result<(), HypervisorError> {
        let guest = Newborn {
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
        // There is no image yet whose variables could be taken.
        let nvram = folder.path().join("none");
        self.put_in(folder, &spec.profile_key, &guest, nvram).await
    }

    async fn put_in(
        &self,
        folder: &Folder,
        profile_key: &ProfileKey,
        guest: &Newborn<'_>,
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
            make_disk(guest.name, disk).await?;
        }
        let (folder, secret) = (folder.clone(), guest.secret.clone());
        blocking(move || write_files(&folder, &definition, &image_nvram, &secret))
            .await
            .map_err(|source| HypervisorError::io("write the files of guest", guest.name, source))
    }

    async fn image(&self, spec: &GuestSpec, format: DiskFormat) -> Result<Image, HypervisorError> {
        let (images, profile_key) = (Arc::clone(&self.images), spec.profile_key.clone());
        let image = blocking(move || images::current(&images, &profile_key, format))
            .await
            .map_err(|source| HypervisorError::io("find the image of guest", &spec.name, source))?;
        image.ok_or_else(|| HypervisorError::NoImage {
            name: spec.name.clone(),
            profile_key: spec.profile_key.clone(),
        })
    }

    /// The folder of a profile.
    pub fn profile_folder(&self, profile_key: &ProfileKey) -> PathBuf {
        self.profiles.join(profile_key.as_str())
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

async fn make_disk(name: &str, disk: &Disk) -> Result<(), HypervisorError> {
    let attempt = "make a disk of guest";
    let (origin, path) = (disk.origin.clone(), disk.path.clone());
    let Making::Layer { origin_format } = &disk.making else {
        return blocking(move || reflink::copy(&origin, &path))
            .await
            .map_err(|source| HypervisorError::io(attempt, name, source));
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
    program::call("qemu-img", &arguments, LAYER_TIMEOUT)
        .await
        .map(drop)
        .map_err(|source| HypervisorError::program(attempt, name, source))
}

/// Writes what QEMU and libvirt read beside the disks.
fn write_files(
    folder: &Folder,
    definition: &Definition,
    image_nvram: &Path,
    secret: &Secret,
) -> io::Result<()> {
    write_private(&folder.secret_path(), secret.expose().as_bytes())?;
    write_private(&folder.definition_path(), &definition.xml)?;
    // Whoever writes to it for libvirt would make it, and as root; we want to read it.
    write_private(&folder.console_path(), b"")?;
    let below = definition.disks.iter().filter_map(Disk::below);
    folder.note_disks(&below.collect::<Vec<_>>())?;
    let Some(nvram) = &definition.nvram else {
        return Ok(());
    };
    let template = match image_nvram.try_exists()? {
        true => Some(image_nvram),
        false => nvram.template.as_deref(),
    };
    match template {
        Some(template) => fs::copy(template, &nvram.path).map(drop),
        // libvirt makes it from the firmware's own template.
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
