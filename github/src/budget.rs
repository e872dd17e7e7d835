//! What is not asked when little is left of the hourly limit, so that the rest lasts for what cannot
//! wait.
//!
//! Owns those shares. Whatever else is asked, such as registering or deleting a runner, never waits.

use std::{collections::VecDeque, time::Duration};

use super::{GithubStanding, RateLimit};
use shared::clock::Timestamp;

/// How long to wait before asking again for what was held back.
const PAUSE: Duration = Duration::from_secs(60);

/// The most claims that are looked into within a minute. Each takes two requests; GitHub lets nobody make
/// more than 900 within one, and strangers are not to be the ones who find out.
const CLAIMS_MAX: usize = 60;
/// That minute.
const CLAIMS_WINDOW: Duration = Duration::from_secs(60);

/// When the last claims were looked into.
#[derive(Debug, Default)]
pub(super) struct ClaimPace(VecDeque<Timestamp>);

impl ClaimPace {
    /// Notes one more claim; or, if there were too many, says how long it has to wait.
    pub(super) fn held_back(&mut self, now: Timestamp) -> Option<Duration> {
        while self.0.front().is_some_and(|at| *at + CLAIMS_WINDOW <= now) {
            self.0.pop_front();
        }
        match self.0.front() {
            Some(first) if self.0.len() >= CLAIMS_MAX => Some((*first + CLAIMS_WINDOW).since(now)),
            _ => {
                self.0.push_back(now);
                None
            }
        }
    }
}

/// What a question is for, if it can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A look at all runners. With little left there is one a minute, which is enough to see idle
    /// runners, and takes sixty of an hour's thousands.
    Look,
    /// A claim that comes with an artifact: anybody can make as many as they like.
    Proof,
    /// A look at what GitHub plans for weeks from now.
    Support,
}

impl Purpose {
    /// The share of the limit, in percent, that is kept for others.
    fn kept(self) -> u64 {
        match self {
            Self::Look => 10,
            Self::Proof | Self::Support => 20,
        }
    }

    /// How long a question has to wait, if it has to. `looked_at` is when the last look went out;
    /// all by GitHub's clock.
    pub(super) fn held_back(
        self,
        standing: &GithubStanding,
        looked_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Duration> {
        let limit = standing.rate_limit.as_ref()?;
        if now >= limit.reset_at || has_left(limit, self.kept()) {
            return None;
        }
        let wait = limit.reset_at.since(now).min(PAUSE);
        match self {
            Self::Proof | Self::Support => Some(wait),
            Self::Look => {
                let next_at = looked_at? + PAUSE;
                (now < next_at).then(|| next_at.since(now).min(wait))
            }
        }
    }
}

/// Whether more than `percent` of the limit is left.
fn has_left(limit: &RateLimit, percent: u64) -> bool {
    u128::from(limit.remaining) * 100 > u128::from(limit.limit) * u128::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Credential, GithubBoard};
    use shared::secret::Secret;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn with(remaining: u64) -> GithubStanding {
        let credential = Credential::Token(Secret::new("token"));
        let mut standing = GithubBoard::new(&credential).standing();
        standing.rate_limit = Some(RateLimit {
            limit: 1000,
            remaining,
            reset_at: at(3600),
            resource: "core".into(),
        });
        standing
    }

    #[test]
    fn the_less_is_left_the_more_is_held_back() {
        const WAIT: Option<Duration> = Some(PAUSE);
        for (remaining, look, proof) in [
            (1000, None, None),
            (201, None, None),
            (200, None, WAIT),
            (101, None, WAIT),
            (100, WAIT, WAIT),
            (0, WAIT, WAIT),
        ] {
            let standing = with(remaining);
            let ask = |purpose: Purpose| purpose.held_back(&standing, Some(at(1000)), at(1000));
            assert_eq!(ask(Purpose::Look), look, "{remaining}");
            assert_eq!(ask(Purpose::Proof), proof, "{remaining}");
        }
    }

    #[test]
    fn there_are_sixty_claims_a_minute_however_they_come() {
        let mut pace = ClaimPace::default();
        for claim in 0..60 {
            assert_eq!(pace.held_back(at(1000 + claim / 2)), None);
        }
        assert_eq!(pace.held_back(at(1030)), Some(Duration::from_secs(30)));
        // The two of the first second are a minute old.
        for expected in [None, None, Some(Duration::from_secs(1))] {
            assert_eq!(pace.held_back(at(1060)), expected);
        }
    }

    #[test]
    fn with_little_left_there_is_a_look_a_minute() {
        let look = |looked_at, now| Purpose::Look.held_back(&with(1), looked_at, at(now));
        assert_eq!(look(None, 1000), None);
        assert_eq!(look(Some(at(1000)), 1059), Some(Duration::from_secs(1)));
        assert_eq!(look(Some(at(1000)), 1060), None);
    }

    #[test]
    fn a_limit_beyond_all_numbers_is_not_used_up() {
        let mut standing = with(0);
        let limit = standing.rate_limit.as_mut().unwrap();
        (limit.limit, limit.remaining) = (u64::MAX, u64::MAX - 1);
        let held_back = Purpose::Proof.held_back(&standing, None, at(1000));
        assert_eq!(held_back, None);
    }

    #[test]
    fn nothing_is_held_back_once_the_limit_starts_afresh_or_is_not_known() {
        let held_back = |standing: &GithubStanding, now| {
            Purpose::Proof.held_back(standing, Some(at(now)), at(now))
        };
        assert_eq!(held_back(&with(0), 3590), Some(Duration::from_secs(10)));
        assert_eq!(held_back(&with(0), 3600), None);
        let mut unknown = with(0);
        unknown.rate_limit = None;
        assert_eq!(held_back(&unknown, 0), None);
    }
}
