//! The workflow jobs at the made-up GitHub, over the calls that `ci-runners emulator` explains.
//!
//! Owns these two calls. A workflow job is what GitHub gives to a runner that has its label.

use std::time::Duration;

use http_client::{Answer, Call, Client, HttpError, Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::hosts::REPO;

/// How often to look whether a job is over.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// How a workflow job ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ended {
    /// `success`, `failure` or `cancelled`.
    pub conclusion: String,
    /// The exit code of its command; none if that did not end by itself.
    pub exit_code: Option<i32>,
    /// The end of what its command printed.
    pub output_tail: String,
}

/// Why a workflow job could not be followed. Each text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum GithubError {
    /// There was no answer, or none that could be understood.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The answer was no.
    #[error("{attempted}: the answer was {status}")]
    Refused {
        /// What was to be done.
        attempted: &'static str,
        /// The answer's status.
        status: StatusCode,
    },
}

impl GithubError {
    /// Whether the same may well work later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Refused { status, .. } => status.is_server_error(),
        }
    }
}

/// Queues a job that runs `command` on a runner with this label, and waits for its end.
///
/// # Errors
/// When GitHub cannot be asked, or does not want the job.
pub async fn run_job(
    client: &Client,
    base_url: &str,
    run_id: u64,
    label: &str,
    command: &str,
) -> Result<Ended, GithubError> {
    #[derive(Deserialize)]
    struct Queued {
        id: u64,
    }
    #[derive(Deserialize)]
    struct Shown {
        state: String,
    }
    let url = format!("{base_url}/_emulator/jobs");
    let job = json!({"repo": REPO, "run_id": run_id, "labels": [label], "command": command});
    let call = Call::new(Method::POST, &url).json(&job);
    let answer = granted("queue a workflow job", client.call(call).await?)?;
    let url = format!("{url}/{}", answer.json::<Queued>()?.id);
    loop {
        match look(client, &url).await {
            Ok(answer) if answer.json::<Shown>()?.state == "completed" => {
                return Ok(answer.json()?);
            }
            Err(error) if !error.is_transient() => return Err(error),
            _ => {}
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

async fn look(client: &Client, url: &str) -> Result<Answer, GithubError> {
    let call = Call::new(Method::GET, url);
    granted("follow a workflow job", client.call(call).await?)
}

fn granted(attempted: &'static str, answer: Answer) -> Result<Answer, GithubError> {
    let status = answer.status;
    if status.is_success() {
        Ok(answer)
    } else {
        Err(GithubError::Refused { attempted, status })
    }
}
