//! The line before the writer: the latest snapshot, and everybody who waits for it.
//!
//! Owns the order in which snapshots replace each other. Never touches the disk. However many
//! snapshots are handed over during one write, only the latest is kept in memory.

use std::mem;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{disk::SNAPSHOT_SIZE_MAX, error::StoreError};

/// Most callers that may wait at once. Reached only when the disk hangs.
pub const WAITER_COUNT_MAX: usize = 10_000;

/// Who waits, and where the outcome goes.
pub type Waiter = oneshot::Sender<Result<(), StoreError>>;

/// One write: the snapshot, and all who are satisfied by it.
pub struct Batch {
    pub snapshot: Vec<u8>,
    pub waiters: Vec<Waiter>,
}

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The latest snapshot that nobody has begun to write.
    snapshot: Option<Vec<u8>>,
    waiters: Vec<Waiter>,
    is_closed: bool,
}

impl Queue {
    /// Puts a snapshot in the place of the one that waits, if one does.
    pub fn push(&self, snapshot: Vec<u8>, waiter: Waiter) -> Result<(), StoreError> {
        let size = snapshot.len() as u64;
        if size > SNAPSHOT_SIZE_MAX {
            return Err(StoreError::TooLarge { size });
        }
        let mut state = self.state.lock();
        if state.waiters.len() >= WAITER_COUNT_MAX {
            return Err(StoreError::Overloaded);
        }
        state.snapshot = Some(snapshot);
        state.waiters.push(waiter);
        self.changed.notify_one();
        Ok(())
    }

    /// Blocks until there is something to write. None once the queue is closed and empty.
    pub fn next(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        loop {
            if let Some(snapshot) = state.snapshot.take() {
                let waiters = mem::take(&mut state.waiters);
                return Some(Batch { snapshot, waiters });
            }
            if state.is_closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Lets `next` end once everything has been taken.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_snapshot_answers_everybody_who_waits() {
        let queue = Queue::default();
        for snapshot in ["first", "second", "third"] {
            let pushed = queue.push(snapshot.into(), oneshot::channel().0);
            assert!(pushed.is_ok(), "{snapshot}");
        }
        let batch = queue.next().unwrap();
        assert_eq!(batch.snapshot, b"third");
        assert_eq!(batch.waiters.len(), 3);
    }

    #[test]
    fn a_closed_queue_first_gives_out_what_it_holds() {
        let queue = Queue::default();
        queue.push(b"last".into(), oneshot::channel().0).unwrap();
        queue.close();
        assert_eq!(queue.next().unwrap().snapshot, b"last");
        assert!(queue.next().is_none());
    }

    #[test]
    fn a_line_that_is_full_refuses_and_keeps_what_it_has() {
        let queue = Queue::default();
        for _ in 0..WAITER_COUNT_MAX {
            queue.push(b"kept".into(), oneshot::channel().0).unwrap();
        }
        let refusal = queue
            .push(b"refused".into(), oneshot::channel().0)
            .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "keep a snapshot: 10000 are waiting for the disk already"
        );
        assert!(refusal.is_transient());
        assert_eq!(queue.next().unwrap().snapshot, b"kept");
    }

    #[test]
    fn a_snapshot_beyond_the_limit_is_refused() {
        let size = SNAPSHOT_SIZE_MAX + 1;
        let refusal = Queue::default()
            .push(vec![0; size as usize], oneshot::channel().0)
            .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "keep a snapshot of 67108865 bytes: at most 67108864 are allowed"
        );
        assert!(!refusal.is_transient());
    }
}
