//! The monitor's memory across restarts: one snapshot of its intent, on disk.
//!
//! Owns the data directory's lock and how a snapshot gets onto the disk whole, or not at all. Never
//! knows what is in a snapshot, and never decides what to do when the disk fails: it says so.
//!
//! ```text
//! <data directory>/monitor.lock        held for as long as a `Store` lives: one monitor at a time
//!                  monitor.state       the last snapshot that is whole
//!                  monitor.state.new   the one being written; without a meaning after a crash
//! ```

mod disk;
mod error;
mod queue;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc, thread};

use tokio::sync::oneshot;

use disk::Directory;
pub use disk::SNAPSHOT_SIZE_MAX;
pub use error::StoreError;
use queue::Queue;

/// A handle to the thread that writes. Cheap to clone; when the last one is dropped, what was
/// handed over is written, and only then is the directory unlocked.
#[derive(Clone)]
pub struct Store {
    writer: Arc<Writer>,
}

impl Store {
    /// Opens the data directory and returns the last snapshot, if there is one.
    ///
    /// A directory that does not exist is made, for its owner alone (0700); one that exists keeps
    /// its mode, as other programs may have been given access to it on purpose.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another monitor has it open; otherwise what the disk said, or
    /// that the snapshot is too large to be one.
    pub fn open(data_path: &Path) -> Result<(Self, Option<Vec<u8>>), StoreError> {
        let directory = Directory::open(data_path)?;
        let snapshot = directory.read()?;
        let queue = Arc::new(Queue::default());
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

    /// Hands a snapshot over; the future resolves when this or a later one is on disk. Snapshots
    /// that arrive while one is being written are written as one: the latest.
    ///
    /// The snapshot has its place in line **when this function returns**, not when the future is
    /// first polled. So call it under the lock that the snapshot was made under, and await after
    /// letting go of the lock: otherwise an older snapshot could replace a newer one.
    ///
    /// # Errors
    /// Whatever kept the snapshot from the disk. Everybody who waits for the same write gets it.
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

/// The thread and the way to it. There is one per open directory.
struct Writer {
    queue: Arc<Queue>,
    /// Always there, until it is joined.
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that writes the monitor's state has panicked");
        }
    }
}

fn write_until_closed(queue: &Queue, directory: &Directory) {
    while let Some(batch) = queue.next() {
        let outcome = directory.write(&batch.snapshot);
        for waiter in batch.waiters {
            // Whoever asked may have given up; what it asked for has been done all the same.
            let _ = waiter.send(outcome.clone());
        }
    }
}
