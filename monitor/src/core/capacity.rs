//! What runners need of their host, and whether it is there.
//!
//! Owns the arithmetic, which saturates: a sum that is too large stays too large.

use std::{fmt, iter::Sum, ops::Add};

use serde::{Deserialize, Serialize};
use shared::units::Memory;

/// An amount of everything that runners share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Hugepages of 1 GiB.
    pub hugepages_1g: u64,
    /// Normal memory.
    pub memory: Memory,
}

impl Resources {
    /// Whether this is no more than `available`, of anything.
    pub fn fits_in(self, available: Self) -> bool {
        self.hugepages_1g <= available.hugepages_1g && self.memory <= available.memory
    }

    /// As much for each of `count`.
    pub fn times(self, count: usize) -> Self {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Self {
            hugepages_1g: self.hugepages_1g.saturating_mul(count),
            memory: self.memory * count,
        }
    }
}

impl Add for Resources {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            hugepages_1g: self.hugepages_1g.saturating_add(other.hugepages_1g),
            memory: self.memory + other.memory,
        }
    }
}

impl Sum for Resources {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Self::add)
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            hugepages_1g,
            memory,
        } = self;
        write!(
            formatter,
            "{hugepages_1g} hugepages of 1G and {memory} of memory"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(hugepages_1g: u64, memory: u64) -> Resources {
        Resources {
            hugepages_1g,
            memory: Memory::from_bytes(memory),
        }
    }

    #[test]
    fn everything_has_to_fit() {
        for (needs, fits) in [
            (resources(4, 100), true),
            (resources(0, 0), true),
            (resources(5, 100), false),
            (resources(4, 101), false),
            (resources(u64::MAX, u64::MAX), false),
        ] {
            assert_eq!(needs.fits_in(resources(4, 100)), fits, "{needs}");
        }
    }

    #[test]
    fn sums_and_products_saturate() {
        let most = resources(u64::MAX, u64::MAX);
        assert_eq!(most + resources(1, 1), most);
        assert_eq!(resources(2, 2).times(usize::MAX), most);
        let sum: Resources = [resources(1, 10), resources(2, 20)].into_iter().sum();
        assert_eq!(sum, resources(3, 30));
    }
}
