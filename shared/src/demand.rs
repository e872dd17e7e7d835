//! What a queue states in its polls: how many runners the jobs that wait there could use.
//!
//! It is the value of a request header, such as `5f0c; linux=3, windows=1`. Monitors that do not know it ignore it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::values::ProfileKey;

/// The name of the request header.
pub const DEMAND_HEADER: &str = "ci-runners-demand";
/// Maximum number of profiles in a statement.
pub const PROFILES_MAX: usize = 50;
/// Maximum length of a statement, in bytes.
const LENGTH_MAX: usize = 8 * 1024;

/// What a queue states.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The random number of the queue's process.
    pub queue: u64,
    /// For each profile the number of runners, besides those in use, that could have a job at once. Those that are
    /// left out are zero.
    pub counts: BTreeMap<ProfileKey, usize>,
}

/// A text that is no statement of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidDemand;

impl fmt::Display for Demand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x};", self.queue)?;
        for (index, (profile_key, count)) in self.counts.iter().take(PROFILES_MAX).enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(formatter, "{separator} {profile_key}={count}")?;
        }
        Ok(())
    }
}

impl FromStr for Demand {
    type Err = InvalidDemand;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > LENGTH_MAX {
            return Err(InvalidDemand);
        }
        let (queue, counts) = text.split_once(';').ok_or(InvalidDemand)?;
        let queue = u64::from_str_radix(queue.trim(), 16).map_err(|_| InvalidDemand)?;
        let counts = counts.split(',').map(str::trim);
        let counts = counts.filter(|entry| !entry.is_empty()).map(|entry| {
            let (profile_key, count) = entry.split_once('=').ok_or(InvalidDemand)?;
            let profile_key = profile_key.parse().map_err(|_| InvalidDemand)?;
            Ok((profile_key, count.parse().map_err(|_| InvalidDemand)?))
        });
        let counts: BTreeMap<ProfileKey, usize> = counts.collect::<Result<_, _>>()?;
        match counts.len() <= PROFILES_MAX {
            true => Ok(Self { queue, counts }),
            false => Err(InvalidDemand),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_read_as_it_was_written() {
        for (counts, text) in [
            (vec![], "5f0c;"),
            (vec![("linux", 3)], "5f0c; linux=3"),
            (
                vec![("a.b-1", 0), ("windows", 12)],
                "5f0c; a.b-1=0, windows=12",
            ),
        ] {
            let counts = counts
                .into_iter()
                .map(|(key, count)| (key.parse().unwrap(), count));
            let demand = Demand {
                queue: 0x5f0c,
                counts: counts.collect(),
            };
            assert_eq!(demand.to_string(), text);
            assert_eq!(text.parse(), Ok(demand));
        }
    }

    #[test]
    fn what_is_no_statement_is_refused() {
        let many: Vec<String> = (0..=PROFILES_MAX).map(|it| format!("p{it}=1")).collect();
        for text in [
            "",
            "linux=3",
            "x; linux=3",
            "1; linux",
            "1; linux=-1",
            "1; linux=many",
            "1; li nux=1",
            "1ffffffffffffffff; linux=1",
            &format!("1; {}", many.join(",")),
            &format!("1; {}", " ".repeat(LENGTH_MAX)),
        ] {
            assert_eq!(text.parse::<Demand>(), Err(InvalidDemand), "{text}");
        }
    }
}
