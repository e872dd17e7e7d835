//! Queue of one profile: the order of its jobs, and which one is next.
//!
//! Responsible for the order, by `enqueued_at`, then by `unique_id`. Of a job it knows only the
//! position and how many runners it needs; of servers nothing.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    clock::Timestamp,
    values::{Count, UniqueId},
};

/// Position of a job in its profile queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePosition {
    pub enqueued_at: Timestamp,
    /// Decides between jobs of the same microsecond.
    pub unique_id: UniqueId,
}

/// All jobs of a profile that wait or are being forwarded.
#[derive(Debug, Default)]
pub struct ProfileQueue {
    /// All jobs, also those that are being forwarded.
    all: RankedSet,
    /// The jobs that wait, by how many runners they need: jobs that need more than there can be are
    /// skipped without a look at each of them.
    waiting: BTreeMap<Count, BTreeSet<QueuePosition>>,
}

impl ProfileQueue {
    /// Adds a waiting job at its position.
    pub fn insert(&mut self, position: QueuePosition, count: Count) {
        self.waiting
            .entry(count)
            .or_default()
            .insert(position.clone());
        self.all.insert(position);
    }

    /// Removes a job, whether it waits or is being forwarded.
    pub fn remove(&mut self, position: &QueuePosition, count: Count) {
        self.all.remove(position);
        self.set_forwarding(position, count);
    }

    /// Keeps the job at its position, but no longer as one that can be next: it is being forwarded.
    pub fn set_forwarding(&mut self, position: &QueuePosition, count: Count) {
        if let Some(positions) = self.waiting.get_mut(&count) {
            positions.remove(position);
            if positions.is_empty() {
                self.waiting.remove(&count);
            }
        }
    }

    /// Lets the job be next again, at its position.
    pub fn set_waiting(&mut self, position: &QueuePosition, count: Count) {
        self.waiting
            .entry(count)
            .or_default()
            .insert(position.clone());
    }

    /// The first waiting job after `after` that needs at most `max` runners.
    pub fn next_waiting(
        &self,
        after: Option<&QueuePosition>,
        max: usize,
    ) -> Option<(QueuePosition, Count)> {
        let first_after = |positions: &BTreeSet<QueuePosition>| match after {
            None => positions.first().cloned(),
            Some(after) => {
                use std::ops::Bound::{Excluded, Unbounded};
                positions
                    .range((Excluded(after.clone()), Unbounded))
                    .next()
                    .cloned()
            }
        };
        self.waiting
            .iter()
            .take_while(|(count, _)| count.get() <= max)
            .filter_map(|(&count, positions)| Some((first_after(positions)?, count)))
            .min()
    }

    /// The waiting jobs before this position, the first `each_max` of each count.
    pub fn waiting_before(
        &self,
        position: &QueuePosition,
        each_max: usize,
    ) -> impl Iterator<Item = (QueuePosition, Count)> {
        self.waiting.iter().flat_map(move |(&count, positions)| {
            let before = positions.range(..position).take(each_max);
            before.map(move |position| (position.clone(), count))
        })
    }

    /// How many jobs are before this position.
    pub fn ahead_of(&self, position: &QueuePosition) -> usize {
        self.all.rank(position)
    }

    /// Whether the job with this position is in the queue, with so many before it.
    pub fn has_rank(&self, position: &QueuePosition, rank: usize) -> bool {
        self.all.rank(position) == rank && self.all.contains(position)
    }

    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.all.length
    }

    /// Whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether any job waits, rather than being forwarded.
    #[cfg(test)]
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// All positions, in order.
    pub fn iter(&self) -> impl Iterator<Item = &QueuePosition> {
        self.all.blocks.iter().flatten()
    }
}

/// A sorted set that knows how many elements are before one. Sorted blocks of bounded length:
/// finding a rank adds up some hundred lengths even with 100,000 jobs.
#[derive(Debug, Default)]
struct RankedSet {
    blocks: Vec<Vec<QueuePosition>>,
    length: usize,
}

/// A block that grows beyond this is cut in two.
const BLOCK_LENGTH_MAX: usize = 512;

impl RankedSet {
    /// The block that contains `position`, or would.
    fn block_of(&self, position: &QueuePosition) -> usize {
        let behind = self
            .blocks
            .partition_point(|block| block.first().is_some_and(|first| first <= position));
        behind.saturating_sub(1)
    }

    fn insert(&mut self, position: QueuePosition) {
        if self.blocks.is_empty() {
            self.blocks.push(Vec::new());
        }
        let index = self.block_of(&position);
        let block = &mut self.blocks[index];
        let Err(at) = block.binary_search(&position) else {
            return;
        };
        block.insert(at, position);
        self.length += 1;
        if block.len() > BLOCK_LENGTH_MAX {
            let second_half = block.split_off(BLOCK_LENGTH_MAX / 2);
            self.blocks.insert(index + 1, second_half);
        }
    }

    fn remove(&mut self, position: &QueuePosition) {
        let index = self.block_of(position);
        let Some(block) = self.blocks.get_mut(index) else {
            return;
        };
        let Ok(at) = block.binary_search(position) else {
            return;
        };
        block.remove(at);
        self.length -= 1;
        if block.is_empty() {
            self.blocks.remove(index);
        }
    }

    fn contains(&self, position: &QueuePosition) -> bool {
        let block = self.blocks.get(self.block_of(position));
        block.is_some_and(|block| block.binary_search(position).is_ok())
    }

    fn rank(&self, position: &QueuePosition) -> usize {
        let index = self.block_of(position);
        let before: usize = self.blocks.iter().take(index).map(Vec::len).sum();
        before
            + self
                .blocks
                .get(index)
                .map_or(0, |block| block.partition_point(|other| other < position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(at: u64) -> QueuePosition {
        QueuePosition {
            enqueued_at: Timestamp::from_micros(at),
            unique_id: format!("job-{at}").parse().unwrap(),
        }
    }

    fn count(count: u64) -> Count {
        Count::new(count).unwrap()
    }

    #[test]
    fn jobs_enqueued_at_the_same_time_are_ordered_by_name() {
        let mut queue = ProfileQueue::default();
        for name in ["b", "a", "c"] {
            let position = QueuePosition {
                enqueued_at: Timestamp::from_micros(1),
                unique_id: name.parse().unwrap(),
            };
            queue.insert(position, Count::ONE);
        }
        let order: Vec<_> = queue
            .iter()
            .map(|position| position.unique_id.to_string())
            .collect();
        assert_eq!(order, ["a", "b", "c"]);
    }

    #[test]
    fn a_block_is_cut_when_it_has_more_than_its_maximum() {
        let mut set = RankedSet::default();
        let mut blocks_with = |count: usize| {
            while set.length < count {
                set.insert(position(set.length as u64));
            }
            set.blocks.len()
        };
        let max = BLOCK_LENGTH_MAX;
        let blocks = [1, max, max + 1].map(&mut blocks_with);
        assert_eq!(blocks, [1, 1, 2]);
    }

    #[test]
    fn a_job_that_is_being_forwarded_keeps_its_position_but_is_not_next() {
        let mut queue = ProfileQueue::default();
        queue.insert(position(1), Count::ONE);
        queue.insert(position(2), Count::ONE);
        queue.set_forwarding(&position(1), Count::ONE);
        assert_eq!(queue.next_waiting(None, 1), Some((position(2), Count::ONE)));
        assert_eq!((queue.ahead_of(&position(2)), queue.len()), (1, 2));
        queue.set_waiting(&position(1), Count::ONE);
        assert_eq!(queue.next_waiting(None, 1), Some((position(1), Count::ONE)));
        queue.remove(&position(1), Count::ONE);
        assert_eq!((queue.ahead_of(&position(2)), queue.len()), (0, 1));
    }

    #[test]
    fn the_next_job_is_the_first_that_needs_no_more_runners_than_there_can_be() {
        let mut queue = ProfileQueue::default();
        queue.insert(position(1), count(4));
        queue.insert(position(2), count(2));
        queue.insert(position(3), count(1));
        for (after, max, expected) in [
            (None, 4, Some(1)),
            (None, 3, Some(2)),
            (None, 1, Some(3)),
            (None, 0, None),
            (Some(1), 4, Some(2)),
            (Some(2), 4, Some(3)),
            (Some(3), 4, None),
        ] {
            let next = queue
                .next_waiting(after.map(position).as_ref(), max)
                .map(|(position, _)| position);
            assert_eq!(
                next,
                expected.map(position),
                "after {after:?}, at most {max}"
            );
        }
    }

    #[test]
    fn ranks_are_right_in_a_queue_of_many_blocks() {
        let mut queue = ProfileQueue::default();
        let mut model = BTreeSet::new();
        // 7919 is prime to 5000: every number once, in no order.
        for step in 0..5000_u64 {
            let position = position(step * 7919 % 5000);
            queue.insert(position.clone(), Count::ONE);
            model.insert(position);
        }
        for step in (0..5000).step_by(3) {
            queue.remove(&position(step), Count::ONE);
            model.remove(&position(step));
        }
        assert!(queue.iter().eq(model.iter()));
        for (rank, position) in model.iter().enumerate() {
            assert_eq!(queue.ahead_of(position), rank);
        }
    }

    #[test]
    fn removing_twice_is_harmless() {
        let mut queue = ProfileQueue::default();
        queue.insert(position(1), Count::ONE);
        queue.insert(position(1), Count::ONE);
        queue.remove(&position(1), Count::ONE);
        queue.remove(&position(1), Count::ONE);
        assert!(queue.is_empty() && !queue.has_waiting());
    }
}
