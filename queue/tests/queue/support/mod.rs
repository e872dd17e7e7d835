//! What the tests of this crate share.
//!
//! - `daemon`: the real queue in a thread of its own, which can be restarted
//! - `http`: requests and answers, byte by byte
//! - `monitor`: a monitor whose state is the test's; `monitor_http` shows it over HTTP
//! - `log`: everything that was logged in this process

pub mod daemon;
pub mod http;
pub mod log;
pub mod monitor;
mod monitor_http;

use std::time::Duration;

use shared::clock::Clock;

pub use daemon::{API_TOKEN, Daemon};
pub use http::{Answer, Open};
pub use monitor::{Dialect, Fault, Monitor};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `look` sees what it wants to see, and returns that.
///
/// # Panics
/// When it never does.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::start();
    let started_at = clock.now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(
            clock.now().since(started_at) < PATIENCE,
            "{what} never came to pass"
        );
        std::thread::yield_now();
    }
}
