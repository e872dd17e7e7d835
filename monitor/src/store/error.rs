//! Errors of the store. Their texts are fragments that follow "failed to".

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::limits::{SNAPSHOT_SIZE_MAX, WAITER_COUNT_MAX};

/// Why the data directory could not be opened, or a snapshot not be saved.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Two monitors with the same directory would overwrite each other's state.
    #[error("lock {path}: another monitor is using this data directory")]
    InUse { path: PathBuf },
    /// Another machine may still use what the directory describes.
    #[error(
        "use the data directory: {path} shows that it was copied from another machine, whose runners must \
         not be touched from here; start with an empty data directory, or, if this machine has replaced \
         that one, delete this file and start again"
    )]
    OtherHost {
        /// The file that names the machine.
        path: PathBuf,
    },
    #[error("{action} {path}")]
    Io {
        /// A verb that takes the path.
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// It is not replaced by itself: without the ids in it, runners could get those of others.
    #[error(
        "read {path}: its checksum does not fit its content, so it was damaged or edited; restore it from a \
         backup or, to start with an empty pool, move it away"
    )]
    Damaged { path: PathBuf },
    #[error("save a snapshot of {size} bytes: at most {SNAPSHOT_SIZE_MAX} are allowed")]
    TooLarge { size: u64 },
    /// The disk has not finished a write for so long that the queue is full.
    #[error("save a snapshot: {WAITER_COUNT_MAX} callers wait for the disk already")]
    Overloaded,
    /// The store is closed, or the writer thread has panicked.
    #[error("save a snapshot: the writer thread has ended")]
    WriterEnded,
}

impl StoreError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    /// Whether the same call may succeed later without a change to the program or its settings: disk
    /// space can become free.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io { .. } | Self::Overloaded => true,
            Self::InUse { .. }
            | Self::Damaged { .. }
            | Self::OtherHost { .. }
            | Self::TooLarge { .. }
            | Self::WriterEnded => false,
        }
    }
}
