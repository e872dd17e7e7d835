//! Jobs that are over, remembered for as long as their tickets are valid.
//!
//! Owns why each ended, so that an old ticket cannot put a finished job back in line.

use std::collections::{BTreeMap, BTreeSet};

use shared::clock::Timestamp;

use super::{job::Retirement, line::Place};

/// How many are remembered. Beyond that the ones whose tickets expire first are forgotten: at a
/// hundred bytes each this bounds what a flood of short jobs can make the queue remember.
const RETIRED_MAX: usize = 1_000_000;

/// All retired jobs, by their place in line, which no two jobs share.
#[derive(Debug, Default)]
pub struct Retired {
    jobs: BTreeMap<Place, Retirement>,
    by_expiry: BTreeSet<(Timestamp, Place)>,
}

impl Retired {
    /// Remembers a job until its ticket expires.
    pub fn insert(&mut self, place: Place, retirement: Retirement, expires_at: Timestamp) {
        self.jobs.insert(place.clone(), retirement);
        self.by_expiry.insert((expires_at, place));
        if self.jobs.len() > RETIRED_MAX {
            self.forget_first();
        }
    }

    /// Why the job is over, if it is.
    pub fn get(&self, place: &Place) -> Option<Retirement> {
        self.jobs.get(place).copied()
    }

    /// The job is not over after all.
    pub fn remove(&mut self, place: &Place, expires_at: Timestamp) {
        self.jobs.remove(place);
        self.by_expiry.remove(&(expires_at, place.clone()));
    }

    /// Forgets those whose tickets have expired.
    pub fn forget_expired(&mut self, now: Timestamp) {
        while self
            .by_expiry
            .first()
            .is_some_and(|(expires_at, _)| *expires_at <= now)
        {
            self.forget_first();
        }
    }

    /// Whether none is remembered.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.by_expiry.is_empty()
    }

    fn forget_first(&mut self) {
        if let Some((_, place)) = self.by_expiry.pop_first() {
            self.jobs.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_job_is_remembered_until_its_ticket_expires() {
        let mut retired = Retired::default();
        let place = |second| Place {
            enqueued_at: Timestamp::from_seconds(second),
            unique_id: "job".parse().unwrap(),
        };
        retired.insert(place(1), Retirement::Served, Timestamp::from_seconds(10));
        retired.insert(place(2), Retirement::Withdrawn, Timestamp::from_seconds(20));
        retired.forget_expired(Timestamp::from_seconds(9));
        assert_eq!(retired.get(&place(1)), Some(Retirement::Served));
        retired.forget_expired(Timestamp::from_seconds(10));
        assert_eq!(
            (retired.get(&place(1)), retired.get(&place(2))),
            (None, Some(Retirement::Withdrawn))
        );
        retired.remove(&place(2), Timestamp::from_seconds(20));
        assert!(retired.is_empty());
    }
}
