//! Formats durations, positions and counts for people. Pure.

use std::time::Duration;

use shared::wire::Estimate;

/// A duration rounded to its largest unit: `20 s`, `2 min`, `3 h`, `2 days`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", (seconds + 30) / 60),
        _ if (seconds + 1800) / 3600 < 48 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

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

/// A number with the singular or plural of a noun: `1 job`, `2 jobs`.
pub fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_rounded_to_its_largest_unit() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (89, "1 min"),
            (90, "2 min"),
            (3599, "60 min"),
            (3600, "1 h"),
            (86_400, "24 h"),
            (200_000, "2 days"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text, "{seconds}");
        }
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

    #[test]
    fn a_count_of_one_has_the_singular() {
        let jobs = |number| count(number, "job", "jobs");
        assert_eq!([0, 1, 2].map(jobs), ["0 jobs", "1 job", "2 jobs"]);
    }
}
