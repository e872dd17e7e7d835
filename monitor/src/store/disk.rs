//! The data directory itself: its lock, and the one file that is replaced as a whole.
//!
//! Owns the order of write, flush and rename on which everything that survives a crash depends.
//! Blocks; called by the writer's thread and while the monitor starts.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::error::StoreError;

/// Largest snapshot, in bytes. A monitor's is some kilobytes.
pub const SNAPSHOT_SIZE_MAX: u64 = 64 << 20;

/// The data directory while this monitor has it to itself.
pub struct Directory {
    path: PathBuf,
    /// Locked; after a crash the system unlocks it.
    lock: File,
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing would do, were it not that a child being started at this moment may hold a copy
        // of the file for an instant longer.
        if let Err(error) = self.lock.unlock() {
            log::warn!("failed to unlock the data directory: {error}");
        }
    }
}

impl Directory {
    /// Makes the directory if need be, and locks it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            // Virtual machines run as another user, and pass through to their disks.
            .mode(0o711)
            .create(path)
            .map_err(|source| StoreError::io("make the data directory", path, source))?;
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

    /// The last snapshot that is whole, if there is one.
    pub fn read(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.state_path();
        let failed = |source| StoreError::io("read", &path, source);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let size = file.metadata().map_err(failed)?.len();
        if size > SNAPSHOT_SIZE_MAX {
            return Err(StoreError::TooLarge { size });
        }
        let mut snapshot = Vec::new();
        file.take(SNAPSHOT_SIZE_MAX)
            .read_to_end(&mut snapshot)
            .map_err(failed)?;
        Ok(Some(snapshot))
    }

    /// Replaces the snapshot. After a crash at any moment of this, the old one or the new one is
    /// there, and whole.
    pub fn write(&self, snapshot: &[u8]) -> Result<(), StoreError> {
        let path = self.state_path();
        let temporary_path = self.path.join("monitor.state.new");
        write_through(&temporary_path, snapshot).map_err(|source| {
            // A disk that is full should not stay so on our account.
            let _ = fs::remove_file(&temporary_path);
            StoreError::io("write", &temporary_path, source)
        })?;
        fs::rename(&temporary_path, &path)
            .map_err(|source| StoreError::io("replace", &path, source))?;
        // The rename itself is on disk only when the directory is.
        File::open(&self.path)
            .and_then(|directory| directory.sync_all())
            .map_err(|source| StoreError::io("flush", &self.path, source))
    }

    fn state_path(&self) -> PathBuf {
        self.path.join("monitor.state")
    }
}

/// Writes a file and waits until the disk has it. It must be there before it is renamed, or a
/// crash could leave the new name with nothing behind it.
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
    fn a_copy_of_the_lock_in_a_child_that_is_being_started_does_not_keep_it() {
        let data = tempfile::tempdir().unwrap();
        let directory = Directory::open(data.path()).unwrap();
        let copy = directory.lock.try_clone().unwrap();
        drop(directory);
        assert!(Directory::open(data.path()).is_ok());
        drop(copy);
    }
}
