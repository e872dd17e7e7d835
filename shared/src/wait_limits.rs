//! How long a job is worth waiting for: what its client states when it enqueues the job.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Up to when waiting for a runner is the better choice than a hosted runner. By default it always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitLimits {
    /// How long the job may wait in total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<LimitSeconds>,
    /// How long the workflow job takes on a hosted runner. `None` if that follows from how long such jobs
    /// took here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosted_duration: Option<LimitSeconds>,
    /// How many times as long as here it takes on a hosted runner. `None` if hosted runners are not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowdown: Option<Slowdown>,
}

impl WaitLimits {
    /// The parameters of an enqueue, such as `&max_wait=900&slowdown=5`; empty if there is no limit.
    pub fn to_query(&self) -> String {
        let mut query = String::new();
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                query += &format!("&{name}={value}");
            }
        };
        add("max_wait", self.max_wait.map(|it| it.to_string()));
        add(
            "hosted_duration",
            self.hosted_duration.map(|it| it.to_string()),
        );
        add("slowdown", self.slowdown.map(|it| it.to_string()));
        query
    }
}

/// A number of seconds from 1 second to 7 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LimitSeconds(u32);

impl LimitSeconds {
    /// The largest one.
    pub const MAX: u32 = 7 * 24 * 3600;

    /// This many seconds; the nearest possible number if there are more or fewer.
    pub fn nearest(seconds: u64) -> Self {
        let seconds = seconds.clamp(1, u64::from(Self::MAX));
        Self(u32::try_from(seconds).unwrap_or(Self::MAX))
    }

    /// The number.
    pub fn get(self) -> u64 {
        u64::from(self.0)
    }
}

/// How many times as long a job takes on a hosted runner: more than 1, at most 100, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slowdown(u16);

impl Slowdown {
    /// The number.
    pub fn get(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// A text that is no [`LimitSeconds`] or no [`Slowdown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    /// Of a duration.
    #[error("max_wait and hosted_duration must be numbers of seconds from 1 to 604800")]
    Seconds,
    /// Of a slowdown.
    #[error(
        "slowdown must be a number above 1 and up to 100, with at most two decimals, such as 4.5"
    )]
    Slowdown,
}

impl FromStr for LimitSeconds {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds: Option<u32> = text.parse().ok().filter(|_| is_number);
        match seconds {
            Some(seconds @ 1..=Self::MAX) => Ok(Self(seconds)),
            _ => Err(InvalidLimit::Seconds),
        }
    }
}

impl FromStr for Slowdown {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str, length_max: usize| {
            (1..=length_max).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(whole, 3) || !is_number(decimals, 2) {
            return Err(InvalidLimit::Slowdown);
        }
        let hundredths: Option<u16> = format!("{whole}{decimals:0<2}").parse().ok();
        match hundredths {
            Some(hundredths @ 101..=10_000) => Ok(Self(hundredths)),
            _ => Err(InvalidLimit::Slowdown),
        }
    }
}

impl fmt::Display for LimitSeconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for Slowdown {
    /// Without needless zeros: `5`, `4.5`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:02}", self.0 / 100, self.0 % 100);
        formatter.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

macro_rules! as_text {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = InvalidLimit;

            fn try_from(text: String) -> Result<Self, InvalidLimit> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}

as_text!(LimitSeconds);
as_text!(Slowdown);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_of_seconds_up_to_seven_days() {
        for (text, seconds) in [("1", 1), ("0900", 900), ("604800", 604_800)] {
            assert_eq!(text.parse::<LimitSeconds>().unwrap().get(), seconds);
        }
        for text in ["", "0", "-1", "+1", "1.5", "15m", "604801", "99999999999"] {
            assert_eq!(
                text.parse::<LimitSeconds>(),
                Err(InvalidLimit::Seconds),
                "{text}"
            );
        }
        assert_eq!(LimitSeconds::nearest(0).get(), 1);
        assert_eq!(LimitSeconds::nearest(u64::MAX).get(), 604_800);
    }

    #[test]
    fn a_slowdown_has_at_most_two_decimals() {
        for (text, shown) in [
            ("5", "5"),
            ("1.01", "1.01"),
            ("4.5", "4.5"),
            ("10.00", "10"),
            ("100", "100"),
        ] {
            let slowdown: Slowdown = text.parse().unwrap();
            assert_eq!(slowdown.to_string(), shown);
            assert_eq!(slowdown.get(), shown.parse::<f64>().unwrap());
        }
        for text in [
            "", "1", "0.5", "1.", ".5", "-2", "2.505", "100.01", "1e1", "NaN", "2,5",
        ] {
            assert_eq!(
                text.parse::<Slowdown>(),
                Err(InvalidLimit::Slowdown),
                "{text}"
            );
        }
    }

    #[test]
    fn limits_are_parameters_of_an_enqueue() {
        assert_eq!(WaitLimits::default().to_query(), "");
        let limits = WaitLimits {
            max_wait: Some(LimitSeconds::nearest(900)),
            hosted_duration: Some(LimitSeconds::nearest(600)),
            slowdown: "4.50".parse().ok(),
        };
        assert_eq!(
            limits.to_query(),
            "&max_wait=900&hosted_duration=600&slowdown=4.5"
        );
        let json = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<WaitLimits>(&json).unwrap(), limits);
    }
}
