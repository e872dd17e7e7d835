//! The runner agent: emulates GitHub's runner software.
//!
//! It fetches its JIT configuration from the monitor, listens for one job, runs the job's command,
//! reports the result, and ends. All settings come from the caller; nothing is read from the
//! environment.
//!
//! ```text
//!  GET /github-jitconfig ──▶ open session ──▶ poll ──▶ start ──▶ run, renew ──▶ complete
//!      (again while 404, 503)      ▲           │ ▲        │           │
//!                                  └─(409)     └─┘(204)   └─(409)─▶ poll
//!                                                                     └─ cancelled, stopped: kill
//! ```

mod command;
mod error;
mod jit_config;
mod job;
mod listen;
mod session;
mod settings;

use http_client::Client;

pub use error::AgentError;
pub use settings::{AgentSettings, StopSignal};

use crate::model::JobId;
use session::Session;

/// How an agent ended, if not with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentOutcome {
    /// It ran a job and reported its result, which may be a failure.
    RanJob {
        job_id: JobId,
        /// The command's exit code; none if it was killed or could not be started.
        exit_code: Option<i32>,
    },
    /// GitHub no longer knows the runner or its session.
    RegistrationGone,
    /// It was stopped before it had a job.
    Stopped,
}

/// Runs an agent to its end. Must be called inside an actix runtime.
///
/// Dropping the future kills the job's command and all processes that it has started.
///
/// # Errors
/// When the monitor returns no valid JIT configuration, or GitHub cannot be reached for too long.
pub async fn run(settings: AgentSettings) -> Result<AgentOutcome, AgentError> {
    let client = Client::new();
    let stop = settings.stop.clone();
    let config = tokio::select! {
        config = jit_config::fetch(&client, &settings) => config?,
        () = stop.stopped() => return Ok(AgentOutcome::Stopped),
    };
    let outcome = match Session::open(client, config, &settings).await {
        Ok(Some(session)) => listen::listen(&session, &settings).await,
        Ok(None) => return Ok(AgentOutcome::Stopped),
        Err(error) => Err(error),
    };
    match outcome {
        Err(AgentError::NotFound) => Ok(AgentOutcome::RegistrationGone),
        outcome => outcome,
    }
}
