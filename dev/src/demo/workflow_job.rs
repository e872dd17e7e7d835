//! Runs a workflow job at the emulated GitHub: queues it for a runner's label and polls its end.
//!
//! Uses the paths below `/_emulator`, which the emulator offers in the place of workflow files.

use std::time::Duration;

use http_client::{Client, HttpError, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::servers::REPO;

/// The pause between two polls of a job's state.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How a workflow job ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Ended {
    /// `success`, `failure` or `cancelled`.
    pub conclusion: String,
    /// The exit code of its command; `None` if the command was killed.
    pub exit_code: Option<i32>,
    /// The end of its command's output.
    pub output_tail: String,
}

/// Why a workflow job could not be queued or polled. Each text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum WorkflowJobError {
    /// There was no response, or it was malformed.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The response has a status other than success.
    #[error("{operation}: the response was {status}")]
    Status {
        operation: &'static str,
        status: StatusCode,
    },
}

impl WorkflowJobError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Status { status, .. } => status.is_server_error(),
        }
    }
}

/// Queues a job that executes `command` on a runner with this label, and waits for its end.
///
/// # Errors
/// When the emulated GitHub is unreachable or refuses the job.
pub async fn run(
    client: &Client,
    base_url: &str,
    run_id: u64,
    label: &str,
    command: &str,
) -> Result<Ended, WorkflowJobError> {
    #[derive(Deserialize)]
    struct Queued {
        id: u64,
    }
    #[derive(Deserialize)]
    struct Status {
        state: String,
    }
    let url = format!("{base_url}/_emulator/jobs");
    let job = json!({"repo": REPO, "run_id": run_id, "labels": [label], "command": command});
    let request = Request::new(Method::POST, &url).json(&job);
    let response = success("queue a workflow job", client.send(request).await?)?;
    let url = format!("{url}/{}", response.json::<Queued>()?.id);
    loop {
        match status(client, &url).await {
            Ok(response) if response.json::<Status>()?.state == "completed" => {
                return Ok(response.json()?);
            }
            Err(error) if !error.is_transient() => return Err(error),
            _ => {}
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn status(client: &Client, url: &str) -> Result<Response, WorkflowJobError> {
    let request = Request::new(Method::GET, url);
    success("poll a workflow job", client.send(request).await?)
}

fn success(operation: &'static str, response: Response) -> Result<Response, WorkflowJobError> {
    let status = response.status;
    if status.is_success() {
        Ok(response)
    } else {
        Err(WorkflowJobError::Status { operation, status })
    }
}
