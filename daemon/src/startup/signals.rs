//! The signals that end a daemon.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

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
