//! The book's page on metrics, from their descriptions.

use daemon::metrics::{COMMON, Metric, MetricKind};

const INTRODUCTION: &str = "\
# Metrics

<!-- Written by `cargo run -p tidy` from the descriptions beside the code. -->

`GET /metrics` of both daemons, in the text format of OpenMetrics 1.0. They need no token and contain no secret. Counters and histograms begin \
with zero at the start of the process. Labels are bounded: profiles, servers and fixed names, never jobs or runners.

Dashboards for Grafana and alert rules that use them are in [monitoring](../../monitoring/README.md).
";

/// The page as Markdown.
pub fn render() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += &section("The queue", "queue", &queue::metrics());
    page += &section("A monitor", "monitor", &monitor::metrics());
    page += "\n## Both daemons\n\nWith `queue` or `monitor` in place of `<daemon>`.\n";
    page += &table("<daemon>", &COMMON);
    page
}

fn section(title: &str, daemon: &str, metrics: &[&Metric]) -> String {
    format!("\n## {title}\n{}", table(daemon, metrics))
}

fn table(daemon: &str, metrics: &[&Metric]) -> String {
    let mut table =
        "\n| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for metric in metrics {
        let kind = match metric.kind {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
            MetricKind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        table += &format!(
            "| `{}` | {kind} | {} | {} |\n",
            metric.full_name(daemon),
            labels.join(", "),
            metric.help,
        );
    }
    table
}
