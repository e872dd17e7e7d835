//! The state that survives a restart, and its form in a file.
//!
//! Responsible for the format of the snapshot. Not responsible for where it is kept. It never
//! contains a secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{clock::Timestamp, values::UniqueId};

use super::{
    fencing::Fence,
    reservation::Reservation,
    runner::{MustDestroy, Registrar, RunnerRecord},
    target_override::TargetOverride,
};
use crate::{Policy, RunnerId};

/// Version of the format. A change that older releases cannot read gets the next one, so names in
/// the file may differ from those in the code.
const VERSION: u32 = 1;
/// 2020-01-01: earlier times come from a clock that had not been set.
const CLOCK_SET: Timestamp = Timestamp::from_seconds(1_577_836_800);

/// Everything that polling would not show again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DurableState {
    /// Id of the next runner.
    pub next_id: RunnerId,
    /// Every runner of which something may be left.
    pub runners: BTreeMap<RunnerId, RunnerRecord>,
    /// Reservations, including finished ones.
    #[serde(with = "super::reservation::stored")]
    pub reservations: BTreeMap<UniqueId, Reservation>,
    /// Released tokens, whose takes are refused.
    pub fences: BTreeMap<UniqueId, Fence>,
    pub target_override: Option<TargetOverride>,
}

/// Why a snapshot cannot be read. Each text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It does not have the expected form.
    #[error("understand the saved state: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It was written by a later release.
    #[error(
        "understand the saved state: it has version {found}, and this release knows {VERSION}; \
         install the release that wrote it, or a later one"
    )]
    Version {
        /// The version in the file.
        found: u32,
    },
}

/// What is written.
#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    #[serde(rename = "intent")]
    state: &'a DurableState,
}

/// The part that is read first.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The part that is read once the version is known.
#[derive(Deserialize)]
struct Read {
    #[serde(rename = "intent")]
    state: DurableState,
}

impl DurableState {
    /// The content of the file.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let written = Written {
            version: VERSION,
            state: self,
        };
        serde_json::to_vec(&written).expect("maps with plain keys can always be written as JSON")
    }

    /// Reads what [`to_snapshot`](Self::to_snapshot) wrote.
    ///
    /// # Errors
    /// If it cannot be read. There is no fallback: without the ids that were given out, two runners
    /// could get the same one.
    pub fn from_snapshot(snapshot: &[u8], now: Timestamp) -> Result<Self, SnapshotError> {
        let Version { version } = serde_json::from_slice(snapshot)?;
        if version != VERSION {
            return Err(SnapshotError::Version { found: version });
        }
        let Read { mut state } = serde_json::from_slice(snapshot)?;
        state.clamp_times(now);
        Ok(state)
    }

    /// Fills in what files of older releases lack, and applies what has changed in the settings: runners
    /// that are registered in another scope are no longer found by jobs.
    pub fn complete(&mut self, policy: &Policy) {
        for record in self.runners.values_mut() {
            let registrar = record.registrar.get_or_insert_with(|| Registrar {
                scope: policy.scope.clone(),
                suffix: policy.names.suffix.clone(),
            });
            match record.must_destroy {
                None if !policy.is_current_scope(&registrar.scope) => {
                    record.must_destroy = Some(MustDestroy::RegisteredElsewhere);
                }
                Some(MustDestroy::RegisteredElsewhere)
                    if policy.is_current_scope(&registrar.scope) =>
                {
                    record.must_destroy = None;
                }
                _ => {}
            }
        }
    }

    /// Replaces times in the future, which there are after the clock was set back, and times before the
    /// clock was first set, by `now`. Otherwise timeouts would last until the clock has caught up, or
    /// would all end at once when a machine that started in 1970 has learned the time.
    fn clamp_times(&mut self, now: Timestamp) {
        // Before that the clock had not been set yet: what began then has lasted for an unknown time.
        let clamp = |at: Timestamp| match at < CLOCK_SET && now >= CLOCK_SET {
            true => now,
            false => at.min(now),
        };
        for record in self.runners.values_mut() {
            record.created_at = clamp(record.created_at);
        }
        for reservation in self.reservations.values_mut() {
            reservation.since = clamp(reservation.since);
            reservation.finished_at = reservation.finished_at.map(clamp);
        }
        for fence in self.fences.values_mut() {
            fence.set_at = clamp(fence.set_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        MustDestroy,
        testing::{TestPool, take_of_one, token, unique_id},
    };

    const VERSION_1: &str = include_str!("durable_state/version-1.json");

    /// A pool with a reservation for `job` and a fence for `other`.
    fn pool() -> TestPool {
        let mut pool = TestPool::with_idle_linux(2);
        let mut take = take_of_one("job");
        take.token = Some(token(3));
        take.enqueued_at = Some(Timestamp::from_micros(5));
        pool.monitor.take(take, pool.now).unwrap();
        pool.release("other", Some(4), false);
        pool
    }

    fn read(snapshot: &[u8], now: Timestamp) -> DurableState {
        DurableState::from_snapshot(snapshot, now).unwrap()
    }

    #[test]
    fn a_snapshot_restores_what_was_written() {
        let pool = pool();
        let snapshot = pool.monitor.snapshot();
        let read = read(&snapshot, pool.now);
        assert_eq!(read.to_snapshot(), snapshot);
        assert_eq!(read.next_id, RunnerId(2));
        assert_eq!(read.runners.len(), 2);
        let reservation = &read.reservations[&unique_id("job")];
        assert_eq!(reservation.runners[0].id, RunnerId(0));
        assert_eq!(reservation.job, take_of_one("job").job);
        assert_eq!(reservation.enqueued_at, Some(Timestamp::from_micros(5)));
        assert!(read.fences[&unique_id("other")].released.covers(token(4)));
    }

    #[test]
    fn the_format_has_not_changed() {
        let snapshot = pool().monitor.snapshot();
        let json: serde_json::Value = serde_json::from_slice(&snapshot).unwrap();
        let text = serde_json::to_string_pretty(&json).unwrap();
        insta::assert_snapshot!(text);
    }

    /// Written by the first version of this format, with every kind of content.
    #[test]
    fn a_file_of_an_earlier_release_can_be_read() {
        let now = Timestamp::from_seconds(1_000_000);
        let state = read(VERSION_1.as_bytes(), now);
        let causes: Vec<_> = state.runners.values().map(|it| it.must_destroy).collect();
        assert_eq!(
            causes,
            [
                None,
                Some(MustDestroy::Released),
                Some(MustDestroy::Unknown),
                Some(MustDestroy::PartiallyCreated),
                Some(MustDestroy::LeftoverLabels),
            ]
        );
        let finished = &state.reservations[&unique_id("finished")];
        assert_eq!(finished.enqueued_at, None);
        assert_eq!(finished.finished_at, Some(Timestamp::from_seconds(900)));
        assert_eq!(finished.job.unique_id, unique_id("finished"));
        assert_eq!(finished.highest_sequence(), 7);
        assert!(state.fences[&unique_id("other")].released.covers(token(4)));
        let target_override = state.target_override.unwrap();
        let arrived: Vec<_> = target_override.arrived.values().flatten().collect();
        assert_eq!(arrived, [&RunnerId(0)]);
    }

    #[test]
    fn a_snapshot_that_cannot_be_read_is_an_error() {
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
                "understand the saved state: it has version 2, and this release knows 1",
            ),
            (b"\xff\xff", "understand the saved state: expected value"),
        ] {
            let error = DurableState::from_snapshot(snapshot, Timestamp::default()).unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }

    #[test]
    fn runners_that_are_registered_in_the_scope_of_the_settings_are_kept() {
        let pool = pool();
        for (scope, expected) in [
            ("/orgs/other", Some(MustDestroy::RegisteredElsewhere)),
            ("/orgs/owner", None),
        ] {
            // Of a runner that was to be destroyed before, because the settings have changed twice.
            for former in [None, Some(MustDestroy::RegisteredElsewhere)] {
                let mut state = read(&pool.monitor.snapshot(), pool.now);
                let record = state.runners.get_mut(&RunnerId(0)).unwrap();
                record.must_destroy = former;
                let mut policy = pool.monitor.policy.clone();
                policy.scope = scope.to_owned();
                state.complete(&policy);
                let must_destroy = state.runners[&RunnerId(0)].must_destroy;
                assert_eq!(must_destroy, expected, "{scope} {former:?}");
            }
        }
    }

    #[test]
    fn times_before_the_clock_was_set_are_replaced_by_now() {
        let mut state = read(&pool().monitor.snapshot(), Timestamp::from_seconds(1000));
        let now = CLOCK_SET + Duration::from_secs(10);
        let moment_before = CLOCK_SET - Duration::from_micros(1);
        for (created_at, expected) in [(moment_before, now), (CLOCK_SET, CLOCK_SET)] {
            let record = state.runners.get_mut(&RunnerId(0)).unwrap();
            record.created_at = created_at;
            state.clamp_times(now);
            assert_eq!(state.runners[&RunnerId(0)].created_at, expected);
        }
    }

    #[test]
    fn times_in_the_future_are_replaced_by_now() {
        let snapshot = pool().monitor.snapshot();
        let earlier = Timestamp::from_seconds(5);
        let state = read(&snapshot, earlier);
        assert_eq!(state.runners[&RunnerId(0)].created_at, earlier);
        assert_eq!(state.reservations[&unique_id("job")].since, earlier);
        assert_eq!(state.fences[&unique_id("other")].set_at, earlier);
        let state = read(VERSION_1.as_bytes(), earlier);
        let finished = &state.reservations[&unique_id("finished")];
        assert_eq!(finished.finished_at, Some(earlier));
    }
}
