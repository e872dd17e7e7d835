//! The queue of the writer thread: the latest snapshot, and the callers that wait for its write.
//!
//! Responsible for the order in which snapshots replace each other: of all that arrive during one
//! write, only the latest is kept. Does not touch the disk.

use std::mem;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{
    error::StoreError,
    limits::{SNAPSHOT_SIZE_MAX, WAITER_COUNT_MAX},
};

/// A caller that waits for the outcome of a write.
pub type Waiter = oneshot::Sender<Result<(), StoreError>>;

/// One write: the snapshot, and all callers that wait for it.
pub struct Batch {
    pub snapshot: Vec<u8>,
    pub waiters: Vec<Waiter>,
}

#[derive(Default)]
pub struct WriteQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The latest snapshot whose write has not begun.
    snapshot: Option<Vec<u8>>,
    waiters: Vec<Waiter>,
    is_closed: bool,
}

impl WriteQueue {
    /// Replaces the waiting snapshot, if there is one.
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

    /// Blocks until there is a snapshot to write. None once the queue is closed and empty.
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

    /// Makes `next` return None once the queue is empty.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_write_of_the_latest_snapshot_completes_all_waiting_calls() {
        let queue = WriteQueue::default();
        for snapshot in ["first", "second", "third"] {
            let pushed = queue.push(snapshot.into(), oneshot::channel().0);
            assert!(pushed.is_ok(), "{snapshot}");
        }
        let batch = queue.next().unwrap();
        assert_eq!(batch.snapshot, b"third");
        assert_eq!(batch.waiters.len(), 3);
    }

    #[test]
    fn a_closed_queue_still_returns_its_snapshot() {
        let queue = WriteQueue::default();
        queue.push(b"last".into(), oneshot::channel().0).unwrap();
        queue.close();
        assert_eq!(queue.next().unwrap().snapshot, b"last");
        assert!(queue.next().is_none());
    }

    #[test]
    fn a_full_queue_refuses_snapshots_and_keeps_the_earlier_one() {
        let queue = WriteQueue::default();
        for _ in 0..WAITER_COUNT_MAX {
            queue.push(b"kept".into(), oneshot::channel().0).unwrap();
        }
        let refusal = queue
            .push(b"refused".into(), oneshot::channel().0)
            .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "save a snapshot: 10000 callers wait for the disk already"
        );
        assert!(refusal.is_transient());
        assert_eq!(queue.next().unwrap().snapshot, b"kept");
    }

    #[test]
    fn a_snapshot_beyond_the_limit_is_refused() {
        let size = SNAPSHOT_SIZE_MAX + 1;
        let refusal = WriteQueue::default()
            .push(vec![0; size as usize], oneshot::channel().0)
            .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "save a snapshot of 67108865 bytes: at most 67108864 are allowed"
        );
        assert!(!refusal.is_transient());
    }
}
