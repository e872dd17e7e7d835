//! Jobs that are over, remembered for as long as their tickets are valid, so that an old ticket
//! cannot restore a finished job.

use std::collections::{BTreeMap, BTreeSet};

use shared::clock::Timestamp;

use super::{job::Retirement, profile_queue::QueuePosition};

/// Maximum number of retired jobs. Beyond it those whose tickets expire first are forgotten: at a
/// hundred bytes each this bounds the memory that a flood of short jobs can take.
const RETIRED_MAX: usize = 1_000_000;

/// All retired jobs, by their position, which no two jobs share.
#[derive(Debug)]
pub struct Retired {
    jobs: BTreeMap<QueuePosition, (Retirement, Timestamp)>,
    by_expiry: BTreeSet<(Timestamp, QueuePosition)>,
    count_max: usize,
}

impl Default for Retired {
    fn default() -> Self {
        Self::with_limit(RETIRED_MAX)
    }
}

impl Retired {
    fn with_limit(count_max: usize) -> Self {
        Self {
            jobs: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            count_max,
        }
    }

    /// Remembers a job until then.
    pub fn insert(
        &mut self,
        position: QueuePosition,
        retirement: Retirement,
        expires_at: Timestamp,
    ) {
        let former = self.jobs.insert(position.clone(), (retirement, expires_at));
        if let Some((_, expires_at)) = former {
            self.by_expiry.remove(&(expires_at, position.clone()));
        }
        self.by_expiry.insert((expires_at, position));
        if self.jobs.len() > self.count_max {
            self.forget_first();
        }
    }

    /// Why the job is retired, if it is.
    pub fn get(&self, position: &QueuePosition) -> Option<Retirement> {
        self.jobs.get(position).map(|(retirement, _)| *retirement)
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
        if let Some((_, position)) = self.by_expiry.pop_first() {
            self.jobs.remove(&position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::WithdrawnBy, state::job::GrantEnd};

    fn withdrawn() -> Retirement {
        Retirement::Withdrawn(WithdrawnBy::Ticket)
    }

    fn position(second: u64) -> QueuePosition {
        QueuePosition {
            queued_at: Timestamp::from_seconds(second),
            enqueued_at: Timestamp::from_seconds(second),
            unique_id: "job".parse().unwrap(),
        }
    }

    #[test]
    fn beyond_the_limit_those_whose_tickets_expire_first_are_forgotten() {
        let mut retired = Retired::with_limit(2);
        for (second, expires_at) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
            let expires_at = Timestamp::from_seconds(expires_at);
            retired.insert(position(second), withdrawn(), expires_at);
            let is_remembered: Vec<bool> = (1..=second)
                .map(|second| retired.get(&position(second)).is_some())
                .collect();
            let expected: &[bool] = match second {
                1 => &[true],
                2 => &[true, true],
                3 => &[true, false, true],
                _ => &[true, false, false, true],
            };
            assert_eq!(is_remembered, expected);
        }
    }

    #[test]
    fn a_retired_job_is_remembered_until_its_ticket_expires() {
        let mut retired = Retired::default();
        retired.insert(
            position(1),
            Retirement::Ended(GrantEnd::Finished),
            Timestamp::from_seconds(10),
        );
        retired.insert(position(2), withdrawn(), Timestamp::from_seconds(20));
        retired.forget_expired(Timestamp::from_seconds(9));
        assert_eq!(
            retired.get(&position(1)),
            Some(Retirement::Ended(GrantEnd::Finished))
        );
        retired.forget_expired(Timestamp::from_seconds(10));
        assert_eq!(
            (retired.get(&position(1)), retired.get(&position(2))),
            (None, Some(withdrawn()))
        );
        // It is retired a second time.
        retired.insert(position(2), withdrawn(), Timestamp::from_seconds(30));
        retired.forget_expired(Timestamp::from_seconds(20));
        assert_eq!(retired.get(&position(2)), Some(withdrawn()));
        retired.forget_expired(Timestamp::from_seconds(30));
        assert!(retired.is_empty());
    }
}
