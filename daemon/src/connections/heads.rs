//! How much memory the heads of requests have that have not ended yet.
//!
//! Every connection may have a head, and HTTP knows no limit for its length. So each has some kilobytes of
//! its own, which are enough for nearly all requests, and all together a few megabytes more.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// What a connection may receive of a head in any case, in bytes: four times the request of a client with
/// the longest ticket and token.
const OWN: usize = 8 << 10;
/// What all heads together may have beyond that, in bytes.
const SHARED: usize = 16 << 20;

/// What is left of the memory that heads share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct HeadMemory(Arc<AtomicUsize>);

impl Default for HeadMemory {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(SHARED)))
    }
}

/// The head that a connection is receiving.
#[derive(Debug)]
pub(super) struct Head {
    memory: HeadMemory,
    received: AtomicUsize,
}

impl Head {
    pub(super) fn new(memory: HeadMemory) -> Self {
        Self {
            memory,
            received: AtomicUsize::new(0),
        }
    }

    /// Whether there is memory for `count` more bytes, which then belongs to this head.
    pub(super) fn receive(&self, count: usize) -> bool {
        let before = self.received.load(Relaxed);
        let after = before + count;
        let more = beyond_own(after) - beyond_own(before);
        let take = |left: usize| left.checked_sub(more);
        let has_memory = self.memory.0.fetch_update(Relaxed, Relaxed, take).is_ok();
        if has_memory {
            self.received.store(after, Relaxed);
        }
        has_memory
    }

    /// Gives the memory back: the head is complete, or its connection has ended.
    pub(super) fn end(&self) {
        let received = self.received.swap(0, Relaxed);
        self.memory.0.fetch_add(beyond_own(received), Relaxed);
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.end();
    }
}

fn beyond_own(received: usize) -> usize {
    received.saturating_sub(OWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_heads_share_a_few_megabytes_and_short_ones_need_none_of_them() {
        let memory = HeadMemory::default();
        let head = || Head::new(memory.clone());
        let mut long: Vec<Head> = Vec::new();
        while long.len() < 1000 {
            let next = head();
            let is_whole = (0..25).all(|_| next.receive(4096));
            long.push(next);
            if !is_whole {
                break;
            }
        }
        // Each has 92 KiB beyond its own 8.
        assert_eq!(long.len(), (16 << 10) / 92 + 1);
        for _ in 0..1000 {
            let short = head();
            assert!(short.receive(4096) && short.receive(4096));
            assert!(!short.receive(92 << 10), "the rest is too little");
        }
        // A head that ends makes room for another.
        long[0].end();
        let next = head();
        assert!((0..25).all(|_| next.receive(4096)));
        drop(next);
        drop(long);
        assert_eq!(memory.0.load(Relaxed), SHARED);
    }

    #[test]
    fn each_request_of_a_connection_begins_anew() {
        let memory = HeadMemory::default();
        let head = Head::new(memory.clone());
        for _ in 0..10_000 {
            assert!(head.receive(100 << 10));
            head.end();
        }
        assert_eq!(memory.0.load(Relaxed), SHARED);
    }
}
