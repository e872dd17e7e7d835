//! Runs and artifacts that GitHub does not list, or not yet: it shows them some seconds after they were
//! created.
//!
//! Responsible for how long a client is asked to ask again, and for which claims are answered from memory.
//! The first request for a missing artifact starts the time in which it may appear; afterwards it counts as
//! missing.

use std::{collections::BTreeMap, time::Duration};

use super::{Rejection, UnverifiedIdentity, VerifyError};
use shared::{
    clock::Timestamp,
    values::{QualifiedRepo, RunId, UniqueId},
};

/// How long a run or an artifact may take to appear.
const LAG_MAX: Duration = Duration::from_secs(30);
/// How often GitHub is asked for the same before its answers are repeated from memory.
const CHECKS_AT_ONCE: u32 = 3;
/// How long what GitHub said is repeated while the artifact may still appear: less than the time after
/// which clients ask again, so that each attempt of an honest client is checked.
const EARLY_PAUSE: Duration = Duration::from_millis(1500);
/// The same once it counts as missing.
const LATE_PAUSE: Duration = Duration::from_secs(60);
/// How long a missing artifact is remembered, so that its time does not start again.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// The most runs, and the most artifacts, that are remembered. Beyond it the oldest is forgotten.
const COUNT_MAX: usize = 1000;

/// A run, by the name of its repository in lower case.
type RunKey = (String, RunId);

/// What was missing at GitHub, each with the time of the first request.
#[derive(Debug, Default)]
pub(super) struct Missing {
    runs: Entries<RunKey>,
    artifacts: Entries<(RunKey, UniqueId)>,
}

#[derive(Debug)]
struct Entries<K>(BTreeMap<K, Entry>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    first_at: Timestamp,
    last_at: Timestamp,
    check_count: u32,
}

impl Missing {
    /// The answer to a claim at `now` that needs no request to GitHub, if there is one.
    pub(super) fn recall(
        &self,
        identity: &UnverifiedIdentity,
        now: Timestamp,
    ) -> Option<VerifyError> {
        let run = run_of(identity);
        if let Some(entry) = self.runs.fresh(&run, now) {
            return Some(entry.answer(Rejection::UnknownRun, now));
        }
        let artifact = (run, identity.unique_id.clone());
        let entry = self.artifacts.fresh(&artifact, now)?;
        Some(entry.answer(Rejection::NoArtifact, now))
    }

    /// The outcome of a check at `now`, with "not yet" where the artifact may still appear.
    pub(super) fn judge<T>(
        &mut self,
        identity: &UnverifiedIdentity,
        now: Timestamp,
        outcome: Result<T, VerifyError>,
    ) -> Result<T, VerifyError> {
        let entry = match &outcome {
            Err(VerifyError::Rejected(Rejection::UnknownRun)) => {
                self.runs.record(run_of(identity), now)
            }
            Err(VerifyError::Rejected(Rejection::NoArtifact)) => {
                let artifact = (run_of(identity), identity.unique_id.clone());
                self.artifacts.record(artifact, now)
            }
            _ => return outcome,
        };
        outcome.map_err(|error| match error {
            VerifyError::Rejected(rejection) => entry.answer(rejection, now),
            error => error,
        })
    }
}

fn run_of(identity: &UnverifiedIdentity) -> RunKey {
    (key_of(&identity.qualified_repo), identity.run_id)
}

/// A repository's name, as GitHub compares it.
pub(super) fn key_of(repo: &QualifiedRepo) -> String {
    repo.as_str().to_ascii_lowercase()
}

impl Entry {
    fn answer(&self, rejection: Rejection, now: Timestamp) -> VerifyError {
        if self.is_early(now) {
            VerifyError::NotYet(rejection)
        } else {
            rejection.into()
        }
    }

    fn is_early(&self, now: Timestamp) -> bool {
        now < self.first_at + LAG_MAX
    }

    /// When the next claim is checked again.
    fn checked_again_at(&self) -> Timestamp {
        let pause = if self.is_early(self.last_at) {
            EARLY_PAUSE
        } else {
            LATE_PAUSE
        };
        self.last_at + pause
    }
}

impl<K: Ord + Clone> Entries<K> {
    /// The entry, if no new check is due.
    fn fresh(&self, key: &K, now: Timestamp) -> Option<Entry> {
        let entry = self.0.get(key)?;
        let is_fresh = entry.check_count >= CHECKS_AT_ONCE && now < entry.checked_again_at();
        is_fresh.then_some(*entry)
    }

    /// Records that it was missing at `now`.
    fn record(&mut self, key: K, now: Timestamp) -> Entry {
        self.0.retain(|_, entry| now < entry.first_at + REMEMBERED);
        if self.0.len() >= COUNT_MAX && !self.0.contains_key(&key) {
            let oldest = self.0.iter().min_by_key(|(_, entry)| entry.last_at);
            if let Some(oldest) = oldest.map(|(oldest, _)| oldest.clone()) {
                self.0.remove(&oldest);
            }
        }
        let entry = self.0.entry(key).or_insert(Entry {
            first_at: now,
            last_at: now,
            check_count: 0,
        });
        entry.last_at = now;
        entry.check_count = entry.check_count.saturating_add(1);
        *entry
    }
}

impl<K> Default for Entries<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1000);

    fn identity(unique_id: &str, run_id: u64) -> UnverifiedIdentity {
        UnverifiedIdentity {
            unique_id: unique_id.parse().unwrap(),
            qualified_repo: "acme/widgets".parse().unwrap(),
            run_id: RunId(run_id),
        }
    }

    fn judge(
        missing: &mut Missing,
        millis: u64,
        identity: &UnverifiedIdentity,
        rejection: Rejection,
    ) -> VerifyError {
        let now = NOW + Duration::from_millis(millis);
        let outcome = Err::<(), _>(rejection.into());
        missing.judge(identity, now, outcome).unwrap_err()
    }

    #[test]
    fn a_missing_artifact_may_still_appear_for_half_a_minute() {
        for rejection in [Rejection::NoArtifact, Rejection::UnknownRun] {
            let mut missing = Missing::default();
            let identity = identity("a", 7);
            for (seconds, is_early) in
                [(0, true), (3, true), (29, true), (30, false), (3599, false)]
            {
                let error = judge(&mut missing, seconds * 1000, &identity, rejection.clone());
                let expected = match is_early {
                    true => VerifyError::NotYet(rejection.clone()),
                    false => VerifyError::Rejected(rejection.clone()),
                };
                assert_eq!(error, expected, "{seconds}");
            }
            let again = judge(&mut missing, 3_600_000, &identity, rejection.clone());
            assert_eq!(again, VerifyError::NotYet(rejection));
            assert_eq!(again.retry_after(), Some(Duration::from_secs(2)));
        }
    }

    #[test]
    fn a_claim_is_answered_from_memory_until_the_next_check_is_due() {
        let mut missing = Missing::default();
        let claim = identity("a", 7);
        for _ in 0..CHECKS_AT_ONCE {
            assert_eq!(
                missing.recall(&claim, NOW),
                None,
                "the first ones are checked"
            );
            judge(&mut missing, 0, &claim, Rejection::NoArtifact);
        }
        let mut recall_after = |checked_at: u64, millis: u64| {
            judge(&mut missing, checked_at, &claim, Rejection::NoArtifact);
            let now = NOW + Duration::from_millis(checked_at + millis);
            missing.recall(&claim, now)
        };
        let not_yet = || Some(VerifyError::NotYet(Rejection::NoArtifact));
        assert_eq!(recall_after(0, 1499), not_yet());
        assert_eq!(recall_after(0, 1500), None, "clients ask again after 2 s");
        let gone = || Some(VerifyError::Rejected(Rejection::NoArtifact));
        assert_eq!(recall_after(40_000, 59_999), gone());
        assert_eq!(recall_after(40_000, 60_000), None);
    }

    #[test]
    fn all_claims_of_an_unknown_run_are_answered_from_memory_and_no_other() {
        let mut missing = Missing::default();
        for name in ["a", "b", "c"] {
            judge(&mut missing, 0, &identity(name, 7), Rejection::UnknownRun);
            judge(&mut missing, 0, &identity("b", 8), Rejection::NoArtifact);
        }
        let recall = |identity: UnverifiedIdentity| missing.recall(&identity, NOW).is_some();
        assert!(recall(identity("z", 7)));
        assert!(!recall(identity("a", 6)));
        assert!(recall(identity("b", 8)));
        assert!(!recall(identity("z", 8)));
        let mut of_other_repo = identity("a", 7);
        of_other_repo.qualified_repo = "acme/other".parse().unwrap();
        assert!(!recall(of_other_repo));
        let mut in_other_case = identity("a", 7);
        in_other_case.qualified_repo = "Acme/WIDGETS".parse().unwrap();
        assert!(recall(in_other_case));
    }

    #[test]
    fn only_what_may_be_early_is_asked_for_again() {
        let mut missing = Missing::default();
        let claim = identity("a", 7);
        for rejection in [
            Rejection::Deleted,
            Rejection::NotAZip,
            Rejection::ForeignRepo,
        ] {
            let error = judge(&mut missing, 0, &claim, rejection.clone());
            assert_eq!(error, VerifyError::Rejected(rejection));
        }
        assert_eq!(missing.judge(&claim, NOW, Ok(1)), Ok(1));
        assert_eq!(missing.recall(&claim, NOW), None);
    }

    #[test]
    fn the_number_of_remembered_claims_is_limited() {
        let mut missing = Missing::default();
        for number in 0..=COUNT_MAX as u64 {
            let claim = identity(&number.to_string(), 7);
            judge(&mut missing, number, &claim, Rejection::NoArtifact);
        }
        assert_eq!(missing.artifacts.0.len(), COUNT_MAX);
        let kept = judge(
            &mut missing,
            30_001,
            &identity("1", 7),
            Rejection::NoArtifact,
        );
        assert_eq!(kept, VerifyError::Rejected(Rejection::NoArtifact));
    }
}
