//! Formats durations, positions and counts for people. Pure. Those that daemons need too are in `shared`.

use std::time::Duration;

pub use shared::format::{count, duration, of_target, upper_limit};
use shared::wire::Estimate;

use crate::output::printable;

/// The longest reason for an unknown wait that is printed, in characters.
const BECAUSE_MAX: usize = 300;

/// A duration with tenths of a second below one minute: `1.2 s`.
pub fn short_duration(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        _ => self::duration(duration),
    }
}

/// An estimated wait as a range, or why it is unknown, as a queue sent it.
pub fn estimate(estimate: Option<Estimate>, no_estimate_because: Option<&str>) -> String {
    let because = no_estimate_because.map(|because| printable(because, BECAUSE_MAX));
    shared::format::estimate(estimate, because.as_deref())
}

/// The position of a job and its estimated wait: `position 3, estimated wait: about 2 min; 9 of 10 within
/// 6 min`. Queues that do not say why they have no estimate are not said to have none.
pub fn position(
    position: Option<u64>,
    estimate: Option<Estimate>,
    no_estimate_because: Option<&str>,
) -> String {
    let Some(position) = position else {
        return "waiting".to_owned();
    };
    if estimate.is_none() && no_estimate_because.is_none() {
        return format!("position {position}");
    }
    let wait = self::estimate(estimate, no_estimate_because);
    format!("position {position}, estimated wait: {wait}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_duration_has_tenths_of_a_second() {
        assert_eq!(short_duration(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(short_duration(Duration::from_secs(90)), "2 min");
    }

    #[test]
    fn a_position_has_the_estimate_if_there_is_one() {
        let estimate = Estimate {
            p50_seconds: 120,
            p90_seconds: 600,
        };
        assert_eq!(
            position(Some(3), Some(estimate), None),
            "position 3, estimated wait: about 2 min; 9 of 10 within 10 min"
        );
        assert_eq!(position(Some(1), None, None), "position 1");
        assert_eq!(
            position(Some(1), None, Some("no server\u{1b}[2J answers")),
            "position 1, estimated wait: unknown, because no server[2J answers"
        );
        let soon = Estimate {
            p50_seconds: 0,
            p90_seconds: 0,
        };
        assert_eq!(
            position(Some(1), Some(soon), None),
            "position 1, estimated wait: any moment now"
        );
        assert_eq!(position(None, Some(estimate), None), "waiting");
    }
}
