//! The time, the random numbers and the event schedule of a run, and what is recorded of it.
//!
//! Everything in a run has access to the context. It knows no process.

use std::{fmt, time::Duration};

use shared::clock::Timestamp;

use crate::{
    events::{Event, Schedule},
    invariants::Invariants,
    rng::Rng,
    scenario::{FaultRates, Scenario},
    statistics::Statistics,
};

pub struct Context {
    pub scenario: Scenario,
    pub started_at: Timestamp,
    pub now: Timestamp,
    pub rng: Rng,
    pub statistics: Statistics,
    pub invariants: Invariants,
    schedule: Schedule,
    is_traced: bool,
}

impl Context {
    pub fn new(scenario: Scenario, is_traced: bool) -> Self {
        let started_at = Timestamp::from_seconds(1_700_000_000);
        Self {
            started_at,
            now: started_at,
            rng: Rng::from_seed(scenario.seed),
            statistics: Statistics::default(),
            invariants: Invariants::new(scenario.seed, started_at),
            schedule: Schedule::default(),
            is_traced,
            scenario,
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.now.since(self.started_at)
    }

    pub fn schedule_at(&mut self, at: Timestamp, event: Event) {
        self.schedule.insert(at.max(self.now), event);
    }

    pub fn schedule_after(&mut self, delay: Duration, event: Event) {
        self.schedule_at(self.now + delay, event);
    }

    /// Removes the next event that is due by `until`, and moves the clock to it.
    pub fn next_event(&mut self, until: Timestamp) -> Option<Event> {
        let (at, event) = self.schedule.pop(until)?;
        // An event that was delayed because its process hung may be due in the past.
        self.now = self.now.max(at);
        self.statistics.events += 1;
        Some(event)
    }

    /// Decides whether a fault of this rate occurs now, and counts it.
    pub fn fault_occurs(&mut self, rate: impl Fn(&FaultRates) -> f64) -> bool {
        let rate = rate(&self.scenario.fault_rates);
        // A rate of zero draws no number, so that a run without faults stays comparable.
        let occurs = rate > 0.0 && self.rng.chance(rate);
        self.statistics.faults += u64::from(occurs);
        occurs
    }

    /// Prints a line with the elapsed time, if the run is traced.
    pub fn trace(&self, line: fmt::Arguments<'_>) {
        if self.is_traced {
            println!("{:10.3} {line}", self.elapsed().as_secs_f64());
        }
    }
}
