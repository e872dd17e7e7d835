//! The only source of randomness in a simulation.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Random numbers from a seed. ChaCha8 promises the same numbers in every release, so that a seed
/// that failed once can always be replayed.
pub struct Rng(ChaCha8Rng);

impl Rng {
    pub fn from_seed(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability)
    }

    /// A number from `from` to `to`, both included.
    pub fn number(&mut self, from: u64, to: u64) -> u64 {
        self.0.random_range(from..=to)
    }

    /// A duration from `from` to `to` milliseconds, in whole microseconds.
    pub fn millis(&mut self, (from, to): (u64, u64)) -> Duration {
        Duration::from_micros(self.number(from * 1000, to * 1000))
    }

    /// An index into a list of `count` items.
    pub fn index(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }
}
