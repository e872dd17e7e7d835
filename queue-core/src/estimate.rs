//! How long a job must still wait, judged by how often a runner came free while others waited.
//!
//! Owns the memory of recent gaps between two grants of one profile and the arithmetic on it.
//! Says nothing when it knows nothing.

use std::{collections::VecDeque, time::Duration};

use shared::{clock::Timestamp, wire::Estimate};

/// How many gaps are remembered: the last hour or so of a busy profile.
const GAPS_MAX: usize = 64;
/// Nine in ten samples of a normal distribution are below the mean and this many deviations.
const DEVIATIONS_P90: f64 = 1.2816;

/// The rhythm in which runners of one profile are granted under load.
#[derive(Debug, Default)]
pub struct Rhythm {
    gaps: VecDeque<Duration>,
    /// The last grant, if somebody was left waiting after it: only then is the time until the
    /// next one a wait for a runner and not for a job.
    contended_since: Option<Timestamp>,
}

impl Rhythm {
    /// `runners` were granted; `is_contended` says whether somebody still waits.
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

    /// The wait for a job that gets its runners when `runners` more have come free.
    ///
    /// The sum of `runners` gaps, taken as independent and alike: mean and spread are those of
    /// the gaps remembered, less the time that has passed since the last grant.
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
    fn nothing_is_said_when_nothing_is_known() {
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.estimate(at(0), 1), None);
        // A runner that was granted to the only job says nothing about waiting.
        rhythm.record_grant(at(10), 1, false);
        rhythm.record_grant(at(90), 1, true);
        assert_eq!(rhythm.estimate(at(90), 1), None);
    }

    #[test]
    fn an_even_rhythm_gives_a_sure_estimate() {
        let mut rhythm = Rhythm::default();
        for grant in 0..10 {
            rhythm.record_grant(at(grant * 60), 1, true);
        }
        for (now, runners, expected) in [(540, 1, 60), (540, 3, 180), (570, 1, 30), (900, 1, 0)] {
            let estimate = Estimate {
                p50_seconds: expected,
                p90_seconds: expected,
            };
            assert_eq!(
                rhythm.estimate(at(now), runners),
                Some(estimate),
                "{runners} at {now}"
            );
        }
    }

    #[test]
    fn an_uneven_rhythm_widens_the_estimate() {
        let mut rhythm = Rhythm::default();
        let mut now = 0;
        for grant in 0..20 {
            rhythm.record_grant(at(now), 1, true);
            now += if grant % 2 == 0 { 30 } else { 90 };
        }
        let Some(Estimate {
            p50_seconds,
            p90_seconds,
        }) = rhythm.estimate(at(now - 90), 4)
        else {
            panic!("gaps are known");
        };
        assert!((220..=240).contains(&p50_seconds), "{p50_seconds}");
        assert!((295..=320).contains(&p90_seconds), "{p90_seconds}");
    }

    #[test]
    fn a_job_that_took_several_counts_for_several() {
        let mut rhythm = Rhythm::default();
        rhythm.record_grant(at(0), 1, true);
        rhythm.record_grant(at(40), 4, true);
        assert_eq!(
            rhythm.estimate(at(40), 1),
            Some(Estimate {
                p50_seconds: 10,
                p90_seconds: 10
            })
        );
    }

    #[test]
    fn only_the_recent_past_counts() {
        let mut rhythm = Rhythm::default();
        rhythm.record_grant(at(0), 1, true);
        rhythm.record_grant(at(10_000), 1, true);
        for grant in 1..=64 {
            rhythm.record_grant(at(10_000 + grant * 5), 1, true);
        }
        assert_eq!(
            rhythm.estimate(at(10_320), 1),
            Some(Estimate {
                p50_seconds: 5,
                p90_seconds: 5
            })
        );
    }
}
