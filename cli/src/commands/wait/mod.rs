//! `ci-runners wait`: stands in line for a job until it has its runners.
//!
//! - `patience`: what to do after each answer; pure
//! - `line`: does it
//! - `progress`: says where the job stands
//!
//! This file owns how the wait ends: with runners, because waiting cannot help, because it took
//! too long, or because somebody said so.

mod line;
mod patience;
mod progress;

use std::time::Duration;

use http_client::Client;
use shared::secret::Secret;

pub use self::{
    line::{Line, Progress},
    progress::OnStderr,
};
use crate::{
    args::Wait,
    client::{CallError, QueueClient, Taken},
    exit::Exit,
    failure::Failure,
    format, output,
    signal::{Signal, next_signal},
};

/// How often it is looked where the job stands.
pub const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// Runs the command.
///
/// # Errors
/// When waiting cannot help, or nobody reads the labels.
pub async fn wait(args: &Wait, api_token: &Secret) -> Result<Exit, Failure> {
    let mut line = Line::new(
        QueueClient::new(Client::new(), args.job.queue.clone()),
        args.job.job(),
        api_token.clone(),
        OnStderr::start(output::is_watched()),
        LOOK_PAUSE,
    );
    // Runners come first: they are never thrown away because time was up in the same moment.
    let outcome = tokio::select! {
        biased;
        stood = line.stand() => match stood {
            Ok(taken) => Outcome::Stood(taken),
            Err(error) => Outcome::Failed(error),
        },
        signal = next_signal() => Outcome::Signal(signal.map_err(Failure::Signals)?),
        () = tokio::time::sleep(args.max_wait) => Outcome::TooLong,
    };
    match outcome {
        Outcome::Stood(taken) => {
            line.say("the runners are there");
            let labels = taken.labels(line.unique_id());
            // The line on the terminal has to go before anything else is printed.
            drop(line);
            output::print(&if args.json {
                taken.json_array().to_string()
            } else {
                labels.join("\n")
            })?;
            Ok(Exit::Done)
        }
        Outcome::Failed(error) => {
            // A job that was refused is in no line; after any other failure it may be.
            if error.refusal().is_none() {
                line.leave().await;
            }
            Err(error.into())
        }
        Outcome::Signal(signal) => {
            line.say(&format!("{signal}: withdrawing the job"));
            line.leave().await;
            Ok(Exit::from(signal))
        }
        Outcome::TooLong => {
            let wait = format::duration(args.max_wait);
            line.say(&format!("no runners within {wait}: withdrawing the job"));
            line.leave().await;
            Ok(Exit::WaitedTooLong)
        }
    }
}

/// How a wait comes to its end.
enum Outcome {
    /// With runners.
    Stood(Taken),
    /// Waiting cannot help.
    Failed(CallError),
    /// A signal of this name came.
    Signal(Signal),
    /// `--max-wait` is over.
    TooLong,
}
