//! Runs work that blocks, on the disk or in `/proc`, outside the async threads.

use std::io;

/// Runs `work` on a thread for blocking work.
///
/// # Errors
/// The error of `work`, or that it panicked.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|failure| Err(io::Error::other(failure)))
}
