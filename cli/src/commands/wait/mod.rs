//! `ci-runners wait`: enqueues a job and waits until it has its runners.
//!
//! - `machine`: what to do after each response; pure
//! - `queued_job`: sends the requests
//! - `progress`: shows the position on standard error
//!
//! Responsible for how the wait ends: with runners, with an error, at a signal, or after
//! `--max-wait`.

mod machine;
mod progress;
mod queued_job;

use std::time::Duration;

pub use self::{
    progress::{Progress, StderrProgress},
    queued_job::QueuedJob,
};
use crate::{
    addresses::Daemon,
    args::Wait,
    client::{RequestError, Taken},
    exit::Exit,
    failure::Failure,
    format, output,
    signal::{Signal, next_signal},
};

/// How often the displayed position is updated.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(5);

/// Runs the command.
///
/// # Errors
/// When the queue refuses the job, or the labels cannot be printed.
pub async fn wait(args: &Wait, daemon: &Daemon) -> Result<Exit, Failure> {
    let mut job = QueuedJob::new(
        daemon.jobs(),
        args.job.job(),
        daemon.api_token()?,
        StderrProgress::start(output::stderr_is_terminal()),
        STATUS_INTERVAL,
    );
    // Biased: runners that arrive together with a signal or the end of --max-wait are not lost.
    let outcome = tokio::select! {
        biased;
        result = job.wait_for_runners() => match result {
            Ok(taken) => Outcome::Runners(taken),
            Err(error) => Outcome::Failed(error),
        },
        signal = next_signal() => Outcome::Signal(signal.map_err(Failure::Signals)?),
        () = tokio::time::sleep(args.max_wait) => Outcome::TooLong,
    };
    match outcome {
        Outcome::Runners(taken) => {
            job.print("the job has its runners");
            let labels = taken.labels(job.unique_id());
            // Clears the progress bar before the labels are printed to the same terminal.
            drop(job);
            output::print(&if args.json {
                taken.json_array().to_string()
            } else {
                labels.join("\n")
            })?;
            Ok(Exit::Done)
        }
        Outcome::Failed(error) => {
            // A job that the queue refused is not in it; after any other error it may be.
            if error.response().is_none() {
                job.withdraw().await;
            }
            Err(error.into())
        }
        Outcome::Signal(signal) => {
            job.print(&format!("received {signal}: withdrawing the job"));
            job.withdraw().await;
            Ok(Exit::from(signal))
        }
        Outcome::TooLong => {
            let wait = format::duration(args.max_wait);
            job.print(&format!("no runners within {wait}: withdrawing the job"));
            job.withdraw().await;
            Ok(Exit::WaitedTooLong)
        }
    }
}

/// How a wait ends.
enum Outcome {
    Runners(Taken),
    Failed(RequestError),
    Signal(Signal),
    /// `--max-wait` is over.
    TooLong,
}
