//! The runner agent: what GitHub's runner software does, as far as the emulator's jobs need it.
//!
//! It fetches its JIT configuration from the monitor, listens for one job, runs the job's command,
//! reports how it ended, and ends itself. Owns no setting of its own: all come from the caller, and
//! nothing is read from the environment.
//!
//! ```text
//!  GET /github-jitconfig ──▶ open session ──▶ poll ──▶ start ──▶ run, renew ──▶ complete
//!      (again while 404, 503)      ▲           │ ▲        │           │
//!                                  └─(409)     └─┘(204)   └─(409)─▶ poll
//!                                                                     └─ cancelled, stopped: kill
//! ```

mod command;
mod credential;
mod error;
mod listen;
mod session;
mod settings;
mod work;

use http_client::Client;

pub use error::AgentError;
pub use settings::{AgentSettings, StopSignal};

use crate::model::JobId;
use session::Session;

/// How an agent's life ended, when nothing went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentOutcome {
    /// It ran its job and reported the end. Not all jobs end well.
    RanJob {
        /// The job.
        job_id: JobId,
        /// The command's exit code; none if it was killed, or could not be started.
        exit_code: Option<i32>,
    },
    /// GitHub no longer knows the runner: it was removed, or another took its place.
    RegistrationGone,
    /// It was told to stop before it had a job.
    Stopped,
}

/// Lives a runner's life. Has to be called inside an actix runtime.
///
/// Dropping the future kills the job's command with all that it started.
///
/// # Errors
/// When the monitor gives no usable credential, or GitHub cannot be reached for too long.
pub async fn run(settings: AgentSettings) -> Result<AgentOutcome, AgentError> {
    let client = Client::new();
    let stop = settings.stop.clone();
    let config = tokio::select! {
        config = credential::fetch(&client, &settings) => config?,
        () = stop.given() => return Ok(AgentOutcome::Stopped),
    };
    let outcome = match Session::open(client, config, &settings).await {
        Ok(Some(session)) => listen::until_done(&session, &settings).await,
        Ok(None) => return Ok(AgentOutcome::Stopped),
        Err(error) => Err(error),
    };
    match outcome {
        Err(AgentError::Gone) => Ok(AgentOutcome::RegistrationGone),
        outcome => outcome,
    }
}
