//! The one source of chance in a simulation.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Chance, from a seed. The generator promises the same numbers in every release.
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// The chance of a seed.
    pub fn of(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Whether something happens that happens with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability)
    }

    /// A number from `from` to `to`, both included.
    pub fn number(&mut self, from: u64, to: u64) -> u64 {
        self.0.random_range(from..=to)
    }

    /// A time from `from` to `to`, in milliseconds.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(self.number(from * 1000, to * 1000))
    }

    /// One of `count` things.
    pub fn index(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }
}
