//! What must not be forgotten, and how it stands in a file.
//!
//! Owns the form of the snapshot and the limits on what is remembered of the past. Where the
//! snapshot is kept is the store's business. No secret has a place in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{clock::Timestamp, values::UniqueId};

use crate::{Override, Reservation, RunnerId, RunnerRecord, state::reservation::Fence};

/// The version of the form below. A change that older releases cannot read gets the next one.
const VERSION: u32 = 1;

/// Everything that we mean to be so, and would not learn by looking at the world.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DurableState {
    /// The id of the next runner.
    pub next_id: RunnerId,
    /// Every runner of which something may be left.
    pub runners: BTreeMap<RunnerId, RunnerRecord>,
    /// What is held for whom, and what was.
    #[serde(with = "super::reservation::stored")]
    pub reservations: BTreeMap<UniqueId, Reservation>,
    /// Takes that must not have an effect any more.
    pub fences: BTreeMap<UniqueId, Fence>,
    /// Temporary targets.
    pub target_override: Option<Override>,
}

/// Why a snapshot cannot be read. Each text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not what we write.
    #[error("understand the saved state: {0}")]
    Garbled(#[from] serde_json::Error),
    /// Written by a later release.
    #[error("understand the saved state: it has version {found}, and this release knows {VERSION}")]
    Version {
        /// The version in the file.
        found: u32,
    },
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    #[serde(rename = "intent")]
    durable: &'a DurableState,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Deserialize)]
struct Read {
    #[serde(rename = "intent")]
    durable: DurableState,
}

impl DurableState {
    /// The durable state as it is kept.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let written = Written {
            version: VERSION,
            durable: self,
        };
        serde_json::to_vec(&written).expect("maps with plain keys can always be written as JSON")
    }

    /// Reads what [`to_snapshot`](Self::to_snapshot) wrote.
    ///
    /// # Errors
    /// When it did not write that. There is no way on from there: without the ids that were
    /// given out, two runners could get the same one.
    pub fn from_snapshot(snapshot: &[u8], now: Timestamp) -> Result<Self, SnapshotError> {
        let Version { version } = serde_json::from_slice(snapshot)?;
        if version != VERSION {
            return Err(SnapshotError::Version { found: version });
        }
        let Read { mut durable } = serde_json::from_slice(snapshot)?;
        durable.forget_the_future(now);
        Ok(durable)
    }

    /// After a clock was set back, moments may lie ahead; whatever began then began now. Otherwise
    /// deadlines would wait for the clock to catch up.
    fn forget_the_future(&mut self, now: Timestamp) {
        for record in self.runners.values_mut() {
            record.created_at = record.created_at.min(now);
        }
        for reservation in self.reservations.values_mut() {
            reservation.since = reservation.since.min(now);
            reservation.served_at = reservation.served_at.map(|served_at| served_at.min(now));
        }
        for fence in self.fences.values_mut() {
            fence.set_at = fence.set_at.min(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestPool, attempt_of_one, take_of_one, unique_id};

    #[test]
    fn a_snapshot_gives_back_what_was_written() {
        let mut pool = TestPool::with_idle(&[("linux", 2)]);
        pool.take("job", "linux", 1).unwrap();
        pool.monitor.release(
            &unique_id("other"),
            Some(attempt_of_one(4)),
            false,
            pool.now,
        );
        let durable = &pool.monitor.durable;
        let snapshot = durable.to_snapshot();
        let read = DurableState::from_snapshot(&snapshot, pool.now).unwrap();
        assert_eq!(read.to_snapshot(), snapshot);
        assert_eq!(read.next_id, RunnerId(2));
        assert_eq!(read.runners.len(), 2);
        assert_eq!(
            read.reservations[&unique_id("job")].runners[0].id,
            RunnerId(0)
        );
        assert_eq!(read.fences[&unique_id("other")].attempts[&1], 4);
    }

    #[test]
    fn a_reservation_is_stored_under_its_name_and_read_from_files_of_older_releases() {
        let mut pool = TestPool::with_idle(&[("linux", 1)]);
        let mut take = take_of_one("job");
        take.enqueued_at = Some(Timestamp::from_micros(5));
        pool.monitor.take(take, pool.now).unwrap();
        let snapshot = pool.monitor.durable.to_snapshot();
        let mut stored: serde_json::Value = serde_json::from_slice(&snapshot).unwrap();
        let reservation = stored["intent"]["reservations"]["job"]
            .as_object_mut()
            .unwrap();
        let keys: Vec<&str> = reservation.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "claims",
                "count",
                "enqueued_at",
                "has_labels",
                "profile_key",
                "qualified_repo",
                "run_id",
                "runners",
                "served_at",
                "since",
                "state",
            ]
        );
        assert_eq!(reservation.remove("enqueued_at"), Some(5.into()));
        let older = serde_json::to_vec(&stored).unwrap();
        let read = DurableState::from_snapshot(&older, pool.now).unwrap();
        let reservation = &read.reservations[&unique_id("job")];
        assert_eq!(reservation.enqueued_at, None);
        assert_eq!(reservation.job, take_of_one("job").job);
        let read = DurableState::from_snapshot(&snapshot, pool.now).unwrap();
        assert_eq!(read.to_snapshot(), snapshot);
    }

    #[test]
    fn a_snapshot_that_cannot_be_understood_is_refused() {
        for (snapshot, message) in [
            (&b""[..], "understand the saved state: EOF while parsing"),
            (
                b"{\"version\":1",
                "understand the saved state: EOF while parsing",
            ),
            (
                b"{\"version\":1}",
                "understand the saved state: missing field `intent`",
            ),
            (
                b"{\"version\":2,\"intent\":{}}",
                "understand the saved state: it has version 2",
            ),
            (b"\xff\xff", "understand the saved state: expected value"),
        ] {
            let error = DurableState::from_snapshot(snapshot, Timestamp::default()).unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }

    #[test]
    fn moments_that_lie_ahead_are_taken_for_now() {
        let mut pool = TestPool::with_idle(&[("linux", 1)]);
        pool.take("job", "linux", 1).unwrap();
        pool.monitor.release(
            &unique_id("other"),
            Some(attempt_of_one(4)),
            false,
            pool.now,
        );
        let snapshot = pool.monitor.durable.to_snapshot();
        let earlier = Timestamp::from_seconds(5);
        let read = DurableState::from_snapshot(&snapshot, earlier).unwrap();
        assert_eq!(read.runners[&RunnerId(0)].created_at, earlier);
        assert_eq!(read.reservations[&unique_id("job")].since, earlier);
        assert_eq!(read.fences[&unique_id("other")].set_at, earlier);
    }
}
