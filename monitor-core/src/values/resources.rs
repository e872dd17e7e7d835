//! Amounts of what runners use of their server.
//!
//! The arithmetic saturates, so that a sum that is too large never becomes a small one.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, Sub},
};

use serde::{Deserialize, Serialize};
use shared::units::Memory;

/// An amount of each resource that runners share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Hugepages of 1 GiB.
    pub hugepages_1g: u64,
    /// Memory other than hugepages.
    pub memory: Memory,
}

impl Resources {
    /// Whether no resource exceeds `available`.
    pub fn fits_in(self, available: Self) -> bool {
        self.hugepages_1g <= available.hugepages_1g && self.memory <= available.memory
    }

    /// Whether taking away `part` reduces any resource that exceeds `available`.
    pub fn fits_better_without(self, part: Self, available: Self) -> bool {
        let lacks_hugepages = self.hugepages_1g > available.hugepages_1g;
        let lacks_memory = self.memory > available.memory;
        (lacks_hugepages && part.hugepages_1g > 0)
            || (lacks_memory && part.memory > Memory::default())
    }

    /// The amount for `count` runners that need this each.
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

impl Sub for Resources {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            hugepages_1g: self.hugepages_1g.saturating_sub(other.hugepages_1g),
            memory: self.memory - other.memory,
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
        let hugepages = match self.hugepages_1g {
            0 => None,
            1 => Some("1 hugepage of 1G".to_owned()),
            count => Some(format!("{count} hugepages of 1G")),
        };
        let has_memory = self.memory > Memory::default();
        let memory = has_memory.then(|| format!("{} of memory", self.memory));
        match (hugepages, memory) {
            (Some(hugepages), Some(memory)) => write!(formatter, "{hugepages} and {memory}"),
            (Some(one), None) | (None, Some(one)) => formatter.write_str(&one),
            (None, None) => formatter.write_str("nothing"),
        }
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
    fn amounts_are_written_without_what_is_zero() {
        for (amount, text) in [
            (resources(0, 0), "nothing"),
            (resources(1, 0), "1 hugepage of 1G"),
            (resources(0, 1 << 30), "1G of memory"),
            (resources(2, 3 << 30), "2 hugepages of 1G and 3G of memory"),
        ] {
            assert_eq!(amount.to_string(), text);
        }
    }

    #[test]
    fn each_resource_has_to_fit() {
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
    fn only_less_of_an_exceeded_resource_is_better() {
        let available = resources(4, 100);
        for (needs, part, is_better) in [
            (resources(5, 100), resources(1, 0), true),
            (resources(5, 100), resources(0, 50), false),
            (resources(4, 101), resources(1, 0), false),
            (resources(4, 101), resources(0, 1), true),
            (resources(9, 900), resources(0, 1), true),
        ] {
            let better = needs.fits_better_without(part, available);
            assert_eq!(better, is_better, "{needs} without {part}");
        }
    }

    #[test]
    fn sums_and_products_saturate() {
        let most = resources(u64::MAX, u64::MAX);
        assert_eq!(most + resources(1, 1), most);
        assert_eq!(resources(2, 2).times(usize::MAX), most);
        assert_eq!(resources(1, 30) - resources(2, 10), resources(0, 20));
        let sum: Resources = [resources(1, 10), resources(2, 20)].into_iter().sum();
        assert_eq!(sum, resources(3, 30));
    }
}
