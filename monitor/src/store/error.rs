//! What can go wrong between the monitor and its data directory.
//!
//! Owns the texts, which are fragments that fit after "failed to".

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{disk::SNAPSHOT_SIZE_MAX, queue::WAITER_COUNT_MAX};

/// Why the data directory could not be opened, or a snapshot not be kept.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Two monitors over one directory would undo each other's work.
    #[error("lock {path}: another monitor is using this data directory")]
    InUse {
        /// The file that is locked.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("{attempt} {path}")]
    Io {
        /// What was being done, as a verb that takes the path.
        attempt: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A snapshot far beyond what a monitor has to remember.
    #[error("keep a snapshot of {size} bytes: at most {SNAPSHOT_SIZE_MAX} are allowed")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// The disk has been silent for so long that the line behind it is full.
    #[error("keep a snapshot: {WAITER_COUNT_MAX} are waiting for the disk already")]
    Overloaded,
    /// The writer's thread is gone, which only a bug can cause.
    #[error("keep a snapshot: the thread that writes has ended")]
    WriterEnded,
}

impl StoreError {
    pub(super) fn io(attempt: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            attempt,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    /// Whether the same call may succeed later, with nobody having changed the program or its
    /// settings: a disk can get space or come back.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Overloaded => true,
            Self::InUse { .. } | Self::TooLarge { .. } | Self::WriterEnded => false,
        }
    }
}
