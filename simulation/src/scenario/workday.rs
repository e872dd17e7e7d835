//! A working day of a company: its servers, its jobs, and an outage of GitHub.
//!
//! Used to count the requests that GitHub charges for, with and without webhooks. Except for the
//! outage there are no faults.

use std::time::Duration;

use super::pace::Pace;
use crate::rng::Rng;

/// Jobs arrive in groups, as those of one push do.
const GROUP_SIZE: usize = 8;

/// The parameters of a working day.
#[derive(Clone, Copy, Debug)]
pub struct Workday {
    /// Number of servers.
    pub servers: usize,
    /// Number of runners that each server keeps.
    pub runners_per_server: usize,
    /// Number of jobs that arrive.
    pub jobs: usize,
    /// Length of the day.
    pub length: Duration,
    /// Whether GitHub sends webhooks about jobs to the monitors.
    pub has_webhooks: bool,
    /// When GitHub cannot be reached, if ever.
    pub outage: Option<Outage>,
}

/// A period in which every request to GitHub fails.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// When it begins, measured from the start of the day.
    pub starts_after: Duration,
    /// How long it lasts.
    pub length: Duration,
}

impl Workday {
    /// Ten servers with four runners each, and 800 jobs in 24 hours.
    pub const TYPICAL: Self = Self {
        servers: 10,
        runners_per_server: 4,
        jobs: 800,
        length: Duration::from_secs(24 * 3600),
        has_webhooks: false,
        outage: None,
    };

    /// The most requests allowed in any hour: a fifth of the hourly limit of one GitHub App, less
    /// the token requests of ten monitors.
    pub const REQUESTS_PER_HOUR_MAX: u64 = 1000 - 12;

    /// The monitor's default intervals, guests that boot in half a minute, and jobs of five to ten
    /// minutes.
    pub(super) fn pace(&self) -> Pace {
        Pace {
            poll_interval: Duration::from_secs(5),
            // With webhooks the list is only a fallback.
            cache_timeout: Duration::from_secs(if self.has_webhooks { 300 } else { 60 }),
            guest_boot: (20_000, 40_000),
            guest_interval: (5_000, 10_000),
            job_duration: (300_000, 600_000),
        }
    }

    /// When the job of this index arrives, measured from the start of the day: four of five groups
    /// arrive within ten working hours.
    pub(crate) fn arrives_after(&self, job: usize, rng: &mut Rng) -> Duration {
        // Seeded by the group, so that its jobs draw the same start.
        let mut group = Rng::from_seed(job as u64 / GROUP_SIZE as u64);
        let day = self.length.as_millis() as u64;
        let start = if group.chance(0.8) {
            group.millis((day * 8 / 24, day * 18 / 24))
        } else {
            group.millis((0, day * 23 / 24))
        };
        start + rng.millis((0, 60_000))
    }

    /// Whether GitHub cannot be reached this long after the start of the day.
    pub(crate) fn is_outage(&self, elapsed: Duration) -> bool {
        self.outage.is_some_and(|outage| {
            (outage.starts_after..outage.starts_after + outage.length).contains(&elapsed)
        })
    }
}
