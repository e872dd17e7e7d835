//! The pace of responses that any client can ask for without credentials: large pages, and errors.
//!
//! Guarantees that readers of pages leave nearly all of the time of the workers to jobs and servers,
//! however many there are. Beyond the pace a response waits for its turn, in the order of the requests.
//! Without many readers nothing waits.

use std::{sync::LazyLock, time::Duration};

use parking_lot::Mutex;
use shared::clock::{Clock, Timestamp};

/// How long the response to one page keeps others waiting, and how much longer for each byte: about 250
/// pages of 100 kB a second, or 32 MB a second.
const PAGE_COST: Duration = Duration::from_millis(1);
const NANOS_PER_BYTE: u64 = 30;
/// How long an error keeps others waiting: 2,000 a second.
const ERROR_COST: Duration = Duration::from_micros(500);
/// How much can be sent at once after a quiet time.
const BURST: Duration = Duration::from_millis(250);
/// The longest wait. Requests that would wait longer are refused.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Bodies up to this length, in bytes, are not pages.
pub(crate) const SMALL: usize = 4096;

/// The pace of this process.
pub(crate) static PAGES: Pace = Pace(Mutex::new(Timestamp::from_micros(0)));
pub(crate) static ERRORS: Pace = Pace(Mutex::new(Timestamp::from_micros(0)));
static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);

/// When everything that has been let through so far is paid for.
pub(crate) struct Pace(Mutex<Timestamp>);

/// There are so many requests that this one would wait too long.
#[derive(Debug, PartialEq)]
pub(crate) struct Overload;

/// The cost of a page of that length.
pub(crate) fn page_cost(length: usize) -> Duration {
    let bytes = u64::try_from(length).unwrap_or(u64::MAX);
    PAGE_COST + Duration::from_nanos(bytes.saturating_mul(NANOS_PER_BYTE))
}

impl Pace {
    /// How long a response of that cost has to wait from `now` on.
    fn reserve(&self, cost: Duration, now: Timestamp) -> Result<Duration, Overload> {
        let mut paid_at = self.0.lock();
        let wait = paid_at.since(now);
        if wait > WAIT_MAX {
            return Err(Overload);
        }
        *paid_at = (*paid_at).max(now - BURST) + cost;
        Ok(wait)
    }

    /// Waits for the turn of a response of that cost.
    pub(crate) async fn wait(&self, cost: Duration) -> Result<(), Overload> {
        let wait = self.reserve(cost, CLOCK.now())?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

/// Waits for the turn of an error; during an overload as long as possible.
pub(crate) async fn wait_for_error() {
    if ERRORS.wait(ERROR_COST).await.is_err() {
        tokio::time::sleep(WAIT_MAX).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_pages_never_wait_and_many_wait_for_their_turn() {
        let pace = Pace(Mutex::new(Timestamp::from_micros(0)));
        let cost = page_cost(100_000);
        assert_eq!(cost, Duration::from_millis(4));
        let now = Timestamp::from_seconds(1000);
        let waits: Vec<_> = (0..2000).map(|_| pace.reserve(cost, now)).collect();
        let immediate = waits
            .iter()
            .filter(|wait| **wait == Ok(Duration::ZERO))
            .count();
        assert_eq!(immediate, 63, "a burst of 250 ms");
        assert_eq!(waits[64], Ok(Duration::from_millis(6)));
        assert_eq!(waits[1999], Err(Overload));
        let longest = waits.iter().filter_map(|wait| wait.as_ref().ok()).max();
        assert!(longest <= Some(&WAIT_MAX), "{longest:?}");
        let later = now + Duration::from_secs(10);
        assert_eq!(pace.reserve(cost, later), Ok(Duration::ZERO));
    }

    #[test]
    fn an_enormous_page_waits_for_its_bytes() {
        assert!(page_cost(32 << 20) > Duration::from_millis(900));
        assert!(page_cost(usize::MAX) > Duration::from_secs(1));
    }
}
