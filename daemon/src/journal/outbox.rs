//! The events that are still to be written: a bounded queue between those who record and the thread that
//! writes. What does not fit is dropped and counted.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};

use super::{JournalStatus, entry::Entry};

/// The most events that wait to be written.
const PENDING_MAX: usize = 10_000;
/// The most events that are written at once.
const BATCH_MAX: usize = 1000;

/// A bounded queue of events.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pending: Mutex<Pending>,
    /// Notified of new events, of written ones, and of the end.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    entries: VecDeque<Arc<Entry>>,
    status: JournalStatus,
    is_closed: bool,
}

impl Outbox {
    /// Adds an event, or drops it if too many wait already.
    pub fn push(&self, entry: Arc<Entry>) {
        let mut pending = self.pending.lock();
        if pending.entries.len() >= PENDING_MAX {
            pending.status.dropped_count += 1;
            return;
        }
        pending.entries.push_back(entry);
        if pending.entries.len() == 1 {
            self.changed.notify_all();
        }
    }

    /// The next events, which stay here until [`done`](Self::done) is called. Waits for one, at most for
    /// `timeout`, after which there are none. `None` after the end, once all are done.
    pub fn next_batch(&self, timeout: Duration) -> Option<Vec<Arc<Entry>>> {
        let mut pending = self.pending.lock();
        if pending.entries.is_empty() {
            if pending.is_closed {
                return None;
            }
            self.changed.wait_for(&mut pending, timeout);
        }
        Some(pending.entries.iter().take(BATCH_MAX).cloned().collect())
    }

    /// The first `count` events of the batch are written.
    pub fn done(&self, count: usize) {
        let mut pending = self.pending.lock();
        pending.entries.drain(..count);
        if count > 0 {
            pending.status.trouble = None;
        }
        self.changed.notify_all();
    }

    /// Nothing could be written, for this reason.
    pub fn fail(&self, error: String) {
        self.pending.lock().status.trouble = Some(error);
    }

    /// Old files have been removed, or could not be, for this reason.
    pub fn cleaned(&self, trouble: Option<String>) {
        self.pending.lock().status.cleaning_trouble = trouble;
    }

    /// Waits for `pause`, or until the end: `false`.
    pub fn pause(&self, pause: Duration) -> bool {
        let mut pending = self.pending.lock();
        let is_closed = |pending: &mut Pending| !pending.is_closed;
        self.changed.wait_while_for(&mut pending, is_closed, pause);
        !pending.is_closed
    }

    /// Whether events are written.
    pub fn status(&self) -> JournalStatus {
        self.pending.lock().status.clone()
    }

    /// Waits until all events are written, at most for `timeout`.
    pub fn flush(&self, timeout: Duration) {
        let mut pending = self.pending.lock();
        let has_more = |pending: &mut Pending| !pending.entries.is_empty();
        self.changed.wait_while_for(&mut pending, has_more, timeout);
    }

    /// Lets the thread that writes end once nothing is left.
    pub fn close(&self) {
        self.pending.lock().is_closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use shared::clock::Timestamp;

    use super::*;

    fn push(outbox: &Outbox, count: usize) {
        for _ in 0..count {
            outbox.push(Arc::new(Entry::new(Timestamp::default(), "event")));
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let outbox = Outbox::default();
        push(&outbox, PENDING_MAX + 3);
        assert_eq!(outbox.status().dropped_count, 3);
        let batch = outbox.next_batch(Duration::ZERO).unwrap();
        assert_eq!(batch.len(), BATCH_MAX);
        push(&outbox, 1);
        assert_eq!(outbox.status().dropped_count, 4, "it is not written yet");
        outbox.done(batch.len());
        push(&outbox, 1);
        assert_eq!(outbox.status().dropped_count, 4);
    }

    #[test]
    fn a_batch_that_is_not_done_is_returned_again() {
        let outbox = Outbox::default();
        push(&outbox, 3);
        assert_eq!(outbox.next_batch(Duration::ZERO).unwrap().len(), 3);
        outbox.fail("no space".to_owned());
        outbox.done(1);
        assert_eq!(outbox.status().trouble, None);
        assert_eq!(outbox.next_batch(Duration::ZERO).unwrap().len(), 2);
    }

    #[test]
    fn the_end_is_reached_when_everything_is_done() {
        let outbox = Outbox::default();
        push(&outbox, 1);
        outbox.close();
        assert_eq!(outbox.next_batch(Duration::ZERO).unwrap().len(), 1);
        assert!(!outbox.pause(Duration::from_secs(600)));
        outbox.done(1);
        outbox.flush(Duration::from_secs(600));
        assert_eq!(outbox.next_batch(Duration::ZERO), None);
    }
}
