//! A day at a company: how many requests GitHub counts, with and without webhooks.
//!
//! Owns the figures of that day and the bill. What happens in it is the same as in every story.

use std::{collections::VecDeque, time::Duration};

use shared::clock::Timestamp;

use crate::{
    chance::Chance,
    rules::{Tally, Violation},
    scenario::{Pace, Scenario},
    world::World,
};

const HOUR: Duration = Duration::from_secs(3600);
/// Jobs come several at a time: those of one push.
const BURST: usize = 8;

/// What the day is like.
#[derive(Clone, Copy, Debug)]
pub struct Day {
    /// How many servers there are.
    pub servers: usize,
    /// How many runners each of them keeps.
    pub runners_each: usize,
    /// How many jobs come.
    pub jobs: usize,
    /// How long it is.
    pub length: Duration,
    /// Whether GitHub tells monitors of their jobs.
    pub has_webhooks: bool,
    /// When GitHub is out of reach.
    pub outage: Option<Outage>,
}

/// GitHub is out of reach.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// How long after the beginning.
    pub from: Duration,
    /// For how long.
    pub length: Duration,
}

impl Day {
    /// Ten servers with four runners each, and 800 jobs.
    pub const WORKING: Self = Self {
        servers: 10,
        runners_each: 4,
        jobs: 800,
        length: Duration::from_secs(24 * 3600),
        has_webhooks: false,
        outage: None,
    };

    /// A fifth of the hourly limit of one App, less the tokens that ten monitors renew.
    pub const CALLS_MAX: u64 = 1000 - 12;

    /// The monitor's own settings, guests that boot in half a minute, jobs of five to ten minutes.
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            poll_interval: Duration::from_secs(5),
            // Who is told need not ask.
            cache_timeout: Duration::from_secs(if self.has_webhooks { 300 } else { 60 }),
            boot: (20_000, 40_000),
            word: (5_000, 10_000),
            job: (300_000, 600_000),
        }
    }

    /// When the job of this number comes: four of five bursts in ten working hours.
    pub(crate) fn joins_after(&self, job: usize, chance: &mut Chance) -> Duration {
        // The jobs of a burst draw the same moment.
        let mut burst = Chance::of(job as u64 / BURST as u64);
        let day = self.length.as_millis() as u64;
        let start = if burst.happens(0.8) {
            burst.millis(day * 8 / 24, day * 18 / 24)
        } else {
            burst.millis(0, day * 23 / 24)
        };
        start + chance.millis(0, 60_000)
    }

    /// Plays the day.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn play(self) -> Result<Tally, Violation> {
        World::new(Scenario::of_day(self)).play()
    }
}

/// What GitHub counts, over all servers, which ask as one App.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill(VecDeque<Timestamp>);

impl Bill {
    /// One more request; returns how many there were in the hour up to now.
    pub(crate) fn charge(&mut self, now: Timestamp) -> u64 {
        self.0.push_back(now);
        while self.0.front().is_some_and(|at| now.since(*at) > HOUR) {
            self.0.pop_front();
        }
        self.0.len() as u64
    }
}
