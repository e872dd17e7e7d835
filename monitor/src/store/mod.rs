//! Persistence across restarts: one snapshot of the core's durable state, on disk.
//!
//! Responsible for the lock on the data directory, that it is not used on two machines, that snapshots
//! are written atomically, and that a damaged one is not read. Not responsible for the content of a snapshot, nor for what happens if the disk
//! fails: that is an error.
//!
//! ```text
//! <data directory>/monitor.lock        held for as long as a `Store` lives: one monitor at a time
//!                  monitor.host        which machine the directory belongs to
//!                  monitor.state       the last complete snapshot
//!                  monitor.state.new   the one being written; ignored after a crash
//! ```

mod checksum;
mod disk;
mod error;
mod host;
mod limits;
#[cfg(test)]
mod tests;
mod write_queue;

use std::{path::Path, sync::Arc, thread};

use tokio::sync::oneshot;

pub use checksum::{Damaged, with_checksum, without_checksum};
use disk::Directory;
pub use error::StoreError;
pub use limits::SNAPSHOT_SIZE_MAX;
use write_queue::WriteQueue;

/// A handle to the writer thread. Cheap to clone. When the last one is dropped, pending snapshots are
/// written, and then the directory is unlocked.
#[derive(Clone)]
pub struct Store {
    writer: Arc<Writer>,
}

impl Store {
    /// Opens the data directory and returns the last snapshot, if there is one.
    ///
    /// A directory that does not exist is created, with the mode 0711; one that exists keeps its mode,
    /// because other programs may have been given access to it on purpose.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another monitor has it open, [`StoreError::OtherHost`] if it is that of
    /// another machine; otherwise that the disk failed, or that the snapshot is too large.
    pub fn open(data_path: &Path) -> Result<(Self, Option<Vec<u8>>), StoreError> {
        let directory = Directory::open(data_path)?;
        host::claim(data_path, host::host_id().as_deref())?;
        let snapshot = directory.read()?;
        let queue = Arc::new(WriteQueue::default());
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn({
                let queue = Arc::clone(&queue);
                move || write_until_closed(&queue, &directory)
            })
            .map_err(|source| StoreError::io("start the writer of", data_path, source))?;
        let writer = Arc::new(Writer {
            queue,
            thread: Some(thread),
        });
        Ok((Self { writer }, snapshot))
    }

    /// Saves a snapshot. The future resolves when this or a later one is on disk: of the snapshots that
    /// arrive during a write, only the latest is written.
    ///
    /// The order of snapshots is that of the **calls of this function**, not of the first polls of the
    /// futures. So call it under the lock under which the snapshot was taken, and await after the lock
    /// is released: otherwise an older snapshot could replace a newer one.
    ///
    /// # Errors
    /// If the disk fails. All callers that wait for the same write get the same error.
    pub fn save(
        &self,
        snapshot: Vec<u8>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let (waiter, written) = oneshot::channel();
        let accepted = self.writer.queue.push(snapshot, waiter);
        async move {
            accepted?;
            written.await.unwrap_or(Err(StoreError::WriterEnded))
        }
    }
}

/// The writer thread and its queue, of which each open directory has one.
struct Writer {
    queue: Arc<WriteQueue>,
    /// None only while it is joined.
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that writes the monitor's state panicked");
        }
    }
}

fn write_until_closed(queue: &WriteQueue, directory: &Directory) {
    while let Some(batch) = queue.next() {
        let outcome = directory.write(&batch.snapshot);
        for waiter in batch.waiters {
            // The caller may be gone, as when its client closed the connection.
            let _ = waiter.send(outcome.clone());
        }
    }
}
