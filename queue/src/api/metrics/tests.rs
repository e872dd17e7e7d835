//! A snapshot of the metrics.

use actix_web::body::MessageBody;

use super::*;
use crate::api::snapshot::example;

#[test]
fn the_metrics_are_rendered() {
    let mut metrics = Metrics::of("queue");
    describe(&example::view(), &mut metrics);
    let body = metrics.answer().into_body().try_into_bytes().unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
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
