//! Copies of files that share their blocks until one of them is written (reflinks).
//!
//! Guarantees that a copy shares blocks or fails. A silent fallback to a full copy would take minutes
//! and the size of a disk for each runner.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, ioctl_ficlone, open},
    io::Errno,
};

/// The unit in which file systems share.
const BLOCK: [u8; 4096] = [1; 4096];

/// Creates a file, readable for the monitor's user only, as a copy of another. Blocks.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let from = File::open(from)?;
    let to = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(to)?;
    Ok(ioctl_ficlone(to, from)?)
}

/// Whether files in a folder can share blocks. Tries it, with files that have no name and so leave
/// nothing behind. Blocks.
pub fn is_possible_in(folder: &Path) -> io::Result<bool> {
    let nameless = || -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(open(folder, flags, Mode::RUSR | Mode::WUSR)?.into())
    };
    let (mut from, to) = (nameless()?, nameless()?);
    from.write_all(&BLOCK)?;
    match ioctl_ficlone(to, from) {
        // The errors by which ioctl_ficlone(2) reports that a file system cannot do it.
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::NOSYS) => Ok(false),
        outcome => Ok(outcome.map(|()| true)?),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// On every file system that the tests may run on, both functions agree.
    #[test]
    fn a_copy_shares_its_blocks_or_fails() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, BLOCK).unwrap();
        let is_possible = is_possible_in(folder.path()).unwrap();
        assert_eq!(copy(&from, &to).is_ok(), is_possible);
        // If it is not possible, an empty file is left: nothing was copied.
        let expected = if is_possible { &BLOCK[..] } else { &[] };
        assert_eq!(fs::read(&to).unwrap(), expected);
        let mode = fs::metadata(&to).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(copy(&from, &to).is_err(), "must not overwrite a file");
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 2);
    }

    #[test]
    fn a_folder_that_does_not_exist_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = is_possible_in(&missing).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
