//! A snapshot of the metrics.

use super::*;
use crate::api::snapshot::example;

#[test]
fn the_metrics_are_rendered() {
    let mut metrics = Metrics::of("queue");
    describe(
        &example::view(),
        Timestamp::from_seconds(1_700_000_000),
        &mut metrics,
    );
    repeated::add_metrics(&mut metrics, &repeated::Totals::from([("wrong_token", 7)]));
    let text = metrics.text();
    // Values with different labels are in the order of a hash map.
    // Those about the process differ from run to run.
    let of_process = ["process_", "http_requests", "build_info", "alarms"];
    let is_shown = |line: &&str| !of_process.iter().any(|name| line.contains(name));
    let mut lines: Vec<&str> = text.lines().filter(is_shown).collect();
    lines.sort_by_key(|line| (name_in(line), line.starts_with("ci"), *line));
    insta::assert_snapshot!(lines.join("\n"));
}

/// The name of the metric that a line is about.
fn name_in(line: &str) -> &str {
    let line = line.trim_start_matches("# HELP ");
    let line = line.trim_start_matches("# TYPE ");
    line.split(['{', ' ']).next().unwrap_or_default()
}
