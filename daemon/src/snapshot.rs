//! Snapshots of a state, taken at most a few times a second, however often they are requested.
//!
//! Responsible for the age of a copy and for its invalidation. Not responsible for what is copied
//! or how it is rendered: pages and metrics render from the copy, so that no request holds the lock
//! of a core for longer than it takes to copy.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use shared::clock::Timestamp;

/// How old a copy may be that pages and metrics are rendered from.
pub const SNAPSHOT_AGE_MAX: Duration = Duration::from_millis(250);

/// The last copy of a state, shared by all requests until it is too old or invalidated.
///
/// A caller that changes the state calls [`invalidate`](Self::invalidate) after the change and before
/// it answers its client, so that every later request gets a copy that contains the change.
#[derive(Debug)]
pub struct SnapshotCache<T> {
    age_max: Duration,
    /// Number of invalidations.
    generation: AtomicU64,
    cached: Mutex<Option<Cached<T>>>,
}

#[derive(Debug)]
struct Cached<T> {
    made_at: Timestamp,
    generation: u64,
    value: Arc<T>,
}

impl<T> SnapshotCache<T> {
    /// An empty cache whose copies are valid for less than `age_max`.
    pub fn new(age_max: Duration) -> Self {
        Self {
            age_max,
            generation: AtomicU64::new(0),
            cached: Mutex::new(None),
        }
    }

    /// The last copy, or a new one from `make` if the last one is too old or invalidated. Concurrent
    /// callers wait for the one that makes it, so `make` copies only; rendering comes after.
    pub fn get(&self, now: Timestamp, make: impl FnOnce() -> T) -> Arc<T> {
        let mut cached = self.cached.lock();
        // Read before `make`: a change during it then invalidates the copy, and not the next one.
        let generation = self.generation.load(Ordering::SeqCst);
        if let Some(copy) = &*cached
            && copy.generation == generation
            && now.since(copy.made_at) < self.age_max
        {
            return Arc::clone(&copy.value);
        }
        let value = Arc::new(make());
        *cached = Some(Cached {
            made_at: now,
            generation,
            value: Arc::clone(&value),
        });
        value
    }

    /// Makes the next [`get`](Self::get) return a new copy. Never waits for one that is being made.
    pub fn invalidate(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

impl<T> Default for SnapshotCache<T> {
    /// An empty cache whose copies are valid for [`SNAPSHOT_AGE_MAX`].
    fn default() -> Self {
        Self::new(SNAPSHOT_AGE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const AGE_MAX: Duration = Duration::from_millis(250);

    fn start() -> Timestamp {
        Timestamp::from_seconds(1000)
    }

    #[test]
    fn a_copy_is_shared_until_it_is_too_old() {
        let cache = SnapshotCache::new(AGE_MAX);
        let state = Cell::new(0);
        let get = |age_millis: u64| {
            state.set(state.get() + 1);
            *cache.get(start() + Duration::from_millis(age_millis), || state.get())
        };
        assert_eq!(get(0), 1);
        assert_eq!(get(100), 1);
        assert_eq!(get(249), 1);
        assert_eq!(get(250), 4);
        assert_eq!(get(499), 4);
        assert_eq!(get(500), 6);
    }

    #[test]
    fn an_invalidated_copy_is_not_returned_again() {
        let cache = SnapshotCache::new(AGE_MAX);
        assert_eq!(*cache.get(start(), || "before"), "before");
        cache.invalidate();
        assert_eq!(*cache.get(start(), || "after"), "after");
        assert_eq!(*cache.get(start(), || "later"), "after");
    }

    #[test]
    fn a_change_while_a_copy_is_made_invalidates_that_copy() {
        let cache = SnapshotCache::new(AGE_MAX);
        let torn = cache.get(start(), || {
            // The copy has been read; now the state changes.
            cache.invalidate();
            "before"
        });
        assert_eq!(*torn, "before");
        assert_eq!(*cache.get(start(), || "after"), "after");
    }

    #[test]
    fn a_caller_whose_clock_reading_is_older_than_the_copy_shares_it() {
        let cache = SnapshotCache::new(AGE_MAX);
        cache.get(start() + Duration::from_millis(10), || "newer");
        assert_eq!(*cache.get(start(), || "again"), "newer");
    }
}
