//! The folder of a guest: its disks, its definition and its secret.
//!
//! Responsible for the names below `virtual/`, and that a folder is moved aside before it is removed.
//! Does not call libvirt. All functions block.
//!
//! ```text
//! virtual/<name>/guest.xml       the definition
//!                disk-<n>.qcow2  an overlay of the image, or of another disk of the profile
//!                disk-<n>.raw    a copy of the image, if that is a raw disk
//!                nvram.fd        the firmware's variables
//!                below           the backing files of these overlays, one per line
//!                secret          the guest's secret, which its firmware may show to it
//!                config.iso      the CD-ROM with the configuration of a build
//!                console.log     its output, if its definition has a serial port of type `file`
//!                disk.<format>   of a guest that builds an image: the future image
//! virtual/.ended-<name>/         the same, moved aside to be removed
//! ```
//!
//! QEMU may run as another user, so the folders are executable for all users, and libvirt changes the
//! owner of the files that QEMU needs. Only the monitor's user has access to the others.

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

/// Prefix of the folder of a guest that has ended. No guest's name begins with a dot.
const ENDED_PREFIX: &str = ".ended-";
/// The file that lists the backing files of a guest's disks.
const BACKING_FILES_NAME: &str = "below";

/// The paths of a guest.
#[derive(Clone, Debug)]
pub struct Folder {
    name: String,
    root: PathBuf,
}

impl Folder {
    pub fn new(root: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            root: root.to_owned(),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    pub fn definition_path(&self) -> PathBuf {
        self.path().join("guest.xml")
    }

    pub fn secret_path(&self) -> PathBuf {
        self.path().join("secret")
    }

    /// The guest's output, if its definition has a serial port of type `file`.
    pub fn console_path(&self) -> PathBuf {
        self.path().join("console.log")
    }

    /// The folder with the folders of all guests.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Records the backing files of the guest's disks, which [`backing_files`] returns for all guests.
    pub fn record_backing_files(&self, disks: &[&Path]) -> io::Result<()> {
        let lines: Vec<_> = disks.iter().map(|disk| disk.as_os_str()).collect();
        let lines = lines.join(OsStr::new("\n"));
        write_private(
            &self.path().join(BACKING_FILES_NAME),
            lines.as_encoded_bytes(),
        )
    }

    /// Creates the folder. False if it exists already, or was moved aside and not removed yet.
    pub fn create(&self) -> io::Result<bool> {
        if self.ended_path().try_exists()? {
            return Ok(false);
        }
        match DirBuilder::new().mode(0o711).create(self.path()) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            created => created.map(|()| true),
        }
    }

    /// Moves the folder aside, so that nothing is started from it any more. Does nothing if it has been
    /// moved, or does not exist.
    pub fn retire(&self) -> io::Result<()> {
        let from = self.path();
        if from.try_exists()? {
            // Names are used once, so a folder here is from a removal that a crash interrupted.
            unless_missing(fs::remove_dir_all(self.ended_path()))?;
            fs::rename(from, self.ended_path())?;
        }
        Ok(())
    }

    /// Removes the folder that was moved aside.
    pub fn remove(&self) -> io::Result<()> {
        unless_missing(fs::remove_dir_all(self.ended_path()))
    }

    fn ended_path(&self) -> PathBuf {
        self.root.join(format!("{ENDED_PREFIX}{}", self.name))
    }
}

/// The recorded backing files of the disks of all guests.
pub fn backing_files(root: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(root)? {
        match fs::read(entry?.path().join(BACKING_FILES_NAME)) {
            Ok(list) => files.extend(
                list.split(|byte| *byte == b'\n')
                    .map(|line| PathBuf::from(OsStr::from_bytes(line))),
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
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

/// Creates the folder for all guests, and returns its path, absolute and without symbolic links: QEMU
/// has another working directory.
pub fn create_root(data_path: &Path) -> io::Result<PathBuf> {
    let root = root(data_path);
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(&root)?;
    root.canonicalize()
}

/// Whether any guest has a folder. True if the disk cannot be read.
pub fn has_guests(data_path: &Path) -> bool {
    match fs::read_dir(root(data_path)) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != ErrorKind::NotFound,
    }
}

fn root(data_path: &Path) -> PathBuf {
    data_path.join("virtual")
}

/// The names of all guests in the namespace that have a folder, including those moved aside.
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

/// Treats "not found" as success, as when something is to be removed.
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
    fn a_folder_can_be_created_again_only_after_its_removal() {
        let data = tempfile::tempdir().unwrap();
        assert!(!has_guests(data.path()));
        let root = create_root(data.path()).unwrap();
        assert!(!has_guests(data.path()));
        let namespace = Namespace::new("ci-runner").unwrap();
        let folder = Folder::new(&root, "ci-runner-a.1");
        assert!(folder.create().unwrap());
        assert!(!folder.create().unwrap());
        assert!(has_guests(data.path()));

        for _ in 0..2 {
            folder.retire().unwrap();
            assert!(!folder.path().exists());
            assert!(!folder.create().unwrap(), "its remains exist");
            assert_eq!(
                names(&root, &namespace).unwrap(),
                ["ci-runner-a.1".to_owned()].into()
            );
        }
        for _ in 0..2 {
            folder.remove().unwrap();
            assert_eq!(names(&root, &namespace).unwrap(), [].into());
        }
        assert!(folder.create().unwrap());
    }

    #[test]
    fn names_are_those_in_the_namespace() {
        let data = tempfile::tempdir().unwrap();
        let root = create_root(data.path()).unwrap();
        fs::create_dir(root.join("ci-template-a")).unwrap();
        fs::create_dir(root.join(".ended-other")).unwrap();
        fs::write(root.join("ci-runner-a.1"), "").unwrap();
        let namespace = Namespace::new("ci-runner").unwrap();
        assert_eq!(names(&root, &namespace).unwrap(), [].into());
    }
}
