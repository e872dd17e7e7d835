//! How fast things happen outside the cores.

use std::time::Duration;

/// Intervals of monitors, guests and jobs. Ranges are in milliseconds, both ends included.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often a monitor lists its guests.
    pub poll_interval: Duration,
    /// The maximum age of a monitor's list of registrations.
    pub cache_timeout: Duration,
    pub guest_boot: (u64, u64),
    /// How often a guest sends a request to GitHub.
    pub guest_interval: (u64, u64),
    pub job_duration: (u64, u64),
}

impl Pace {
    /// Many events in little simulated time.
    pub const FAST: Self = Self {
        poll_interval: Duration::from_secs(2),
        cache_timeout: Duration::from_secs(10),
        guest_boot: (500, 20_000),
        guest_interval: (500, 2000),
        job_duration: (2_000, 60_000),
    };
}
