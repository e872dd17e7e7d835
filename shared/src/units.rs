//! Amounts as people write them: memory such as `16G`, durations such as `90s`.
//!
//! Responsible for parsing and formatting. Not responsible for which amounts a setting allows.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, Mul, Sub},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of memory in bytes. As text it is a whole number and a unit: B, K, M, G, T or P, each
/// 1024 times the one before. Arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Memory(u64);

/// The units of memory, smallest first, with their powers of two.
const MEMORY_UNITS: [(char, u32); 6] = [
    ('B', 0),
    ('K', 10),
    ('M', 20),
    ('G', 30),
    ('T', 40),
    ('P', 50),
];

impl Memory {
    /// Exactly `bytes` bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The amount in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// The error for a text that is not an amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMemory {
    /// Not a whole number with one of the units after it.
    #[error(
        "memory is a whole number with one of the units B, K, M, G, T, P after it, such as \"16G\""
    )]
    Malformed,
    /// More bytes than fit 64 bits.
    #[error("memory is less than 16384P")]
    TooMuch,
}

impl FromStr for Memory {
    type Err = InvalidMemory;

    fn from_str(text: &str) -> Result<Self, InvalidMemory> {
        let (number, shift) = MEMORY_UNITS
            .iter()
            .find_map(|&(unit, shift)| Some((text.strip_suffix(unit)?, shift)))
            .ok_or(InvalidMemory::Malformed)?;
        if !is_decimal(number) {
            return Err(InvalidMemory::Malformed);
        }
        // What is decimal can only fail to parse by being too large.
        let number: u64 = number.parse().map_err(|_| InvalidMemory::TooMuch)?;
        number
            .checked_mul(1 << shift)
            .map(Self)
            .ok_or(InvalidMemory::TooMuch)
    }
}

impl fmt::Display for Memory {
    /// Shows the amount in the largest unit that loses nothing: `1536M`, not `1.5G`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, shift) = MEMORY_UNITS
            .into_iter()
            .rev()
            .find(|&(_, shift)| self.0 != 0 && self.0.trailing_zeros() >= shift)
            .unwrap_or(('B', 0));
        write!(formatter, "{}{unit}", self.0 >> shift)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Add for Memory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Memory {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for Memory {
    type Output = Self;

    fn mul(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl Sum for Memory {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Self::add)
    }
}

/// One second.
pub const SECOND: Duration = Duration::from_secs(1);
/// One minute.
pub const MINUTE: Duration = Duration::from_secs(60);
/// One hour.
pub const HOUR: Duration = Duration::from_secs(60 * 60);
/// One day of 24 hours.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest duration that is accepted: ten years of 365.25 days.
pub const DURATION_MAX: Duration = Duration::from_secs(315_576_000);

/// The error for a text or number that is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// Neither whole seconds nor numbers with units of time.
    #[error("a duration is whole seconds, or text such as \"90s\", \"15m\" or \"1h 30m\"")]
    Malformed,
    /// Longer than [`DURATION_MAX`].
    #[error("a duration is at most ten years")]
    TooLong,
}

/// The most consecutive digits in the text of a duration, and the most characters. Both are more than
/// [`DURATION_MAX`] needs, and keep all sums within 64 bits.
const DURATION_DIGITS_MAX: usize = 9;
const DURATION_LENGTH_MAX: usize = 40;

/// Parses a duration: whole seconds (`90`), or text such as `90s`, `15m`, `1h 30m`, `250ms`.
///
/// # Errors
/// When the text is neither, or the duration is longer than [`DURATION_MAX`].
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    if is_decimal(text) {
        let seconds = text.parse().map_err(|_| InvalidDuration::TooLong)?;
        return duration_of_seconds(seconds);
    }
    let longest_number = text
        .split(|character: char| !character.is_ascii_digit())
        .map(str::len)
        .max()
        .unwrap_or(0);
    if longest_number > DURATION_DIGITS_MAX || text.len() > DURATION_LENGTH_MAX {
        return Err(InvalidDuration::Malformed);
    }
    let duration = humantime::parse_duration(text).map_err(|_| InvalidDuration::Malformed)?;
    limited(duration)
}

/// A duration of `seconds`.
///
/// # Errors
/// When it is longer than [`DURATION_MAX`].
pub fn duration_of_seconds(seconds: u64) -> Result<Duration, InvalidDuration> {
    limited(Duration::from_secs(seconds))
}

fn limited(duration: Duration) -> Result<Duration, InvalidDuration> {
    (duration <= DURATION_MAX)
        .then_some(duration)
        .ok_or(InvalidDuration::TooLong)
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_of_memory_is_1024_times_the_one_before() {
        for (text, bytes) in [
            ("0B", 0),
            ("1B", 1),
            ("1K", 1 << 10),
            ("3M", 3 << 20),
            ("16G", 16 << 30),
            ("1T", 1 << 40),
            ("1P", 1 << 50),
            ("16383P", 16383 << 50),
            ("18446744073709551615B", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Memory(bytes)), "{text}");
        }
    }

    #[test]
    fn other_texts_than_amounts_of_memory_are_refused() {
        for text in [
            "", "G", "16", "16g", "16 G", " 16G", "16G ", "16GB", "16GiB", "1.5G", "+1G", "-1G",
            "1E", "0x1G", "1_0G", "¹G",
        ] {
            assert_eq!(
                text.parse::<Memory>(),
                Err(InvalidMemory::Malformed),
                "{text:?}"
            );
        }
        for text in [
            "18446744073709551616B",
            "16384P",
            "18446744073709551615K",
            &format!("{}B", "9".repeat(99)),
        ] {
            assert_eq!(
                text.parse::<Memory>(),
                Err(InvalidMemory::TooMuch),
                "{text}"
            );
        }
    }

    #[test]
    fn memory_is_shown_in_the_largest_unit_that_loses_nothing() {
        for (bytes, text) in [
            (0, "0B"),
            (1000, "1000B"),
            (1024, "1K"),
            (3 << 29, "1536M"),
            (16 << 30, "16G"),
            (1 << 50, "1P"),
            (1 << 63, "8192P"),
            (u64::MAX, "18446744073709551615B"),
        ] {
            assert_eq!(Memory(bytes).to_string(), text);
            assert_eq!(format!("{:?}", Memory(bytes)), text);
            assert_eq!(text.parse(), Ok(Memory(bytes)), "and it reads back");
        }
    }

    #[test]
    fn memory_stands_in_json_as_it_is_shown() {
        let memory = Memory(16 << 30);
        assert_eq!(serde_json::to_string(&memory).unwrap(), r#""16G""#);
        assert_eq!(serde_json::from_str::<Memory>(r#""16G""#).unwrap(), memory);
        let refusal = serde_json::from_str::<Memory>(r#""16""#).unwrap_err();
        assert!(
            refusal.to_string().starts_with("memory is a whole number"),
            "{refusal}"
        );
        assert!(serde_json::from_str::<Memory>("16").is_err());
    }

    #[test]
    fn sums_of_memory_saturate() {
        let most = Memory(u64::MAX);
        assert_eq!(Memory(2) + Memory(3), Memory(5));
        assert_eq!(most + Memory(1), most);
        assert_eq!(Memory(5) - Memory(3), Memory(2));
        assert_eq!(Memory(3) - Memory(5), Memory(0));
        assert_eq!(Memory(3) * 4, Memory(12));
        assert_eq!(most * 2, most);
        assert_eq!(
            [Memory(1), Memory(2)].into_iter().sum::<Memory>(),
            Memory(3)
        );
        assert_eq!([most, most].into_iter().sum::<Memory>(), most);
    }

    #[test]
    fn durations_are_plain_seconds_or_text() {
        for (text, millis) in [
            ("0", 0),
            ("90", 90_000),
            ("0s", 0),
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("1day", 86_400_000),
            ("250ms", 250),
            ("315576000", 315_576_000_000),
            ("315576000s", 315_576_000_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn other_texts_than_durations_are_refused() {
        for text in [
            "",
            " ",
            "s",
            "-1",
            "-1s",
            "+1",
            "1.5",
            "90 apples",
            "1h 30",
            "1:30",
            "1s,",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(InvalidDuration::Malformed),
                "{text:?}"
            );
        }
    }

    #[test]
    fn durations_beyond_ten_years_are_refused() {
        for text in [
            "315576001",
            "315576001s",
            "11years",
            "315576000s 1ns",
            "99999999999999999999",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(InvalidDuration::TooLong),
                "{text}"
            );
        }
        assert_eq!(duration_of_seconds(315_576_000), Ok(DURATION_MAX));
        assert_eq!(
            duration_of_seconds(315_576_001),
            Err(InvalidDuration::TooLong)
        );
        assert_eq!(duration_of_seconds(u64::MAX), Err(InvalidDuration::TooLong));
    }

    /// The parser beneath adds nanoseconds up to a whole second without carrying, which overflows
    /// at the very end of what 64 bits of seconds can hold.
    #[test]
    fn numbers_at_the_end_of_64_bits_are_refused_without_a_panic() {
        for text in [
            "18446744073709551615s 1000ms",
            "18446744073709551615s1000000000ns",
            "584542046090years",
            &"999999999years ".repeat(9),
        ] {
            assert_eq!(
                parse_duration(text),
                Err(InvalidDuration::Malformed),
                "{text}"
            );
        }
        let largest = "999999999y999999999y999999999y999999999y";
        assert_eq!(largest.len(), DURATION_LENGTH_MAX);
        assert_eq!(parse_duration(largest), Err(InvalidDuration::TooLong));
    }
}
