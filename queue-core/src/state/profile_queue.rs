//! Queue of one profile: the order of its jobs, and which one is next.
//!
//! Responsible for the order, by `queued_at`, then by `enqueued_at` and `unique_id`. Of a job it knows only the
//! position, how many runners it needs, and its repository if that matters; of servers nothing.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    clock::Timestamp,
    values::{Count, QualifiedRepo, UniqueId},
};

/// Position of a job in its profile queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuePosition {
    /// When the job counts as enqueued.
    pub queued_at: Timestamp,
    pub enqueued_at: Timestamp,
    /// Decides between jobs of the same microsecond.
    pub unique_id: UniqueId,
}

/// Jobs that are alike for the decision which one is next, but for their positions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// How many runners they need.
    pub count: Count,
    /// Their repository, if there is a limit of runners for each.
    pub repo: Option<QualifiedRepo>,
}

/// All jobs of a profile that wait or are being forwarded.
#[derive(Debug, Default)]
pub struct ProfileQueue {
    /// All jobs, also those that are being forwarded.
    all: RankedSet,
    /// The jobs that wait, by group: jobs that need more than there can be, or whose repository has as many as it
    /// may have, are skipped without a look at each of them.
    waiting: BTreeMap<Group, BTreeSet<QueuePosition>>,
    /// The jobs that are being forwarded.
    forwarding: BTreeMap<QueuePosition, Group>,
}

impl ProfileQueue {
    /// Adds a waiting job at its position.
    pub fn insert(&mut self, position: QueuePosition, group: Group) {
        self.waiting
            .entry(group)
            .or_default()
            .insert(position.clone());
        self.all.insert(position);
    }

    /// Removes a job, whether it waits or is being forwarded.
    pub fn remove(&mut self, position: &QueuePosition, group: &Group) {
        self.all.remove(position);
        self.remove_waiting(position, group);
        self.forwarding.remove(position);
    }

    /// Keeps the job at its position, but no longer as one that can be next: it is being forwarded.
    pub fn set_forwarding(&mut self, position: &QueuePosition, group: Group) {
        self.remove_waiting(position, &group);
        self.forwarding.insert(position.clone(), group);
    }

    /// Lets the job be next again, at its position.
    pub fn set_waiting(&mut self, position: &QueuePosition, group: Group) {
        self.forwarding.remove(position);
        self.waiting
            .entry(group)
            .or_default()
            .insert(position.clone());
    }

    fn remove_waiting(&mut self, position: &QueuePosition, group: &Group) {
        if let Some(positions) = self.waiting.get_mut(group) {
            positions.remove(position);
            if positions.is_empty() {
                self.waiting.remove(group);
            }
        }
    }

    /// The first waiting job after `after` that needs at most `max` runners, of a repository whose first such job
    /// `may_have` as many as it needs.
    pub fn next_waiting(
        &self,
        after: Option<&QueuePosition>,
        max: usize,
        may_have: impl Fn(&QualifiedRepo, Count) -> bool,
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
        let groups = self.waiting.iter();
        let groups = groups.take_while(|(group, _)| group.count.get() <= max);
        let first = groups.filter_map(|(group, positions)| Some((first_after(positions)?, group)));
        // Smaller jobs of a repository do not pass its first one, so that this is not starved.
        let mut by_repo = BTreeMap::<Option<&QualifiedRepo>, (QueuePosition, Count)>::new();
        for (position, group) in first {
            let known = by_repo.get(&group.repo.as_ref());
            if known.is_none_or(|(known, _)| position < *known) {
                by_repo.insert(group.repo.as_ref(), (position, group.count));
            }
        }
        let next = by_repo
            .into_iter()
            .filter(|(repo, (_, count))| repo.is_none_or(|repo| may_have(repo, *count)));
        next.map(|(_, first)| first).min()
    }

    /// How many runners the jobs of each repository need that are being forwarded.
    pub fn forwarding(&self) -> impl Iterator<Item = (&QualifiedRepo, Count)> {
        let groups = self.forwarding.values();
        groups.filter_map(|group| Some((group.repo.as_ref()?, group.count)))
    }

    /// The waiting jobs before this position, the first `each_max` of each group, with how many runners they need.
    pub fn waiting_before(
        &self,
        position: &QueuePosition,
        each_max: usize,
    ) -> impl Iterator<Item = (QueuePosition, Count)> {
        self.waiting.iter().flat_map(move |(group, positions)| {
            let before = positions.range(..position).take(each_max);
            before.map(move |position| (position.clone(), group.count))
        })
    }

    /// How many runners the waiting jobs need that need at most `max` each; of each repository with a limit
    /// not more than it may still have, according to `left`.
    pub fn runners_needed(&self, max: usize, left: impl Fn(&QualifiedRepo) -> usize) -> usize {
        let groups = self.waiting.iter();
        let groups = groups.take_while(|(group, _)| group.count.get() <= max);
        let mut by_repo = BTreeMap::<Option<&QualifiedRepo>, usize>::new();
        for (group, positions) in groups {
            let needed = by_repo.entry(group.repo.as_ref()).or_default();
            *needed = needed.saturating_add(group.count.get().saturating_mul(positions.len()));
        }
        let needed = by_repo.into_iter().map(|(repo, needed)| match repo {
            Some(repo) => needed.min(left(repo)),
            None => needed,
        });
        needed.fold(0, usize::saturating_add)
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
            queued_at: Timestamp::from_micros(at),
            enqueued_at: Timestamp::from_micros(at),
            unique_id: format!("job-{at}").parse().unwrap(),
        }
    }

    /// Jobs that need so many runners; repositories do not matter.
    fn group(count: u64) -> Group {
        Group {
            count: Count::new(count).unwrap(),
            repo: None,
        }
    }

    fn next(queue: &ProfileQueue, after: Option<u64>, max: usize) -> Option<QueuePosition> {
        let after = after.map(position);
        let next = queue.next_waiting(after.as_ref(), max, |_, _| true);
        next.map(|(position, _)| position)
    }

    #[test]
    fn jobs_enqueued_at_the_same_time_are_ordered_by_name() {
        let mut queue = ProfileQueue::default();
        for name in ["b", "a", "c"] {
            let position = QueuePosition {
                queued_at: Timestamp::from_micros(1),
                enqueued_at: Timestamp::from_micros(1),
                unique_id: name.parse().unwrap(),
            };
            queue.insert(position, group(1));
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
        queue.insert(position(1), group(1));
        queue.insert(position(2), group(1));
        queue.set_forwarding(&position(1), group(1));
        assert_eq!(next(&queue, None, 1), Some(position(2)));
        assert_eq!((queue.ahead_of(&position(2)), queue.len()), (1, 2));
        queue.set_waiting(&position(1), group(1));
        assert_eq!(next(&queue, None, 1), Some(position(1)));
        queue.remove(&position(1), &group(1));
        assert_eq!((queue.ahead_of(&position(2)), queue.len()), (0, 1));
    }

    #[test]
    fn the_next_job_is_the_first_that_needs_no_more_runners_than_there_can_be() {
        let mut queue = ProfileQueue::default();
        queue.insert(position(1), group(4));
        queue.insert(position(2), group(2));
        queue.insert(position(3), group(1));
        for (after, max, expected) in [
            (None, 4, Some(1)),
            (None, 3, Some(2)),
            (None, 1, Some(3)),
            (None, 0, None),
            (Some(1), 4, Some(2)),
            (Some(2), 4, Some(3)),
            (Some(3), 4, None),
        ] {
            assert_eq!(
                next(&queue, after, max),
                expected.map(position),
                "after {after:?}, at most {max}"
            );
        }
    }

    #[test]
    fn a_repository_with_all_it_may_have_is_skipped_as_a_whole() {
        let mut queue = ProfileQueue::default();
        let of = |repo: &str, count| Group {
            repo: Some(repo.parse().unwrap()),
            ..group(count)
        };
        queue.insert(position(1), of("a/a", 3));
        queue.insert(position(2), of("a/a", 1));
        queue.insert(position(3), of("b/b", 1));
        let next = |max, left: usize| {
            let may_have =
                |repo: &QualifiedRepo, count: Count| repo.as_str() != "a/a" || count.get() <= left;
            let next = queue.next_waiting(None, max, may_have);
            next.map(|(position, _)| position)
        };
        assert_eq!(next(4, 3), Some(position(1)));
        // The smaller job does not pass the first one of its repository, so that this gets its runners.
        assert_eq!(next(4, 2), Some(position(3)));
        // Unless no server can have enough runners for it.
        assert_eq!(next(2, 2), Some(position(2)));
        assert_eq!(next(2, 0), Some(position(3)));
    }

    #[test]
    fn the_jobs_that_are_being_forwarded_are_known_by_their_repository() {
        let mut queue = ProfileQueue::default();
        let group = Group {
            repo: Some("a/a".parse().unwrap()),
            ..group(2)
        };
        queue.insert(position(1), group.clone());
        assert_eq!(queue.forwarding().count(), 0);
        queue.set_forwarding(&position(1), group.clone());
        let forwarding: Vec<_> = queue.forwarding().collect();
        assert_eq!(forwarding, [(group.repo.as_ref().unwrap(), group.count)]);
        queue.set_waiting(&position(1), group.clone());
        assert_eq!(queue.forwarding().count(), 0);
        queue.set_forwarding(&position(1), group.clone());
        queue.remove(&position(1), &group);
        assert_eq!(queue.forwarding().count(), 0);
    }

    #[test]
    fn ranks_are_right_in_a_queue_of_many_blocks() {
        let mut queue = ProfileQueue::default();
        let mut model = BTreeSet::new();
        // 7919 is prime to 5000: every number once, in no order.
        for step in 0..5000_u64 {
            let position = position(step * 7919 % 5000);
            queue.insert(position.clone(), group(1));
            model.insert(position);
        }
        for step in (0..5000).step_by(3) {
            queue.remove(&position(step), &group(1));
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
        queue.insert(position(1), group(1));
        queue.insert(position(1), group(1));
        queue.remove(&position(1), &group(1));
        queue.remove(&position(1), &group(1));
        assert!(queue.is_empty() && !queue.has_waiting());
    }
}
