//! Waiting for a condition in another process, and measuring time.

use std::time::{Duration, Instant};

/// The pause between two checks, and how many there are: 30 s.
const PAUSE: Duration = Duration::from_millis(20);
const CHECKS_MAX: u32 = 1500;

/// Waits until `check` returns a value.
///
/// # Panics
/// When that takes longer than 30 s.
#[track_caller]
pub fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    for _ in 0..CHECKS_MAX {
        if let Some(value) = check() {
            return value;
        }
        pause(PAUSE);
    }
    panic!("waited {:?} until {what}", PAUSE * CHECKS_MAX);
}

/// Pauses, to send requests at a certain rate or to let an attack last.
pub fn pause(duration: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "there is nothing to wait on in another process"
    )]
    std::thread::sleep(duration);
}

/// A moment, from which durations are measured.
pub fn now() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement, in which no state depends on the time"
    )]
    Instant::now()
}

/// The value that this share (0 to 1) of the durations does not exceed.
///
/// # Panics
/// When there is none.
pub fn percentile(durations: &mut [Duration], share: f64) -> Duration {
    assert!(!durations.is_empty(), "a percentile needs values");
    durations.sort_unstable();
    durations[((durations.len() - 1) as f64 * share).round() as usize]
}
