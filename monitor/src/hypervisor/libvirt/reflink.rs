//! Copies of files that share their blocks until one of them is written to.
//!
//! Owns that such a copy shares or fails. A disk that was copied whole instead, in silence, would take
//! minutes for each runner and as much space as all of them together.

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

/// As much as any file system shares at a time.
const BLOCK: [u8; 4096] = [1; 4096];

/// Makes a new file, which only we may read, that begins as a copy of another. Blocks.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let from = File::open(from)?;
    let to = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(to)?;
    Ok(ioctl_ficlone(to, from)?)
}

/// Whether files in a folder can share blocks. It is tried, with files that have no name, so that
/// nothing of it is ever left. Blocks.
pub fn is_possible_in(folder: &Path) -> io::Result<bool> {
    let nameless = || -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(open(folder, flags, Mode::RUSR | Mode::WUSR)?.into())
    };
    let (mut from, to) = (nameless()?, nameless()?);
    from.write_all(&BLOCK)?;
    match ioctl_ficlone(to, from) {
        // ioctl_ficlone(2) has more than one way to say that a file system has no such call.
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::NOSYS) => Ok(false),
        outcome => Ok(outcome.map(|()| true)?),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// Whatever file system the tests run on, both say the same of it.
    #[test]
    fn a_copy_shares_its_blocks_or_fails() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, BLOCK).unwrap();
        let is_possible = is_possible_in(folder.path()).unwrap();
        assert_eq!(copy(&from, &to).is_ok(), is_possible);
        // Where it is not possible, a file is left over that is empty: nothing was copied.
        let expected = if is_possible { &BLOCK[..] } else { &[] };
        assert_eq!(fs::read(&to).unwrap(), expected);
        let mode = fs::metadata(&to).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(copy(&from, &to).is_err(), "never upon another file");
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 2);
    }

    #[test]
    fn nothing_is_known_about_a_folder_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error = is_possible_in(&missing).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
