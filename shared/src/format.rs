//! Durations, counts and errors for people, in messages, pages and terminals.

use std::{error::Error, time::Duration};

use crate::wire::Estimate;

/// A duration rounded to its largest unit: `20 s`, `2 min`, `3 h`, `2 days`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", (seconds + 30) / 60),
        3600..171_000 => format!("{} h", (seconds + 1800) / 3600),
        _ => format!("{} days", seconds.saturating_add(43_200) / 86_400),
    }
}

/// A duration that is counted while it is read: `20 s`, `6 min 05 s`, `3 h 20 min`, `2 d 4 h`. The script of
/// the pages has the same.
pub fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {:02} s", seconds % 60),
        3600..86_400 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A duration like that of [`duration`], rounded up: what is said to be over within it is.
pub fn upper_limit(seconds: u64) -> String {
    let unit = match seconds {
        0..60 => 1,
        60..3600 => 60,
        3600..171_000 => 3600,
        _ => 86_400,
    };
    duration(Duration::from_secs(
        seconds.div_ceil(unit).saturating_mul(unit),
    ))
}

/// How long a job will still wait, as a range: `about 4 min; 9 of 10 within 9 min`. Without an estimate
/// `unknown`, with the reason if there is one: `unknown, because no server answers`.
pub fn estimate(estimate: Option<Estimate>, no_estimate_because: Option<&str>) -> String {
    match (estimate, no_estimate_because) {
        (Some(Estimate { p90_seconds: 0, .. }), _) => "any moment now".to_owned(),
        (Some(it), _) => {
            let p90 = upper_limit(it.p90_seconds);
            let likely = match it.p50_seconds {
                0 => "any moment now".to_owned(),
                p50 => format!("about {}", duration(Duration::from_secs(p50))),
            };
            format!("{likely}; 9 of 10 within {p90}")
        }
        (None, Some(because)) => format!("unknown, because {because}"),
        (None, None) => "unknown".to_owned(),
    }
}

/// A number with the singular or plural of a noun: `1 job`, `2 jobs`.
pub fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// How many runners there could be, and how many of them are missing: `8 (4 missing)`.
pub fn of_target(target: usize, missing: usize) -> String {
    match missing {
        0 => target.to_string(),
        _ => format!("{target} ({missing} missing)"),
    }
}

/// The text of an error, followed by those of its causes: `read the state: no such file`.
pub fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
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
            (170_999, "47 h"),
            (171_000, "2 days"),
            (200_000, "2 days"),
            (u64::MAX, "213503982334601 days"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn an_elapsed_duration_has_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min 00 s"),
            (365, "6 min 05 s"),
            (3599, "59 min 59 s"),
            (3600, "1 h 00 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 d 0 h"),
            (187_200, "2 d 4 h"),
        ] {
            assert_eq!(elapsed(Duration::from_secs(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn an_estimate_is_a_range_or_the_reason_why_there_is_none() {
        let range = |p50_seconds, p90_seconds| {
            Some(Estimate {
                p50_seconds,
                p90_seconds,
            })
        };
        for (wait, because, text) in [
            (range(0, 0), None, "any moment now"),
            (range(0, 20), None, "any moment now; 9 of 10 within 20 s"),
            (range(250, 540), None, "about 4 min; 9 of 10 within 9 min"),
            // What is promised for nine of ten is not rounded down.
            (range(61, 61), None, "about 1 min; 9 of 10 within 2 min"),
            (range(60, 3541), None, "about 1 min; 9 of 10 within 1 h"),
            (range(3700, 7201), None, "about 1 h; 9 of 10 within 3 h"),
            (
                range(3700, 172_801),
                None,
                "about 1 h; 9 of 10 within 3 days",
            ),
            (
                range(0, u64::MAX),
                None,
                &format!("any moment now; 9 of 10 within {}", duration(Duration::MAX)),
            ),
            (
                None,
                Some("no server answers"),
                "unknown, because no server answers",
            ),
            (None, None, "unknown"),
        ] {
            assert_eq!(estimate(wait, because), text);
        }
    }

    #[test]
    fn a_count_of_one_has_the_singular() {
        let jobs = |number| count(number, "job", "jobs");
        assert_eq!([0, 1, 2].map(jobs), ["0 jobs", "1 job", "2 jobs"]);
    }

    #[test]
    fn a_target_names_how_many_of_its_runners_are_missing() {
        assert_eq!([of_target(8, 0), of_target(8, 4)], ["8", "8 (4 missing)"]);
    }
}
