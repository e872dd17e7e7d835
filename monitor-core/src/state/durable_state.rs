//! The state that survives a restart, and its form in a file.
//!
//! Responsible for the format of the snapshot. Not responsible for where it is kept. It never
//! contains a secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{
    clock::Timestamp,
    operator::Intervention,
    values::{ProfileKey, UniqueId},
    wire::ReservationState,
};

use super::{
    fencing::Fence,
    reservation::Reservation,
    runner::{MustDestroy, Registrar, RunnerRecord},
    target_override::TargetOverride,
};
use crate::{Policy, RunnerId, target_override::COUNT_MAX};

/// Version of the format. A change that older releases cannot read gets the next one, so names in
/// the file may differ from those in the code.
const VERSION: u32 = 1;
/// 2020-01-01: earlier times come from a clock that had not been set.
const CLOCK_SET: Timestamp = Timestamp::from_seconds(1_577_836_800);

/// The highest id of a runner, which no server reaches.
const RUNNER_ID_MAX: u64 = u64::MAX / 2;
/// The longest label of a runner, in characters.
const LABEL_LENGTH_MAX: usize = 256;

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
    /// Missing in files of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Intervention>,
    /// The rebuilds of images that operators have ordered. Missing in files of earlier releases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rebuilds: BTreeMap<ProfileKey, Intervention>,
}

/// Why a snapshot cannot be read. Each text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It does not have the expected form.
    #[error("understand the saved state: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It contains a value that this program never writes.
    #[error("understand the saved state: {0}")]
    Impossible(String),
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
        state.validate().map_err(SnapshotError::Impossible)?;
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

    /// Finds values that are impossible: the file was edited, or damaged before it was written. What follows
    /// from them, such as an id that is given out again, would be worse than a monitor that does not start.
    fn validate(&self) -> Result<(), String> {
        let next_id = self.next_id;
        if next_id.0 > RUNNER_ID_MAX {
            return Err(format!("next_id is {next_id}, above {RUNNER_ID_MAX}"));
        }
        if let Some((id, _)) = self.runners.last_key_value()
            && *id >= next_id
        {
            return Err(format!("there is a runner {id}, but next_id is {next_id}"));
        }
        let mut holders = BTreeMap::new();
        for (unique_id, reservation) in &self.reservations {
            let runners = &reservation.runners;
            let count = reservation.job.count.get();
            if runners.len() != count {
                return Err(format!(
                    "the reservation {unique_id} has {} runners instead of {count}",
                    runners.len()
                ));
            }
            for runner in runners {
                let id = runner.id;
                if id >= next_id {
                    return Err(format!(
                        "the reservation {unique_id} has runner {id}, but next_id is {next_id}"
                    ));
                }
                let length = runner.label.chars().count();
                if !(1..=LABEL_LENGTH_MAX).contains(&length) || runner.label.contains(',') {
                    return Err(format!(
                        "a label of the reservation {unique_id} is not 1 to {LABEL_LENGTH_MAX} characters \
                         without a comma"
                    ));
                }
                let is_open = reservation.state != ReservationState::Finished;
                if is_open && let Some(other) = holders.insert(id, unique_id) {
                    return Err(format!(
                        "runner {id} is reserved twice, for {other} and for {unique_id}"
                    ));
                }
            }
        }
        let counts = self.target_override.iter().flat_map(|it| &it.counts);
        match counts.into_iter().find(|(_, count)| **count > COUNT_MAX) {
            Some((profile_key, count)) => Err(format!(
                "the temporary target of {profile_key} is {count}, above {COUNT_MAX}"
            )),
            None => Ok(()),
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
        for intervention in self.rebuilds.values_mut().chain(&mut self.drain) {
            intervention.since = clamp(intervention.since);
        }
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
    fn impossible_values_are_refused() {
        let snapshot: serde_json::Value =
            serde_json::from_slice(&pool().monitor.snapshot()).unwrap();
        let refusal = |path: &str, value: serde_json::Value| {
            let mut changed = snapshot.clone();
            let at = changed.pointer_mut(path);
            *at.unwrap_or_else(|| panic!("{path} is in {snapshot}")) = value;
            let read =
                DurableState::from_snapshot(changed.to_string().as_bytes(), Timestamp::default());
            read.map(drop).unwrap_err().to_string()
        };
        let reserved = "/intent/reservations/job/runners";
        let twice = {
            let job = snapshot.pointer("/intent/reservations/job").unwrap();
            serde_json::json!({ "job": job, "other": job })
        };
        let counts = serde_json::json!({"since": 1, "counts": {"linux": 1001}, "come": {}});
        let long = "l".repeat(257);
        for (path, value, problem) in [
            (
                "/intent/next_id",
                1.into(),
                "there is a runner 1, but next_id is 1",
            ),
            (
                "/intent/next_id",
                u64::MAX.into(),
                "next_id is 18446744073709551615, above 9223372036854775807",
            ),
            (
                "/intent/reservations/job/count",
                2.into(),
                "the reservation job has 1 runners instead of 2",
            ),
            (
                &format!("{reserved}/0/id"),
                9.into(),
                "the reservation job has runner 9, but next_id is 2",
            ),
            (
                &format!("{reserved}/0/label"),
                "a,b".into(),
                "a label of the reservation job is not 1 to 256 characters without a comma",
            ),
            (
                &format!("{reserved}/0/label"),
                long.into(),
                "a label of the reservation job is not 1 to 256 characters without a comma",
            ),
            (
                "/intent/reservations",
                twice,
                "runner 0 is reserved twice, for job and for other",
            ),
            (
                "/intent/target_override",
                counts,
                "the temporary target of linux is 1001, above 1000",
            ),
        ] {
            let expected = format!("understand the saved state: {problem}");
            assert_eq!(refusal(path, value), expected);
        }
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
        let order = target_override.order;
        assert_eq!((&*order.note, &*order.author), ("", ""));
        assert_eq!(order.client_address, None);
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
