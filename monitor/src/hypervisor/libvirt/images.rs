//! The images of profiles: the disks from which the disks of runners are made.
//!
//! Responsible for where they are and which one is current. An image never changes.
//!
//! ```text
//! images/<profile_key>/<name>/disk.qcow2   the backing file of runners' disks; or disk.raw, of which
//!                                          runners get copies
//!                             nvram.fd     the firmware's variables, if there are any
//! ```
//!
//! The current image is the last by name among those with a disk in the profile's format; names begin
//! with the date, so it is the newest. A folder is renamed to its name, from one that begins with a
//! dot, once its content is complete.

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use shared::{settings::DiskFormat, values::ProfileKey};

use super::folder::{self, Folder, unless_missing};

/// How many images of a profile are kept, the current one included.
const KEPT_COUNT: usize = 3;

/// A complete image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    folder: PathBuf,
    format: DiskFormat,
}

/// File name of the disk of an image, in its folder and where it is built.
pub fn disk_name(format: DiskFormat) -> String {
    format!("disk.{}", format.as_str())
}

impl Image {
    pub fn disk(&self) -> PathBuf {
        self.folder.join(disk_name(self.format))
    }

    /// The firmware's variables; the file may be missing.
    pub fn nvram(&self) -> PathBuf {
        self.folder.join("nvram.fd")
    }

    /// When it was complete: the time in its name, or else the modification time of its folder.
    pub fn built_at(&self) -> io::Result<SystemTime> {
        let name = self.folder.file_name().and_then(|name| name.to_str());
        match name.and_then(time_in) {
            Some(built_at) => Ok(built_at),
            None => fs::metadata(&self.folder)?.modified(),
        }
    }
}

/// The name of an image that was complete at this time, such as `2026-11-23T21-12-45Z`.
pub fn image_name(built_at: SystemTime) -> String {
    let time = humantime::format_rfc3339_seconds(built_at).to_string();
    time.replace(':', "-")
}

fn time_in(name: &str) -> Option<SystemTime> {
    let (date, time) = name.split_once('T')?;
    humantime::parse_rfc3339(&format!("{date}T{}", time.replace('-', ":"))).ok()
}

/// The folder of all images.
pub fn root(data_path: &Path) -> PathBuf {
    data_path.join("images")
}

/// The current image of a profile with a disk in that format, if there is one. Blocks.
pub fn current(
    images: &Path,
    profile_key: &ProfileKey,
    format: DiskFormat,
) -> io::Result<Option<Image>> {
    let newest_first = complete(&images.join(profile_key.as_str()))?
        .into_iter()
        .rev();
    for image in newest_first.map(|folder| Image { folder, format }) {
        if image.disk().try_exists()? {
            return Ok(Some(image));
        }
    }
    Ok(None)
}

/// The folders of all complete images of a profile.
fn complete(profile: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let entries = match fs::read_dir(profile) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries?,
    };
    let mut folders = BTreeSet::new();
    for entry in entries {
        let entry = entry?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden && entry.file_type()?.is_dir() {
            folders.insert(entry.path());
        }
    }
    Ok(folders)
}

/// Makes the disk that a guest has built the current image of its profile, and removes old images.
/// Blocks.
pub fn promote(
    images: &Path,
    profile_key: &ProfileKey,
    format: DiskFormat,
    image_name: &str,
    built: &Folder,
) -> io::Result<()> {
    let profile = images.join(profile_key.as_str());
    let new = Image {
        folder: profile.join(".new"),
        format,
    };
    unless_missing(fs::remove_dir_all(&new.folder))?;
    fs::create_dir_all(&new.folder)?;
    let disk = built.path().join(disk_name(format));
    // Flushed before it gets its name: a power failure must not leave an incomplete image.
    File::open(&disk)?.sync_all()?;
    fs::rename(disk, new.disk())?;
    unless_missing(fs::rename(built.path().join("nvram.fd"), new.nvram()))?;
    seal(&new.disk())?;
    File::open(&new.folder)?.sync_all()?;
    fs::rename(&new.folder, profile.join(image_name))?;
    File::open(&profile)?.sync_all()?;
    prune(&profile, built)
}

/// Makes a disk read-only, for all users: QEMU reads it as another user.
fn seal(disk: &Path) -> io::Result<()> {
    match fs::set_permissions(disk, Permissions::from_mode(0o444)) {
        // libvirt changed the owner to QEMU's user while the guest ran, and where it could not record
        // the former owner, to root after that. The monitor's user then cannot write to it either.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        sealed => sealed,
    }
}

/// Removes all but the newest images, except those that are backing files of a guest's disk.
fn prune(profile: &Path, built: &Folder) -> io::Result<()> {
    let mut folders = complete(profile)?;
    for _ in 0..KEPT_COUNT {
        folders.pop_last();
    }
    let in_use = folder::backing_files(built.root())?;
    for folder in folders {
        if !in_use.iter().any(|disk| disk.starts_with(&folder)) {
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_complete_image_is_current() {
        let images = tempfile::tempdir().unwrap();
        let linux: ProfileKey = "linux".parse().unwrap();
        let current = |format| super::current(images.path(), &linux, format).unwrap();
        assert_eq!(current(DiskFormat::Qcow2), None);
        let folder = images.path().join("linux");
        for (name, disk) in [
            ("2026-02-01", "disk.raw"),
            ("2026-11-23", "disk.qcow2"),
            ("2026-03-01", "disk.qcow2"),
            ("2026-12-01", "other"),
            (".2027-01-01", "disk.qcow2"),
        ] {
            fs::create_dir_all(folder.join(name)).unwrap();
            fs::write(folder.join(name).join(disk), "").unwrap();
        }
        fs::write(folder.join("readme"), "").unwrap();
        let image = current(DiskFormat::Qcow2).unwrap();
        assert_eq!(image.disk(), folder.join("2026-11-23/disk.qcow2"));
        assert_eq!(image.nvram(), folder.join("2026-11-23/nvram.fd"));
        let image = current(DiskFormat::Raw).unwrap();
        assert_eq!(image.disk(), folder.join("2026-02-01/disk.raw"));
    }

    #[test]
    fn the_age_of_an_image_is_that_of_its_name_or_else_of_its_folder() {
        let images = tempfile::tempdir().unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_468_365);
        assert_eq!(image_name(time), "2026-11-23T21-12-45Z");
        for (name, is_in_name) in [("2026-11-23T21-12-45Z", true), ("2026-11-23", false)] {
            let folder = images.path().join(name);
            fs::create_dir(&folder).unwrap();
            let changed_at = fs::metadata(&folder).unwrap().modified().unwrap();
            let expected = if is_in_name { time } else { changed_at };
            let format = DiskFormat::Qcow2;
            let image = Image { folder, format };
            assert_eq!(image.built_at().unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn a_built_disk_becomes_current_and_old_images_are_removed_unless_in_use() {
        let data = tempfile::tempdir().unwrap();
        let (images, linux) = (data.path().join("images"), "linux".parse().unwrap());
        let root = folder::create_root(data.path()).unwrap();
        let runner = Folder::new(&root, "ci-runner-linux.1");
        assert!(runner.create().unwrap());
        let built = Folder::new(&root, "ci-rebuild-linux");
        for number in 1..=6 {
            assert!(built.create().unwrap());
            // Images of both formats count towards the limit.
            let format = match number {
                5 => DiskFormat::Raw,
                _ => DiskFormat::Qcow2,
            };
            fs::write(built.path().join(disk_name(format)), number.to_string()).unwrap();
            promote(&images, &linux, format, &format!("2026-0{number}"), &built).unwrap();
            let image = current(&images, &linux, format).unwrap().unwrap();
            let disk = fs::read_to_string(image.disk()).unwrap();
            assert_eq!(disk, number.to_string());
            if number == 2 {
                runner.record_backing_files(&[&image.disk()]).unwrap();
            }
            built.retire().unwrap();
            built.remove().unwrap();
        }
        let kept = complete(&images.join("linux")).unwrap();
        let kept: Vec<_> = kept.iter().filter_map(|it| it.file_name()).collect();
        assert_eq!(kept, ["2026-02", "2026-04", "2026-05", "2026-06"]);
    }
}
