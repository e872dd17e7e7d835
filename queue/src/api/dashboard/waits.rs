//! How long jobs waited in the last 24 hours, as a chart for each profile and as a table.

use std::{collections::BTreeMap, time::Duration};

use daemon::page::{self, table};
use maud::{Markup, html};
use shared::{clock::Timestamp, format, values::ProfileKey};

use super::duration;
use crate::waits::{HOURS, HourOfWaits, ProfileWaits, WaitSummary, hour_of};

/// The heights that a chart can have, in seconds: the first one that no wait exceeds.
const SCALES: [u64; 12] = [
    10, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 43_200, 86_400,
];

/// The section, if any job has got its runners lately.
pub fn section(waits: &BTreeMap<ProfileKey, ProfileWaits>, now: Timestamp) -> Markup {
    html! {
        @if !waits.is_empty() {
            section id="waits" {
                h2 { "Waits of the last 24 hours" small { " until a job has its runners, by hour" } }
                div class="grid" {
                    @for (profile_key, waits) in waits {
                        figure data-key={ "waits " (profile_key) } {
                            figcaption { b { (profile_key) } " " (summary(&waits.total)) }
                            (chart(profile_key, waits, now))
                        }
                    }
                }
                ul class="key" { li class="p50" { "half of the jobs at most" } li class="p90" { "90 % of them at most" } }
                details id="waits-as-table" {
                    summary { "As a table" }
                    (as_table(waits))
                }
            }
        }
    }
}

/// `half within 45 s, 90 % within 2 min, 12 jobs`.
fn summary(summary: &WaitSummary) -> String {
    format!(
        "half within {}, 90 % within {}, {}",
        duration(summary.p50_seconds),
        duration(summary.p90_seconds),
        jobs(summary)
    )
}

fn jobs(summary: &WaitSummary) -> String {
    let jobs = usize::try_from(summary.jobs).unwrap_or(usize::MAX);
    format::count(jobs, "job", "jobs")
}

/// A pair of bars for each hour, the current one at the right. Its parts have their places in percent, because
/// the content security policy allows no styles in the text of a page.
fn chart(profile_key: &ProfileKey, waits: &ProfileWaits, now: Timestamp) -> Markup {
    let longest = waits.hours.iter().map(|hour| hour.summary.p90_seconds);
    let longest = longest.max().unwrap_or(0);
    let scale = SCALES.into_iter().find(|scale| *scale >= longest);
    let scale = scale.unwrap_or(longest);
    let label = format!(
        "{profile_key}: {}; the longest hour {}",
        summary(&waits.total),
        duration(longest)
    );
    html! {
        div class="chart" {
            svg role="img" aria-label=(label) {
                line class="rule" x1="0" x2="100%" y1="0.5" y2="0.5" {}
                line class="rule" x1="0" x2="100%" y1="50%" y2="50%" {}
                @for hour in &waits.hours {
                    (bars(hour, scale, now))
                }
                line class="rule" x1="0" x2="100%" y1="100%" y2="100%" {}
            }
            span class="top" aria-hidden="true" { (duration(scale)) }
            span class="from" aria-hidden="true" { "24 h ago" }
            span class="to" aria-hidden="true" { "now" }
        }
    }
}

fn bars(hour: &HourOfWaits, scale: u64, now: Timestamp) -> Markup {
    let width = 100.0 / HOURS as f64;
    let age = hour_of(now).saturating_sub(hour_of(hour.from));
    let x = 100.0 - width * (age + 1) as f64;
    let bar = |class: &str, seconds: u64| {
        // A wait of nothing is still a job.
        let height = (seconds as f64 * 100.0 / scale as f64).clamp(1.0, 100.0);
        html! {
            rect class=(class) x={ (format!("{:.2}", x + width * 0.1)) "%" } width={ (format!("{:.2}", width * 0.8)) "%" }
                y={ (format!("{:.1}", 100.0 - height)) "%" } height={ (format!("{height:.1}")) "%" } {}
        }
    };
    html! {
        g {
            title { (summary(&hour.summary)) }
            (bar("p90", hour.summary.p90_seconds))
            (bar("p50", hour.summary.p50_seconds))
        }
    }
}

fn as_table(waits: &BTreeMap<ProfileKey, ProfileWaits>) -> Markup {
    let titles = ["From", "Profile", "Jobs", "Half within", "90 % within"];
    let rows = html! {
        @for (profile_key, waits) in waits {
            @for HourOfWaits { from, summary } in waits.hours.iter().rev() {
                tr data-key={ "waits " (profile_key) " " (from.as_seconds()) } {
                    td { (page::at(*from)) }
                    td data-label="Profile" { (profile_key) }
                    td data-label="Jobs" { (summary.jobs) }
                    td data-label="Half within" { (format::elapsed(Duration::from_secs(summary.p50_seconds))) }
                    td data-label="90 % within" { (format::elapsed(Duration::from_secs(summary.p90_seconds))) }
                }
            }
        }
    };
    table(
        &html! { span class="unseen" { "Waits by hour" } },
        &titles,
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_hour_is_at_the_right_and_the_chart_is_as_high_as_the_longest_wait() {
        let now = Timestamp::from_seconds(3600 * 1000 + 1800);
        let hour = |number: u64, p50_seconds, p90_seconds| HourOfWaits {
            from: Timestamp::from_seconds(3600 * number),
            summary: WaitSummary {
                jobs: 1,
                p50_seconds,
                p90_seconds,
            },
        };
        let waits = ProfileWaits {
            total: hour(1000, 30, 300).summary,
            hours: vec![hour(977, 0, 150), hour(1000, 60, 300)],
        };
        let chart = chart(&"linux".parse().unwrap(), &waits, now).into_string();
        for part in [
            r#"aria-label="linux: half within 30 s, 90 % within 5 min, 1 job; the longest hour 5 min""#,
            r#"class="p90" x="0.42%" width="3.33%" y="50.0%" height="50.0%""#,
            r#"class="p50" x="0.42%" width="3.33%" y="99.0%" height="1.0%""#,
            r#"class="p90" x="96.25%" width="3.33%" y="0.0%" height="100.0%""#,
            r#"class="p50" x="96.25%" width="3.33%" y="80.0%" height="20.0%""#,
            ">5 min</span>",
        ] {
            assert!(chart.contains(part), "{part}: {chart}");
        }
    }
}
