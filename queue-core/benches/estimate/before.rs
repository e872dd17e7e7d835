//! Estimates how long a job will still wait, from how often runners were granted while jobs waited.
//!
//! Responsible for the recent gaps between two grants of one profile, and the arithmetic on them.
//! Without any gap there is no estimate.

use std::{collections::VecDeque, time::Duration};

use shared::{clock::Timestamp, wire::Estimate};

/// Maximum number of gaps that are kept: about the last hour of a busy profile.
const GAPS_MAX: usize = 64;
/// Nine in ten samples of a normal distribution are below the mean and this many deviations.
const DEVIATIONS_P90: f64 = 1.2816;

/// How often runners of one profile are granted under load.
#[derive(Debug, Default)]
pub struct WaitEstimator {
    gaps: VecDeque<Duration>,
    /// Time of the last grant, if a job still waited after it: only then is the time until the next
    /// grant a wait for a runner and not for a job.
    contended_since: Option<Timestamp>,
}

impl WaitEstimator {
    /// Records that `runners` were granted; `is_contended` says whether a job still waits.
    pub fn record_grant(&mut self, now: Timestamp, runners: usize, is_contended: bool) {
        if let Some(since) = self.contended_since {
            let per_runner = now.since(since) / u32::try_from(runners.max(1)).unwrap_or(u32::MAX);
            for _ in 0..runners.min(GAPS_MAX) {
                self.gaps.push_back(per_runner);
            }
            while self.gaps.len() > GAPS_MAX {
                self.gaps.pop_front();
            }
        }
        self.contended_since = is_contended.then_some(now);
    }

    /// Estimates the wait of a job that gets its runners once `runners` more are granted.
    ///
    /// The wait is the sum of `runners` gaps, which are taken as independent and identically
    /// distributed with the mean and the variance of the recorded gaps, less the time that has
    /// passed since the last grant.
    pub fn estimate(&self, now: Timestamp, runners: usize) -> Option<Estimate> {
        if self.gaps.is_empty() {
            return None;
        }
        let gaps: Vec<f64> = self.gaps.iter().map(Duration::as_secs_f64).collect();
        let known = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / known;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / known;
        let wanted = runners as f64;
        let passed = self
            .contended_since
            .map_or(0.0, |since| now.since(since).as_secs_f64())
            .min(mean);
        let middle = wanted * mean - passed;
        let seconds = |wait: f64| wait.max(0.0).ceil() as u64;
        Some(Estimate {
            p50_seconds: seconds(middle),
            p90_seconds: seconds(middle + DEVIATIONS_P90 * (wanted * variance).sqrt()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn there_is_no_estimate_without_a_gap() {
        let mut estimator = WaitEstimator::default();
        assert_eq!(estimator.estimate(at(0), 1), None);
        // A runner that was granted to the only job is no sign of how long jobs wait.
        estimator.record_grant(at(10), 1, false);
        estimator.record_grant(at(90), 1, true);
        assert_eq!(estimator.estimate(at(90), 1), None);
    }

    #[test]
    fn equal_gaps_give_an_estimate_without_spread() {
        let mut estimator = WaitEstimator::default();
        for grant in 0..10 {
            estimator.record_grant(at(grant * 60), 1, true);
        }
        for (now, runners, expected) in [(540, 1, 60), (540, 3, 180), (570, 1, 30), (900, 1, 0)] {
            let estimate = Estimate {
                p50_seconds: expected,
                p90_seconds: expected,
            };
            assert_eq!(
                estimator.estimate(at(now), runners),
                Some(estimate),
                "{runners} at {now}"
            );
        }
    }

    #[test]
    fn unequal_gaps_widen_the_estimate() {
        let mut estimator = WaitEstimator::default();
        let mut now = 0;
        for grant in 0..20 {
            estimator.record_grant(at(now), 1, true);
            now += if grant % 2 == 0 { 30 } else { 90 };
        }
        let Some(Estimate {
            p50_seconds,
            p90_seconds,
        }) = estimator.estimate(at(now - 90), 4)
        else {
            panic!("gaps are known");
        };
        assert!((220..=240).contains(&p50_seconds), "{p50_seconds}");
        assert!((295..=320).contains(&p90_seconds), "{p90_seconds}");
    }

    #[test]
    fn a_job_with_several_runners_counts_as_several_grants() {
        let mut estimator = WaitEstimator::default();
        estimator.record_grant(at(0), 1, true);
        estimator.record_grant(at(40), 4, true);
        assert_eq!(
            estimator.estimate(at(40), 1),
            Some(Estimate {
                p50_seconds: 10,
                p90_seconds: 10
            })
        );
    }

    #[test]
    fn the_number_of_gaps_is_limited() {
        let mut estimator = WaitEstimator::default();
        for (grant, runners) in [(0, 1), (10, GAPS_MAX - 2), (20, 4), (30, 1)] {
            estimator.record_grant(at(grant), runners, true);
        }
        assert_eq!(estimator.gaps.len(), GAPS_MAX);
    }

    #[test]
    fn only_recent_gaps_count() {
        let mut estimator = WaitEstimator::default();
        estimator.record_grant(at(0), 1, true);
        estimator.record_grant(at(10_000), 1, true);
        for grant in 1..=64 {
            estimator.record_grant(at(10_000 + grant * 5), 1, true);
        }
        assert_eq!(
            estimator.estimate(at(10_320), 1),
            Some(Estimate {
                p50_seconds: 5,
                p90_seconds: 5
            })
        );
    }
}
