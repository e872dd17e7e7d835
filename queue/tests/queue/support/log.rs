//! Captures everything that is logged in this process, by any crate, at any level.

use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

struct Capture(Mutex<Vec<String>>);

static CAPTURE: Capture = Capture(Mutex::new(Vec::new()));

/// Captures what is logged from now on. Harmless when repeated.
pub fn capture() {
    if log::set_logger(&CAPTURE).is_ok() {
        log::set_max_level(LevelFilter::Trace);
    }
}

/// All lines so far that contain `part`.
pub fn lines_with(part: &str) -> Vec<String> {
    let lines = CAPTURE.0.lock();
    lines
        .iter()
        .filter(|line| line.contains(part))
        .cloned()
        .collect()
}

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("{} {}: {}", record.level(), record.target(), record.args());
        self.0.lock().push(line);
    }

    fn flush(&self) {}
}
