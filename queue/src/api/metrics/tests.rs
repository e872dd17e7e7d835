//! A snapshot of the metrics.

use super::*;
use crate::api::snapshot::example;

#[test]
fn the_metrics_are_rendered() {
    let mut metrics = Metrics::of("queue");
    describe(&example::view(), &mut metrics);
    repeated::add_metrics(&mut metrics, &repeated::Totals::from([("wrong_token", 7)]));
    let text = metrics.text();
    // Values with different labels are in the order of a hash map.
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_by_key(|line| (name_in(line), line.starts_with("ci"), *line));
    insta::assert_snapshot!(lines.join("\n"));
}

/// The name of the metric that a line is about.
fn name_in(line: &str) -> &str {
    let line = line.trim_start_matches("# HELP ");
    let line = line.trim_start_matches("# TYPE ");
    line.split(['{', ' ']).next().unwrap_or_default()
}
