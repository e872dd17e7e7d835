//! The latest events, in memory, with an index by job and by runner.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
};

use shared::values::{PublicId, UniqueId};

use super::entry::Entry;

/// The most events in memory.
pub(super) const ENTRIES_MAX: usize = 16_384;
/// The most bytes that they occupy, about.
const BYTES_MAX: usize = 16 << 20;

/// The latest events, oldest first.
#[derive(Debug)]
pub(super) struct Memory {
    entries: VecDeque<Arc<Entry>>,
    by_job: HashMap<UniqueId, VecDeque<Arc<Entry>>>,
    /// The names of the jobs in `by_job`.
    by_public_id: HashMap<PublicId, UniqueId>,
    by_runner: HashMap<u64, VecDeque<Arc<Entry>>>,
    size: usize,
    entries_max: usize,
    bytes_max: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self::with_limits(ENTRIES_MAX, BYTES_MAX)
    }
}

impl Memory {
    fn with_limits(entries_max: usize, bytes_max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            by_job: HashMap::new(),
            by_public_id: HashMap::new(),
            by_runner: HashMap::new(),
            size: 0,
            entries_max,
            bytes_max,
        }
    }

    /// Adds an event, whose id is higher than all others, and forgets the oldest ones beyond the limits.
    pub fn push(&mut self, entry: Arc<Entry>) {
        self.size += entry.size();
        if let Some(unique_id) = &entry.unique_id {
            let public_ids = &mut self.by_public_id;
            let of_job = self.by_job.entry(unique_id.clone()).or_insert_with(|| {
                public_ids.insert(unique_id.public_id(), unique_id.clone());
                VecDeque::new()
            });
            of_job.push_back(Arc::clone(&entry));
        }
        if let Some(runner) = entry.runner {
            let of_runner = self.by_runner.entry(runner);
            of_runner.or_default().push_back(Arc::clone(&entry));
        }
        self.entries.push_back(entry);
        while self.entries.len() > self.entries_max
            || (self.size > self.bytes_max && self.entries.len() > 1)
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        self.size -= entry.size();
        if let Some(unique_id) = &entry.unique_id
            && forget_first_of(&mut self.by_job, unique_id)
        {
            self.by_public_id.remove(&unique_id.public_id());
        }
        if let Some(runner) = &entry.runner {
            forget_first_of(&mut self.by_runner, runner);
        }
    }

    /// The lowest id in memory.
    pub fn first_id(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.id)
    }

    /// Whether the event with this id is in memory, so that everything after it is.
    pub fn contains(&self, id: u64) -> bool {
        self.entries
            .binary_search_by_key(&id, |entry| entry.id)
            .is_ok()
    }

    /// All events after the one with this id, oldest first.
    pub fn after(&self, id: u64) -> Vec<Arc<Entry>> {
        let start = self.entries.partition_point(|entry| entry.id <= id);
        self.entries.range(start..).cloned().collect()
    }

    /// The newest events after the one with this id, at most so many, oldest first; and whether those are not
    /// all.
    pub fn newest_after(&self, id: u64, count_max: usize) -> (Vec<Arc<Entry>>, bool) {
        let after = self.entries.partition_point(|entry| entry.id <= id);
        let start = after.max(self.entries.len().saturating_sub(count_max));
        let newest = self.entries.range(start..).cloned().collect();
        (newest, start > after)
    }

    /// All events before the one with this id, oldest first.
    pub fn before(&self, id: u64) -> Vec<Arc<Entry>> {
        let end = self.entries.partition_point(|entry| entry.id < id);
        self.entries.range(..end).cloned().collect()
    }

    /// The job with this public id, if it has events in memory.
    pub fn job(&self, public_id: PublicId) -> Option<&UniqueId> {
        self.by_public_id.get(&public_id)
    }

    /// The newest events that meet a condition, newest first.
    pub fn newest(&self, count_max: usize, is_wanted: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        let newest_first = self.entries.iter().rev();
        let wanted = newest_first.filter(|entry| is_wanted(entry));
        wanted.take(count_max).cloned().collect()
    }

    /// The events of a job, oldest first.
    pub fn of_job(&self, unique_id: &UniqueId) -> Vec<Arc<Entry>> {
        let of_job = self.by_job.get(unique_id).into_iter().flatten();
        of_job.cloned().collect()
    }

    /// The events of a runner, oldest first.
    pub fn of_runner(&self, runner: u64) -> Vec<Arc<Entry>> {
        let of_runner = self.by_runner.get(&runner).into_iter().flatten();
        of_runner.cloned().collect()
    }
}

/// The oldest event of all is the first one of its job and of its runner. Returns whether it was the only
/// one.
fn forget_first_of<K: Eq + Hash>(index: &mut HashMap<K, VecDeque<Arc<Entry>>>, key: &K) -> bool {
    let Some(entries) = index.get_mut(key) else {
        return false;
    };
    entries.pop_front();
    let is_last = entries.is_empty();
    if is_last {
        index.remove(key);
    }
    is_last
}

#[cfg(test)]
mod tests {
    use shared::clock::Timestamp;

    use super::*;

    fn entry(id: u64, job: &str, runner: u64) -> Arc<Entry> {
        Arc::new(Entry {
            id,
            unique_id: Some(job.parse().unwrap()),
            runner: Some(runner),
            ..Entry::new(Timestamp::from_micros(id), "event")
        })
    }

    fn ids(entries: Vec<Arc<Entry>>) -> Vec<u64> {
        entries.iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn the_oldest_events_are_forgotten_everywhere() {
        let mut memory = Memory::with_limits(3, BYTES_MAX);
        for (id, job, runner) in [(10, "a", 1), (20, "b", 1), (30, "a", 2), (40, "b", 2)] {
            memory.push(entry(id, job, runner));
        }
        assert_eq!(memory.first_id(), Some(20));
        let job = |job: &str| ids(memory.of_job(&job.parse().unwrap()));
        assert_eq!((job("a"), job("b")), (vec![30], vec![20, 40]));
        let public_id = |job: &str| job.parse::<UniqueId>().unwrap().public_id();
        let found = memory.job(public_id("a")).map(UniqueId::as_str);
        assert_eq!(found, Some("a"));
        assert_eq!(ids(memory.newest(1, |entry| entry.id < 40)), [30]);
        assert_eq!(ids(memory.of_runner(1)), [20]);
        for id in [50, 60, 70] {
            memory.push(entry(id, "c", 3));
        }
        assert_eq!((memory.by_job.len(), memory.by_runner.len()), (1, 1));
        assert_eq!(memory.job(public_id("a")), None);
        assert_eq!(memory.by_public_id.len(), 1);
    }

    #[test]
    fn the_size_of_all_events_is_limited() {
        let size = entry(1, "a", 1).size();
        let mut memory = Memory::with_limits(100, 2 * size);
        for id in 1..=5 {
            memory.push(entry(id, "a", 1));
        }
        assert_eq!(ids(memory.after(0)), [4, 5]);
        let large = Entry::new(Timestamp::default(), "a").fact("text", "x".repeat(4000));
        memory.push(Arc::new(Entry { id: 6, ..large }));
        assert_eq!(ids(memory.after(0)), [6], "the newest one stays");
        assert_eq!(memory.size, memory.entries[0].size());
    }

    #[test]
    fn events_are_found_by_id() {
        let mut memory = Memory::default();
        for id in [10, 20, 30] {
            memory.push(entry(id, "a", 1));
        }
        assert_eq!(ids(memory.after(9)), [10, 20, 30]);
        assert_eq!(ids(memory.after(20)), [30]);
        let newest_after = |id, count_max| {
            let (entries, is_more) = memory.newest_after(id, count_max);
            (ids(entries), is_more)
        };
        assert_eq!(newest_after(9, 3), (vec![10, 20, 30], false));
        assert_eq!(newest_after(9, 2), (vec![20, 30], true));
        assert_eq!(newest_after(20, 2), (vec![30], false));
        assert_eq!(newest_after(30, 0), (vec![], false));
        assert_eq!(ids(memory.before(20)), [10]);
        assert_eq!(ids(memory.before(u64::MAX)), [10, 20, 30]);
        assert!(memory.contains(20) && !memory.contains(25));
    }
}
