//! What the tests of this crate share.
//!
//! - `daemon`: the real queue in a thread of its own, which can be restarted, and fixtures with one
//! - `fake_monitor`: a monitor whose state the tests change
//! - `http`: requests and responses, byte by byte
//! - `log`: everything that was logged in this process

pub mod daemon;
#[path = "../../fake_monitor/mod.rs"]
pub mod fake_monitor;
pub mod http;
pub mod log;

use std::time::Duration;

use shared::clock::Clock;

pub use daemon::{Daemon, Fixture};
pub use fake_monitor::{API_TOKEN, Dialect, FakeMonitor, Fault};
pub use http::{PendingRequest, Response};

/// How long anything may take before a test fails.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until `check` returns a value, and returns it.
///
/// # Panics
/// When it never does.
#[track_caller]
pub fn wait_until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::start();
    let started_at = clock.now();
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(
            clock.now().since(started_at) < TIMEOUT,
            "waited {TIMEOUT:?} for {what}"
        );
        std::thread::yield_now();
    }
}
