//! Jobs that are over, remembered for as long as their tickets are valid, so that an old ticket
//! cannot restore a finished job.

use std::collections::{BTreeMap, BTreeSet};

use shared::clock::Timestamp;

use super::{job::Retirement, profile_queue::QueuePosition};

/// Maximum number of retired jobs. Beyond it those whose tickets expire first are forgotten: at a
/// hundred bytes each this bounds the memory that a flood of short jobs can take.
const RETIRED_MAX: usize = 1_000_000;

/// All retired jobs, by their position, which no two jobs share.
#[derive(Debug, Default)]
pub struct Retired {
    jobs: BTreeMap<QueuePosition, (Retirement, Timestamp)>,
    by_expiry: BTreeSet<(Timestamp, QueuePosition)>,
}

impl Retired {
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
        if self.jobs.len() > RETIRED_MAX {
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
    use crate::state::job::GrantEnd;

    #[test]
    fn a_retired_job_is_remembered_until_its_ticket_expires() {
        let mut retired = Retired::default();
        let position = |second| QueuePosition {
            enqueued_at: Timestamp::from_seconds(second),
            unique_id: "job".parse().unwrap(),
        };
        retired.insert(
            position(1),
            Retirement::Ended(GrantEnd::Finished),
            Timestamp::from_seconds(10),
        );
        retired.insert(
            position(2),
            Retirement::Withdrawn,
            Timestamp::from_seconds(20),
        );
        retired.forget_expired(Timestamp::from_seconds(9));
        assert_eq!(
            retired.get(&position(1)),
            Some(Retirement::Ended(GrantEnd::Finished))
        );
        retired.forget_expired(Timestamp::from_seconds(10));
        assert_eq!(
            (retired.get(&position(1)), retired.get(&position(2))),
            (None, Some(Retirement::Withdrawn))
        );
        // It is retired a second time.
        retired.insert(
            position(2),
            Retirement::Withdrawn,
            Timestamp::from_seconds(30),
        );
        retired.forget_expired(Timestamp::from_seconds(20));
        assert_eq!(retired.get(&position(2)), Some(Retirement::Withdrawn));
        retired.forget_expired(Timestamp::from_seconds(30));
        assert!(retired.is_empty());
    }
}
