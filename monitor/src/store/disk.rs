//! The data directory: its lock, and the state file that is replaced atomically.
//!
//! Responsible for the order of write, flush and rename, on which crash safety depends. All functions
//! block; they are called by the writer thread and during the start.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{
    checksum::{Damaged, with_checksum, without_checksum},
    error::StoreError,
    limits::SNAPSHOT_SIZE_MAX,
};

/// The data directory, locked by this monitor.
pub struct Directory {
    path: PathBuf,
    /// The system unlocks it after a crash.
    lock: File,
}

impl Drop for Directory {
    fn drop(&mut self) {
        // To close the file is not enough: a child that is being started at this moment may have a
        // copy of the descriptor for a little longer.
        if let Err(error) = self.lock.unlock() {
            log::warn!("failed to unlock the data directory: {error}");
        }
    }
}

impl Directory {
    /// Creates the directory if necessary, and locks it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            // Virtual machines run as another user, which has to reach their disks.
            .mode(0o711)
            .create(path)
            .map_err(|source| StoreError::io("create the data directory", path, source))?;
        let lock_path = path.join("monitor.lock");
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|source| StoreError::io("open", &lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: lock_path }),
            Err(TryLockError::Error(source)) => Err(StoreError::io("lock", &lock_path, source)),
        }
    }

    /// The last complete snapshot, if there is one.
    pub fn read(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.state_path();
        let failed = |source| StoreError::io("read", &path, source);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let size = file.metadata().map_err(failed)?.len();
        if size > SNAPSHOT_SIZE_MAX + 128 {
            return Err(StoreError::TooLarge { size });
        }
        let mut snapshot = Vec::new();
        // The checksum makes the file a little longer than the snapshot.
        file.take(2 * SNAPSHOT_SIZE_MAX)
            .read_to_end(&mut snapshot)
            .map_err(failed)?;
        match without_checksum(snapshot) {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(Damaged) => Err(StoreError::Damaged { path }),
        }
    }

    /// Replaces the snapshot atomically: after a crash at any point, the old or the new one is complete.
    pub fn write(&self, snapshot: &[u8]) -> Result<(), StoreError> {
        let path = self.state_path();
        let temporary_path = self.path.join("monitor.state.new");
        write_through(&temporary_path, &with_checksum(snapshot)).map_err(|source| {
            // If the disk is full, this frees some of it.
            let _ = fs::remove_file(&temporary_path);
            StoreError::io("write", &temporary_path, source)
        })?;
        fs::rename(&temporary_path, &path)
            .map_err(|source| StoreError::io("replace", &path, source))?;
        // The rename is on disk only once the directory is flushed.
        File::open(&self.path)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| StoreError::io("flush", &self.path, source))
    }

    fn state_path(&self) -> PathBuf {
        self.path.join("monitor.state")
    }
}

/// Writes a file and flushes it. This comes before the rename, because otherwise a crash could leave the
/// new name with an empty file.
fn write_through(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_inherited_the_lock_file_does_not_keep_the_lock() {
        let data = tempfile::tempdir().unwrap();
        let directory = Directory::open(data.path()).unwrap();
        let copy = directory.lock.try_clone().unwrap();
        drop(directory);
        assert!(Directory::open(data.path()).is_ok());
        drop(copy);
    }
}
