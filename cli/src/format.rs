//! Formats durations, positions and counts for people. Pure. Those that daemons need too are in `shared`.

use std::time::Duration;

pub use shared::format::{count, duration, of_target};
use shared::wire::Estimate;

/// A duration with tenths of a second below one minute: `1.2 s`.
pub fn short_duration(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        _ => self::duration(duration),
    }
}

/// The position of a job and its estimated wait: `position 3, about 2 min`.
pub fn position(position: Option<u64>, estimate: Option<Estimate>) -> String {
    let Some(position) = position else {
        return "waiting".to_owned();
    };
    match estimate {
        Some(Estimate { p50_seconds: 0, .. }) => format!("position {position}, any moment now"),
        Some(estimate) => format!(
            "position {position}, about {}",
            duration(Duration::from_secs(estimate.p50_seconds))
        ),
        None => format!("position {position}"),
    }
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
        assert_eq!(position(Some(3), Some(estimate)), "position 3, about 2 min");
        assert_eq!(position(Some(1), None), "position 1");
        let soon = Estimate {
            p50_seconds: 0,
            ..estimate
        };
        assert_eq!(position(Some(1), Some(soon)), "position 1, any moment now");
        assert_eq!(position(None, Some(estimate)), "waiting");
    }
}
