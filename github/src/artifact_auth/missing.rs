//! Artifacts that are not listed yet: GitHub shows them some seconds after their upload.
//!
//! Responsible for how long a client is asked to ask again. The first request for a missing artifact
//! starts that time; afterwards the artifact counts as missing.

use std::{collections::VecDeque, time::Duration};

use super::{UnverifiedIdentity, VerifyError};
use shared::clock::Timestamp;

/// How long an artifact may take to appear.
const LAG_MAX: Duration = Duration::from_secs(30);
/// How long a missing artifact is remembered, so that its time does not start again.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// The most that are remembered. Beyond it the oldest is forgotten.
const COUNT_MAX: usize = 1000;

/// The identities whose artifact was missing, each with the time of the first request; oldest first.
#[derive(Debug, Default)]
pub(super) struct EarlyRequests(VecDeque<(UnverifiedIdentity, Timestamp)>);

impl EarlyRequests {
    /// The outcome of a check at `now`, with "not yet" where the artifact may still appear.
    pub(super) fn judge<T>(
        &mut self,
        identity: &UnverifiedIdentity,
        now: Timestamp,
        outcome: Result<T, VerifyError>,
    ) -> Result<T, VerifyError> {
        let rejection = match outcome {
            Err(VerifyError::Rejected(rejection)) if rejection.may_be_early() => rejection,
            outcome => return outcome,
        };
        if now < self.first_at(identity, now) + LAG_MAX {
            Err(VerifyError::NotYet(rejection))
        } else {
            Err(rejection.into())
        }
    }

    /// When the artifact was missing first.
    fn first_at(&mut self, identity: &UnverifiedIdentity, now: Timestamp) -> Timestamp {
        let is_old = |first: &(_, Timestamp)| first.1 + REMEMBERED <= now;
        while self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
        let known = self.0.iter().find(|(known, _)| known == identity);
        if let Some(&(_, first_at)) = known {
            return first_at;
        }
        if self.0.len() >= COUNT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((identity.clone(), now));
        now
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Rejection, *};
    use shared::values::RunId;

    const NOW: Timestamp = Timestamp::from_seconds(1000);

    fn identity(unique_id: &str) -> UnverifiedIdentity {
        UnverifiedIdentity {
            unique_id: unique_id.parse().unwrap(),
            qualified_repo: "acme/widgets".parse().unwrap(),
            run_id: RunId(7),
        }
    }

    fn judge(
        early: &mut EarlyRequests,
        seconds: u64,
        unique_id: &str,
        rejection: Rejection,
    ) -> VerifyError {
        let now = NOW + Duration::from_secs(seconds);
        let outcome = Err::<(), _>(rejection.into());
        early.judge(&identity(unique_id), now, outcome).unwrap_err()
    }

    #[test]
    fn a_missing_artifact_may_still_appear_for_half_a_minute() {
        let mut early = EarlyRequests::default();
        for (seconds, is_early) in [(0, true), (3, true), (29, true), (30, false), (3599, false)] {
            for rejection in [Rejection::NoArtifact, Rejection::UnknownRun] {
                let error = judge(&mut early, seconds, "a", rejection.clone());
                let expected = match is_early {
                    true => VerifyError::NotYet(rejection),
                    false => VerifyError::Rejected(rejection),
                };
                assert_eq!(error, expected, "{seconds}");
            }
        }
        let again = judge(&mut early, 3600, "a", Rejection::NoArtifact);
        assert_eq!(again, VerifyError::NotYet(Rejection::NoArtifact));
        assert_eq!(again.retry_after(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn only_what_may_be_early_is_asked_for_again() {
        let mut early = EarlyRequests::default();
        for rejection in [
            Rejection::Deleted,
            Rejection::NotAZip,
            Rejection::ForeignRepo,
        ] {
            let error = judge(&mut early, 0, "a", rejection.clone());
            assert_eq!(error, VerifyError::Rejected(rejection));
        }
        assert_eq!(early.judge(&identity("a"), NOW, Ok(1)), Ok(1));
        assert!(early.0.is_empty());
    }

    #[test]
    fn the_number_of_remembered_identities_is_limited() {
        let mut early = EarlyRequests::default();
        for number in 0..=COUNT_MAX {
            judge(&mut early, 0, &number.to_string(), Rejection::NoArtifact);
        }
        assert_eq!(early.0.len(), COUNT_MAX);
        let kept = judge(&mut early, 30, "1", Rejection::NoArtifact);
        assert_eq!(kept, VerifyError::Rejected(Rejection::NoArtifact));
    }
}
