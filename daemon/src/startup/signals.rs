//! The signals of a daemon: SIGTERM and SIGINT end it, SIGHUP lets it read its settings again.

use std::io;

use parking_lot::Mutex;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The hangups that have been received since [`expect_hangups`], until the daemon runs and takes them over. Signals
/// are of the process, and so is this.
static EARLY_HANGUPS: Mutex<Option<Signal>> = Mutex::new(None);

/// From now on SIGHUP does not end the process: [`hangups`] returns those that arrive during the start.
pub(super) fn expect_hangups() {
    // A handler that a runtime has installed stays when the runtime is gone.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let installed = runtime.and_then(|runtime| {
        let _inside = runtime.enter();
        signal(SignalKind::hangup())
    });
    // If that has failed, the daemon tries again later, and reports it: the log has not begun yet.
    *EARLY_HANGUPS.lock() = installed.ok();
}

/// The hangups since the start of the process. Call it in an async runtime.
///
/// # Errors
/// When no handler can be installed.
pub(crate) fn hangups() -> io::Result<Signal> {
    let early = EARLY_HANGUPS.lock().take();
    early.map_or_else(|| signal(SignalKind::hangup()), Ok)
}

/// Resolves with the name of the signal when the process receives SIGTERM, which service managers
/// send, or SIGINT, which is Ctrl-C. From the first poll on, neither ends the process by itself.
///
/// # Errors
/// When no handler can be installed.
async fn shutdown_signal() -> io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

/// Resolves, after a log line, when the process receives SIGTERM or SIGINT. If no handler can be
/// installed, it never resolves, and the signals end the process at once.
pub async fn until_signalled() {
    match shutdown_signal().await {
        Ok(name) => log::info!("received {name}; answering held requests before exit"),
        Err(error) => {
            log::error!("failed to install signal handlers: {error}");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Both signals in one test, because a signal reaches all listeners of the process.
    #[tokio::test]
    async fn both_signals_are_reported_by_name() {
        for name in ["SIGTERM", "SIGINT"] {
            let send = async {
                let kill = format!("kill -{} {}", &name[3..], std::process::id());
                Command::new("sh").args(["-c", &kill]).status()
            };
            // The first poll installs the handlers; without them the test would not survive.
            let (signal, sent) = tokio::join!(biased; shutdown_signal(), send);
            assert!(sent.unwrap().success());
            assert_eq!(signal.unwrap(), name);
        }
    }
}
