//! A guest's folder: its disks, its definition, its secret.
//!
//! Owns the names below `virtual/`, and that a folder is moved aside before it is removed. Never
//! asks libvirt anything. Everything here blocks.
//!
//! ```text
//! virtual/<name>/guest.xml       the definition
//!                disk-<n>.qcow2  a layer upon the image, or upon another disk of the profile
//!                disk-<n>.raw    a copy of the image, where that is a raw disk
//!                nvram.fd        the firmware's variables
//!                below           the disks that these are layers upon, one on each line
//!                secret          what it proves itself with, if its firmware shows it that
//!                config.iso      the CD-ROM with the configuration of a build
//!                console.log     what it says, if its definition has a serial port of type `file`
//!                disk.<format>   of a guest that builds an image: what will be the image
//! virtual/.ended-<name>/         the same, moved aside to be removed
//! ```
//!
//! QEMU may run as another user. It may pass through the folders, and libvirt gives it the files
//! that it needs; the rest is for the monitor's user alone.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use crate::hypervisor::namespace::Namespace;

/// What the folder of a guest that has ended begins with. No guest's name begins with a dot.
const ENDED_PREFIX: &str = ".ended-";
/// The file in which the disks below a guest's own are noted.
const DISKS_NOTE: &str = "below";

/// The paths of one guest.
#[derive(Clone, Debug)]
pub struct Folder {
    name: String,
    root: PathBuf,
}

impl Folder {
    /// Where the guest of that name has its place below `root`.
    pub fn new(root: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            root: root.to_owned(),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    /// The definition.
    pub fn definition_path(&self) -> PathBuf {
        self.path().join("guest.xml")
    }

    /// The secret.
    pub fn secret_path(&self) -> PathBuf {
        self.path().join("secret")
    }

    /// What the guest says, if its definition has a serial port of type `file`.
    pub fn console_path(&self) -> PathBuf {
        self.path().join("console.log")
    }

    /// The folder of all guests.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Notes the disks that the guest's own are layers upon.
    pub fn note_disks(&self, disks: &[&Path]) -> io::Result<()> {
        let lines: Vec<_> = disks.iter().map(|disk| disk.as_os_str()).collect();
        let lines = lines.join(OsStr::new("\n"));
        write_private(&self.path().join(DISKS_NOTE), lines.as_encoded_bytes())
    }

    /// Makes the folder. False if there is one already, or one that has been moved aside.
    pub fn make(&self) -> io::Result<bool> {
        if self.ended_path().try_exists()? {
            return Ok(false);
        }
        match DirBuilder::new().mode(0o711).create(self.path()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            made => made.map(|()| true),
        }
    }

    /// Moves the folder aside, so that nothing is started from it any more. Nothing happens if it
    /// has been moved, or never was.
    pub fn retire(&self) -> io::Result<()> {
        let from = self.path();
        if from.try_exists()? {
            // Names are used once, so this is only what a crash left of a removal.
            unless_missing(fs::remove_dir_all(self.ended_path()))?;
            fs::rename(from, self.ended_path())?;
        }
        Ok(())
    }

    /// Removes the folder that has been moved aside.
    pub fn remove(&self) -> io::Result<()> {
        unless_missing(fs::remove_dir_all(self.ended_path()))
    }

    fn ended_path(&self) -> PathBuf {
        self.root.join(format!("{ENDED_PREFIX}{}", self.name))
    }
}

/// The disks that layers of guests are upon, as far as it was noted.
pub fn disks_in_use(root: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut disks = BTreeSet::new();
    for entry in fs::read_dir(root)? {
        match fs::read(entry?.path().join(DISKS_NOTE)) {
            Ok(note) => disks.extend(
                note.split(|byte| *byte == b'\n')
                    .map(|line| PathBuf::from(OsStr::from_bytes(line))),
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(disks)
}

/// Writes a file that only the monitor's user may read.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?
        .write_all(content)
}

/// Makes the folder that holds those of all guests, and returns its path, absolute and without
/// links: QEMU has another working directory.
pub fn make_root(data_path: &Path) -> io::Result<PathBuf> {
    let root = root(data_path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(&root)?;
    root.canonicalize()
}

/// Whether there is a folder of any guest. In doubt there is.
pub fn has_guests(data_path: &Path) -> bool {
    match fs::read_dir(root(data_path)) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

fn root(data_path: &Path) -> PathBuf {
    data_path.join("virtual")
}

/// The names of all guests of ours that have a folder, be it one that waits to be removed.
pub fn names(root: &Path, namespace: &Namespace) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let name = file_name
            .to_str()
            .map(|name| name.strip_prefix(ENDED_PREFIX).unwrap_or(name))
            .filter(|name| namespace.contains(name));
        if let Some(name) = name
            && entry.file_type()?.is_dir()
        {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

/// Not to find something is as good as having removed it.
pub fn unless_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_until_nothing_of_it_is_left() {
        let data = tempfile::tempdir().unwrap();
        assert!(!has_guests(data.path()));
        let root = make_root(data.path()).unwrap();
        assert!(!has_guests(data.path()));
        let namespace = Namespace::new("ci-runner").unwrap();
        let folder = Folder::new(&root, "ci-runner-a.1");
        assert!(folder.make().unwrap());
        assert!(!folder.make().unwrap());
        assert!(has_guests(data.path()));

        for _ in 0..2 {
            folder.retire().unwrap();
            assert!(!folder.path().exists());
            assert!(!folder.make().unwrap(), "its remains are in the way");
            assert_eq!(
                names(&root, &namespace).unwrap(),
                ["ci-runner-a.1".to_owned()].into()
            );
        }
        for _ in 0..2 {
            folder.remove().unwrap();
            assert_eq!(names(&root, &namespace).unwrap(), [].into());
        }
        assert!(folder.make().unwrap());
    }

    #[test]
    fn folders_of_other_names_are_not_ours() {
        let data = tempfile::tempdir().unwrap();
        let root = make_root(data.path()).unwrap();
        fs::create_dir(root.join("ci-template-a")).unwrap();
        fs::create_dir(root.join(".ended-other")).unwrap();
        fs::write(root.join("ci-runner-a.1"), "").unwrap();
        let namespace = Namespace::new("ci-runner").unwrap();
        assert_eq!(names(&root, &namespace).unwrap(), [].into());
    }
}
