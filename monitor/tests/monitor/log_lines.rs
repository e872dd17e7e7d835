//! Test of the log lines of the control loop and of the executor.

use std::{cell::RefCell, sync::Once};

use log::{Level, Log, Metadata, Record};

use crate::support::{ids, with_idle_and};

thread_local! {
    /// The lines of this thread, on which a test runs the control loop. HTTP workers have other threads.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Recorder;

impl Log for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What existing units enable by `RUST_LOG=monitor=info`.
        let target = metadata.target();
        let is_ours = target.starts_with("monitor") || target == "daemon::journal";
        metadata.level() <= Level::Info && is_ours
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("{} {}", record.level(), record.args());
            LINES.with_borrow_mut(|lines| lines.push(line));
        }
    }

    fn flush(&self) {}
}

fn record() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
}

#[actix_web::test]
async fn the_lifecycle_of_a_runner_is_logged_with_reasons() {
    record();
    let (_host, monitor) = with_idle_and(1, "monitor_reserve_timeout = \"200ms\"").await;
    monitor.expect_taken("job").await;
    monitor.until(|dashboard| ids(dashboard) == [1]).await;
    monitor.until_idle(1).await;
    let address = monitor.url.clone();
    monitor.stop().await;
    // The agent ends by the signal, or with the exit status of the command that the signal ended.
    let status = |line: String| match line.split_once(" ended with ") {
        Some((guest, _)) => format!("{guest} ended with STATUS"),
        None => line,
    };
    let mut lines: Vec<_> = LINES.take().into_iter().map(status).collect();
    // Independent tasks write them, so their order varies.
    lines.sort();
    insta::assert_snapshot!(lines.join("\n").replace(&address, "http://ADDRESS/"));
}
