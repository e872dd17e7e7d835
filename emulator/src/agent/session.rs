//! The agent's requests to the emulator, as described in [`agent_protocol`](crate::agent_protocol).
//!
//! All of them are idempotent, and are retried until there is a response or the retry budget is
//! used up.

use std::time::Duration;

use http_client::{Client, Method, Request, Response, RetryBudget, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    AgentError, AgentSettings,
    settings::{STOP_TIMEOUT, limited},
};
use crate::{
    agent_protocol::{OfferedJob, Opened, Progress, Renewed, Report},
    jit::JitConfig,
    model::{JobId, SessionId},
};

/// The timeout of one request: longer than the emulator holds a poll.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);

/// An open session, in which the runner is online.
pub(super) struct Session {
    client: Client,
    config: JitConfig,
    id: SessionId,
    unreachable_timeout: Duration,
    retry_pause: Duration,
}

/// Whether an offered job may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Accepted,
    /// The job is no longer assigned to this runner.
    Refused,
}

impl Session {
    /// Opens a session. None if the agent was stopped meanwhile.
    pub(super) async fn open(
        client: Client,
        config: JitConfig,
        settings: &AgentSettings,
    ) -> Result<Option<Self>, AgentError> {
        let mut session = Self {
            client,
            config,
            id: SessionId(0),
            unreachable_timeout: settings.unreachable_timeout,
            retry_pause: settings.retry_pause,
        };
        let Some(opened) = settings.stop.finish(session.request_session()).await else {
            return Ok(None);
        };
        session.id = opened?.session_id;
        Ok(Some(session))
    }

    /// Retries on a conflict: an earlier request whose response was lost may have opened a session,
    /// which exists until it has been silent for too long.
    async fn request_session(&self) -> Result<Opened, AgentError> {
        let attempted = "open a session";
        let mut retry_budget = self.retry_budget();
        loop {
            let answer = self.call(attempted, Method::POST, "", None).await?;
            let is_taken = answer.status == StatusCode::CONFLICT;
            if !is_taken || !retry_budget.wait_for_retry(None).await {
                return Ok(successful(attempted, answer)?.json()?);
            }
        }
    }

    /// Long-polls for a job.
    pub(super) async fn poll(&self) -> Result<Option<OfferedJob>, AgentError> {
        let attempted = "poll for a job";
        let answer = self
            .call(attempted, Method::POST, &self.path("/poll"), None)
            .await?;
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        Ok(Some(successful(attempted, answer)?.json()?))
    }

    /// Starts an offered job.
    pub(super) async fn start(&self, job: JobId) -> Result<Start, AgentError> {
        let path = self.path(&format!("/jobs/{job}/start"));
        let answer = self
            .call("start the job", Method::POST, &path, None)
            .await?;
        if answer.status == StatusCode::CONFLICT {
            return Ok(Start::Refused);
        }
        successful("start the job", answer).map(|_| Start::Accepted)
    }

    /// Reports the output so far, and long-polls for a cancellation; returns whether there is one.
    pub(super) async fn renew(&self, job: JobId, output_tail: String) -> Result<bool, AgentError> {
        let path = self.path(&format!("/jobs/{job}/renew"));
        let body = json!(Progress { output_tail });
        let answer = self
            .call("renew the job", Method::POST, &path, Some(&body))
            .await?;
        Ok(successful("renew the job", answer)?
            .json::<Renewed>()?
            .is_cancelled)
    }

    /// Reports the result of the job. GitHub then removes the registration.
    pub(super) async fn complete(&self, job: JobId, report: Report) -> Result<(), AgentError> {
        let path = self.path(&format!("/jobs/{job}/complete"));
        let body = json!(report);
        let answer = self
            .call("complete the job", Method::POST, &path, Some(&body))
            .await?;
        match successful("complete the job", answer) {
            // An earlier report, whose response was lost, has removed the registration.
            Ok(_) | Err(AgentError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Closes the session, without retries beyond [`STOP_TIMEOUT`].
    pub(super) async fn close(&self) {
        let path = self.path("");
        let request = self.call("close the session", Method::DELETE, &path, None);
        let result = timeout(STOP_TIMEOUT, request).await;
        log::debug!("closed the session: {}", matches!(result, Ok(Ok(_))));
    }

    fn path(&self, rest: &str) -> String {
        format!("/{}{rest}", self.id)
    }

    fn retry_budget(&self) -> RetryBudget {
        RetryBudget::new(self.unreachable_timeout, self.retry_pause)
    }

    /// Sends a request, and retries it after transient errors.
    async fn call(
        &self,
        attempted: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, AgentError> {
        let base_url = &self.config.url;
        let url = format!("{base_url}/_runner/{}/session{path}", self.config.runner_id);
        let mut retry_budget = self.retry_budget();
        loop {
            let mut call = Request {
                bearer: Some(&self.config.secret),
                timeout: REQUEST_TIMEOUT,
                ..Request::new(method.clone(), &url)
            };
            if let Some(body) = body {
                call = call.json(body);
            }
            let (error, retry_after) = match self.client.send(call).await {
                Ok(answer) => {
                    let status = answer.status;
                    let error = AgentError::Status { attempted, status };
                    if !error.is_transient() {
                        return Ok(answer);
                    }
                    (error, answer.retry_after())
                }
                Err(error) => (error.into(), None),
            };
            if !error.is_transient()
                || !retry_budget
                    .wait_for_retry(limited(retry_after, self.retry_pause))
                    .await
            {
                return Err(error);
            }
            log::debug!("failed to {error}; retrying");
        }
    }
}

/// The response, if its status is a success.
fn successful(attempted: &'static str, answer: Response) -> Result<Response, AgentError> {
    match answer.status {
        status if status.is_success() => Ok(answer),
        StatusCode::NOT_FOUND => Err(AgentError::NotFound),
        status => Err(AgentError::Status { attempted, status }),
    }
}
