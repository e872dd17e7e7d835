//! Which requests are deferred when little is left of the hourly rate limit.
//!
//! Responsible for those shares. Other requests, such as registering or deleting a runner, are
//! never deferred.

use std::time::Duration;

use super::{ApiStatus, RateLimit};
use shared::clock::Timestamp;

/// How long a deferred request waits, and the interval of the runner lists when little is left.
const PAUSE: Duration = Duration::from_secs(60);

/// The priority of a request that can be deferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    /// The list of all runners. When little is left it is requested once a minute, which is enough
    /// to notice idle runners and takes 60 of an hour's thousands of requests.
    ListRunners,
    /// Artifact authentication, which any client may ask for as often as it likes.
    Authentication,
    /// The support period of runner software, which ends in weeks.
    SoftwareSupport,
}

impl Priority {
    /// The share of the limit, in percent, that is kept for more urgent requests.
    fn reserve(self) -> u64 {
        match self {
            Self::ListRunners => 10,
            Self::Authentication | Self::SoftwareSupport => 20,
        }
    }

    /// Returns how long a request has to wait if too little is left. `listed_for` is how long ago the
    /// runners were last listed.
    pub(super) fn admit(
        self,
        status: &ApiStatus,
        listed_for: Option<Duration>,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let Some(limit) = &status.rate_limit else {
            return Ok(());
        };
        if now >= limit.reset_at || has_left(limit, self.reserve()) {
            return Ok(());
        }
        let wait = limit.reset_at.since(now).min(PAUSE);
        match self {
            Self::Authentication | Self::SoftwareSupport => Err(wait),
            Self::ListRunners => match listed_for {
                Some(listed_for) if listed_for < PAUSE => Err((PAUSE - listed_for).min(wait)),
                _ => Ok(()),
            },
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
    use crate::{ApiStatusCell, Credentials};
    use shared::secret::Secret;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn status_with(remaining: u64) -> ApiStatus {
        let credentials = Credentials::Token(Secret::new("token"));
        let mut status = ApiStatusCell::new(&credentials).read();
        status.rate_limit = Some(RateLimit {
            limit: 1000,
            remaining,
            reset_at: at(3600),
            resource: "core".into(),
        });
        status
    }

    #[test]
    fn the_less_is_left_the_more_is_deferred() {
        const WAIT: Result<(), Duration> = Err(PAUSE);
        for (remaining, list, authentication) in [
            (1000, Ok(()), Ok(())),
            (201, Ok(()), Ok(())),
            (200, Ok(()), WAIT),
            (101, Ok(()), WAIT),
            (100, WAIT, WAIT),
            (0, WAIT, WAIT),
        ] {
            let status = status_with(remaining);
            let admit =
                |priority: Priority| priority.admit(&status, Some(Duration::ZERO), at(1000));
            assert_eq!(admit(Priority::ListRunners), list, "{remaining}");
            assert_eq!(
                admit(Priority::Authentication),
                authentication,
                "{remaining}"
            );
        }
    }

    #[test]
    fn with_little_left_runners_are_listed_once_a_minute() {
        let list = |listed_for: Option<u64>| {
            let listed_for = listed_for.map(Duration::from_secs);
            Priority::ListRunners.admit(&status_with(1), listed_for, at(1000))
        };
        assert_eq!(list(None), Ok(()));
        assert_eq!(list(Some(59)), Err(Duration::from_secs(1)));
        assert_eq!(list(Some(60)), Ok(()));
    }

    #[test]
    fn the_share_of_an_enormous_limit_does_not_overflow() {
        let mut status = status_with(0);
        let limit = status.rate_limit.as_mut().unwrap();
        (limit.limit, limit.remaining) = (u64::MAX, u64::MAX - 1);
        let admitted = Priority::Authentication.admit(&status, None, at(1000));
        assert_eq!(admitted, Ok(()));
    }

    #[test]
    fn nothing_is_deferred_after_the_reset_or_while_the_limit_is_unknown() {
        let admit = |status: &ApiStatus, now| {
            Priority::Authentication.admit(status, Some(Duration::ZERO), at(now))
        };
        assert_eq!(admit(&status_with(0), 3590), Err(Duration::from_secs(10)));
        assert_eq!(admit(&status_with(0), 3600), Ok(()));
        let mut unknown = status_with(0);
        unknown.rate_limit = None;
        assert_eq!(admit(&unknown, 0), Ok(()));
    }
}
