//! What this process uses, read from Linux's `/proc/self` for each request. The names are those that
//! Prometheus' own client libraries use, so they have no prefix.

use std::fs;

use super::{Metric, Metrics};

/// All of them, in the order of the book.
pub(super) const ALL: [&Metric; 6] = [
    &CPU_SECONDS,
    &RESIDENT_BYTES,
    &VIRTUAL_BYTES,
    &OPEN_DESCRIPTORS,
    &DESCRIPTORS_MAX,
    &START_TIME,
];

static CPU_SECONDS: Metric = Metric::counter(
    "process_cpu_seconds",
    &[],
    "Time that the process has spent on processors, in seconds",
);
static RESIDENT_BYTES: Metric = Metric::gauge(
    "process_resident_memory_bytes",
    &[],
    "Memory of the process that is in RAM, in bytes",
);
static VIRTUAL_BYTES: Metric = Metric::gauge(
    "process_virtual_memory_bytes",
    &[],
    "Address space of the process, in bytes",
);
static OPEN_DESCRIPTORS: Metric = Metric::gauge(
    "process_open_fds",
    &[],
    "Open file descriptors, among them connections",
);
static DESCRIPTORS_MAX: Metric = Metric::gauge(
    "process_max_fds",
    &[],
    "How many file descriptors may be open",
);
static START_TIME: Metric = Metric::gauge(
    "process_start_time_seconds",
    &[],
    "When the process was started, in seconds since 1970",
);

/// Adds what Linux reports; what cannot be read is left out.
pub(super) fn add(metrics: &mut Metrics) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
    if let Some(usage) = Usage::parse(&stat, &boot) {
        metrics.add_one(&CPU_SECONDS, usage.cpu_seconds);
        metrics.add_one(&RESIDENT_BYTES, usage.resident_bytes);
        metrics.add_one(&VIRTUAL_BYTES, usage.virtual_bytes);
        metrics.add_one(&START_TIME, usage.started_at);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the list itself.
        metrics.add_one(&OPEN_DESCRIPTORS, open.count().saturating_sub(1) as f64);
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if let Some(limit) = limit.current {
        metrics.add_one(&DESCRIPTORS_MAX, limit as f64);
    }
}

/// What a process uses.
#[derive(Debug, PartialEq)]
struct Usage {
    cpu_seconds: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
    /// In seconds since 1970.
    started_at: f64,
}

impl Usage {
    /// Reads `/proc/self/stat` and `/proc/stat` (proc(5)).
    fn parse(stat: &str, boot: &str) -> Option<Self> {
        // The second field is the name of the program in parentheses and may contain anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // `number` is that of proc(5), which counts from 1.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * rustix::param::page_size() as f64,
            started_at: boot.trim().parse::<f64>().ok()? + field(22)? / ticks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_reports_of_a_process_is_read() {
        let mut fields = vec!["0"; 50];
        for (number, value) in [
            (14, "250"),
            (15, "50"),
            (22, "100"),
            (23, "4096"),
            (24, "2"),
        ] {
            fields[number - 3] = value;
        }
        let stat = format!("17 (a) b (queue)) {}", fields.join(" "));
        let usage = Usage::parse(&stat, "cpu 1 2\nbtime 1800000000\n").unwrap();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(
            usage,
            Usage {
                cpu_seconds: 300.0 / ticks,
                virtual_bytes: 4096.0,
                resident_bytes: 2.0 * rustix::param::page_size() as f64,
                started_at: 1_800_000_000.0 + 100.0 / ticks,
            }
        );
        assert_eq!(Usage::parse("17 (queue) S", "btime 1"), None);
        assert_eq!(Usage::parse("", ""), None);
    }
}
