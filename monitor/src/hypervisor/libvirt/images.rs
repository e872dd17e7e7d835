//! The images of profiles: the disks that runners begin with.
//!
//! Owns where they lie and which one is current. Never changes one.
//!
//! ```text
//! images/<profile_key>/<name>/disk.qcow2   what a runner's first disk is a layer upon
//!                             nvram.fd     the firmware's variables, where there are any
//! ```
//!
//! The last by name is current; a name that begins with the date makes that the newest. A folder
//! gets its name only once all in it is complete, by being renamed from one that begins with a dot.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use shared::values::ProfileKey;

/// One image, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    folder: PathBuf,
}

impl Image {
    /// The disk, in the format qcow2.
    pub fn disk(&self) -> PathBuf {
        self.folder.join("disk.qcow2")
    }

    /// The firmware's variables; there need not be any.
    pub fn nvram(&self) -> PathBuf {
        self.folder.join("nvram.fd")
    }
}

/// The folder of all images.
pub fn root(data_path: &Path) -> PathBuf {
    data_path.join("images")
}

/// The current image of a profile, if it has one. Blocks.
pub fn current(images: &Path, profile_key: &ProfileKey) -> io::Result<Option<Image>> {
    let entries = match fs::read_dir(images.join(profile_key.as_str())) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let mut newest: Option<PathBuf> = None;
    for entry in entries {
        let entry = entry?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden && entry.file_type()?.is_dir() {
            newest = newest.max(Some(entry.path()));
        }
    }
    Ok(newest.map(|folder| Image { folder }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_complete_image_is_current() {
        let images = tempfile::tempdir().unwrap();
        let linux: ProfileKey = "linux".parse().unwrap();
        let current = || super::current(images.path(), &linux).unwrap();
        assert_eq!(current(), None);
        let folder = images.path().join("linux");
        for name in ["2026-02-01", "2026-11-23", "2026-03-01", ".2027-01-01"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::write(folder.join("readme"), "").unwrap();
        let image = current().unwrap();
        assert_eq!(image.disk(), folder.join("2026-11-23/disk.qcow2"));
        assert_eq!(image.nvram(), folder.join("2026-11-23/nvram.fd"));
    }
}
