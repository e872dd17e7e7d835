//! The line in front of one profile: who is before whom, and who is next.
//!
//! Owns the order, by the moment of enqueueing, then by `unique_id`. Knows nothing of servers,
//! and of a job no more than its place and how many runners it wants.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    clock::Timestamp,
    values::{Count, UniqueId},
};

/// A job's place in its line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the job was enqueued.
    pub enqueued_at: Timestamp,
    /// Which job it is; decides between jobs of the same microsecond.
    pub unique_id: UniqueId,
}

/// All jobs of a profile that have no runners yet.
#[derive(Debug, Default)]
pub struct Line {
    /// Everybody in line, those who are just being forwarded included.
    everybody: RankedSet,
    /// Those who wait, by how many runners they want: so that one who wants more than there can
    /// be is passed without looking at each like it.
    waiting: BTreeMap<Count, BTreeSet<Place>>,
}

impl Line {
    /// Puts a job in its place, waiting.
    pub fn join(&mut self, place: Place, count: Count) {
        self.waiting.entry(count).or_default().insert(place.clone());
        self.everybody.insert(place);
    }

    /// Takes a job out, wherever it stands.
    pub fn leave(&mut self, place: &Place, count: Count) {
        self.everybody.remove(place);
        self.set_forwarding(place, count);
    }

    /// The job keeps its place, but is not chosen any more: it is being forwarded.
    pub fn set_forwarding(&mut self, place: &Place, count: Count) {
        if let Some(places) = self.waiting.get_mut(&count) {
            places.remove(place);
            if places.is_empty() {
                self.waiting.remove(&count);
            }
        }
    }

    /// The job may be chosen again, at its old place.
    pub fn set_waiting(&mut self, place: &Place, count: Count) {
        self.waiting.entry(count).or_default().insert(place.clone());
    }

    /// The first that waits behind `after` and wants at most `most` runners.
    pub fn next_waiting(&self, after: Option<&Place>, most: usize) -> Option<(Place, Count)> {
        let first_behind = |places: &BTreeSet<Place>| match after {
            None => places.first().cloned(),
            Some(after) => {
                use std::ops::Bound::{Excluded, Unbounded};
                places
                    .range((Excluded(after.clone()), Unbounded))
                    .next()
                    .cloned()
            }
        };
        self.waiting
            .iter()
            .take_while(|(count, _)| count.get() <= most)
            .filter_map(|(&count, places)| Some((first_behind(places)?, count)))
            .min()
    }

    /// How many are before this place.
    pub fn ahead_of(&self, place: &Place) -> usize {
        self.everybody.rank(place)
    }

    /// How many are in line.
    pub fn len(&self) -> usize {
        self.everybody.length
    }

    /// Whether nobody is in line.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether anybody waits who is not just being forwarded.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Everybody in line, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.everybody.blocks.iter().flatten()
    }
}

/// A sorted set that knows how many elements are before one. Sorted blocks of bounded length:
/// finding a rank adds up some hundred lengths even with 100,000 in line.
#[derive(Debug, Default)]
struct RankedSet {
    blocks: Vec<Vec<Place>>,
    length: usize,
}

/// A block that grows beyond this is cut in two.
const BLOCK_LENGTH_MAX: usize = 512;

impl RankedSet {
    /// The block that holds `place`, or would.
    fn block_of(&self, place: &Place) -> usize {
        let behind = self
            .blocks
            .partition_point(|block| block.first().is_some_and(|first| first <= place));
        behind.saturating_sub(1)
    }

    fn insert(&mut self, place: Place) {
        if self.blocks.is_empty() {
            self.blocks.push(Vec::new());
        }
        let index = self.block_of(&place);
        let block = &mut self.blocks[index];
        let Err(at) = block.binary_search(&place) else {
            return;
        };
        block.insert(at, place);
        self.length += 1;
        if block.len() > BLOCK_LENGTH_MAX {
            let second_half = block.split_off(BLOCK_LENGTH_MAX / 2);
            self.blocks.insert(index + 1, second_half);
        }
    }

    fn remove(&mut self, place: &Place) {
        let index = self.block_of(place);
        let Some(block) = self.blocks.get_mut(index) else {
            return;
        };
        let Ok(at) = block.binary_search(place) else {
            return;
        };
        block.remove(at);
        self.length -= 1;
        if block.is_empty() {
            self.blocks.remove(index);
        }
    }

    fn rank(&self, place: &Place) -> usize {
        let index = self.block_of(place);
        let before: usize = self.blocks.iter().take(index).map(Vec::len).sum();
        before
            + self
                .blocks
                .get(index)
                .map_or(0, |block| block.partition_point(|other| other < place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(at: u64) -> Place {
        Place {
            enqueued_at: Timestamp::from_micros(at),
            unique_id: format!("job-{at}").parse().unwrap(),
        }
    }

    fn count(count: u64) -> Count {
        Count::new(count).unwrap()
    }

    #[test]
    fn those_enqueued_at_the_same_moment_stand_by_name() {
        let mut line = Line::default();
        for name in ["b", "a", "c"] {
            let place = Place {
                enqueued_at: Timestamp::from_micros(1),
                unique_id: name.parse().unwrap(),
            };
            line.join(place, Count::ONE);
        }
        let order: Vec<_> = line
            .iter()
            .map(|place| place.unique_id.to_string())
            .collect();
        assert_eq!(order, ["a", "b", "c"]);
    }

    #[test]
    fn one_who_is_forwarded_keeps_the_place_but_is_not_chosen() {
        let mut line = Line::default();
        line.join(place(1), Count::ONE);
        line.join(place(2), Count::ONE);
        line.set_forwarding(&place(1), Count::ONE);
        assert_eq!(line.next_waiting(None, 1), Some((place(2), Count::ONE)));
        assert_eq!((line.ahead_of(&place(2)), line.len()), (1, 2));
        line.set_waiting(&place(1), Count::ONE);
        assert_eq!(line.next_waiting(None, 1), Some((place(1), Count::ONE)));
        line.leave(&place(1), Count::ONE);
        assert_eq!((line.ahead_of(&place(2)), line.len()), (0, 1));
    }

    #[test]
    fn the_next_is_the_first_that_wants_no_more_than_there_can_be() {
        let mut line = Line::default();
        line.join(place(1), count(4));
        line.join(place(2), count(2));
        line.join(place(3), count(1));
        for (after, most, expected) in [
            (None, 4, Some(1)),
            (None, 3, Some(2)),
            (None, 1, Some(3)),
            (None, 0, None),
            (Some(1), 4, Some(2)),
            (Some(2), 4, Some(3)),
            (Some(3), 4, None),
        ] {
            let next = line
                .next_waiting(after.map(place).as_ref(), most)
                .map(|(place, _)| place);
            assert_eq!(next, expected.map(place), "after {after:?}, at most {most}");
        }
    }

    #[test]
    fn ranks_are_right_in_a_line_of_many_blocks() {
        let mut line = Line::default();
        let mut model = BTreeSet::new();
        // 7919 is prime to 5000: every number once, in no order.
        for step in 0..5000_u64 {
            let place = place(step * 7919 % 5000);
            line.join(place.clone(), Count::ONE);
            model.insert(place);
        }
        for step in (0..5000).step_by(3) {
            line.leave(&place(step), Count::ONE);
            model.remove(&place(step));
        }
        assert!(line.iter().eq(model.iter()));
        for (rank, place) in model.iter().enumerate() {
            assert_eq!(line.ahead_of(place), rank);
        }
    }

    #[test]
    fn leaving_twice_is_harmless() {
        let mut line = Line::default();
        line.join(place(1), Count::ONE);
        line.join(place(1), Count::ONE);
        line.leave(&place(1), Count::ONE);
        line.leave(&place(1), Count::ONE);
        assert!(line.is_empty() && !line.has_waiting());
    }
}
