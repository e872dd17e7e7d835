//! What the agent says to the emulator, as described in [`runner_wire`](crate::runner_wire).
//!
//! Every call may be repeated, so each is, until it is answered or the retry budget is used up.

use std::time::Duration;

use http_client::{Answer, Call, Client, Method, RetryBudget, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    AgentError, AgentSettings,
    settings::{PARTING_TIMEOUT, reasonable},
};
use crate::{
    jit::JitConfig,
    model::{JobId, SessionId},
    runner_wire::{OfferedJob, Opened, Progress, Renewed, Report},
};

/// How long one call may take: more than the emulator holds a poll.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);

/// A runner that listens.
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
    Granted,
    /// It went elsewhere meanwhile.
    Refused,
}

impl Session {
    /// Goes online. None if the agent was told to stop before that came about.
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
        let Some(opened) = settings.stop.see_through(session.opened()).await else {
            return Ok(None);
        };
        session.id = opened?.session_id;
        Ok(Some(session))
    }

    /// A session whose opening got lost stands in the way of another until it is silent for too
    /// long.
    async fn opened(&self) -> Result<Opened, AgentError> {
        let attempted = "open a session";
        let mut retry_budget = self.retry_budget();
        loop {
            let answer = self.call(attempted, Method::POST, "", None).await?;
            let is_taken = answer.status == StatusCode::CONFLICT;
            if !is_taken || !retry_budget.wait_for_retry(None).await {
                return Ok(granted(attempted, answer)?.json()?);
            }
        }
    }

    /// Waits a while for a job.
    pub(super) async fn poll(&self) -> Result<Option<OfferedJob>, AgentError> {
        let attempted = "poll for a job";
        let answer = self
            .call(attempted, Method::POST, &self.path("/poll"), None)
            .await?;
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        Ok(Some(granted(attempted, answer)?.json()?))
    }

    /// Takes the job on.
    pub(super) async fn start(&self, job: JobId) -> Result<Start, AgentError> {
        let path = self.path(&format!("/jobs/{job}/start"));
        let answer = self
            .call("start the job", Method::POST, &path, None)
            .await?;
        if answer.status == StatusCode::CONFLICT {
            return Ok(Start::Refused);
        }
        granted("start the job", answer).map(|_| Start::Granted)
    }

    /// Shows the output so far, and waits a while for a cancellation; true if there is one.
    pub(super) async fn renew(&self, job: JobId, output_tail: String) -> Result<bool, AgentError> {
        let path = self.path(&format!("/jobs/{job}/renew"));
        let body = json!(Progress { output_tail });
        let answer = self
            .call("renew the job", Method::POST, &path, Some(&body))
            .await?;
        Ok(granted("renew the job", answer)?
            .json::<Renewed>()?
            .is_cancelled)
    }

    /// Reports the end of the job, which is also the end of the registration.
    pub(super) async fn complete(&self, job: JobId, report: Report) -> Result<(), AgentError> {
        let path = self.path(&format!("/jobs/{job}/complete"));
        let body = json!(report);
        let answer = self
            .call("complete the job", Method::POST, &path, Some(&body))
            .await?;
        match granted("complete the job", answer) {
            // It was complete before: the answer to the first report was lost.
            Ok(_) | Err(AgentError::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Goes offline, as far as that can be said in a moment.
    pub(super) async fn close(&self) {
        let path = self.path("");
        let goodbye = self.call("close the session", Method::DELETE, &path, None);
        let said = timeout(PARTING_TIMEOUT, goodbye).await;
        log::debug!("said goodbye: {}", matches!(said, Ok(Ok(_))));
    }

    fn path(&self, rest: &str) -> String {
        format!("/{}{rest}", self.id)
    }

    fn retry_budget(&self) -> RetryBudget {
        RetryBudget::new(self.unreachable_timeout, self.retry_pause)
    }

    /// Calls until there is an answer other than a failure that may pass.
    async fn call(
        &self,
        attempted: &'static str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, AgentError> {
        let base_url = &self.config.url;
        let url = format!("{base_url}/_runner/{}/session{path}", self.config.runner_id);
        let mut retry_budget = self.retry_budget();
        loop {
            let mut call = Call {
                bearer: Some(&self.config.secret),
                timeout: CALL_TIMEOUT,
                ..Call::new(method.clone(), &url)
            };
            if let Some(body) = body {
                call = call.json(body);
            }
            let (error, asked) = match self.client.call(call).await {
                Ok(answer) => {
                    let status = answer.status;
                    let refused = AgentError::Refused { attempted, status };
                    if !refused.is_transient() {
                        return Ok(answer);
                    }
                    (refused, answer.retry_after())
                }
                Err(error) => (error.into(), None),
            };
            if !error.is_transient()
                || !retry_budget
                    .wait_for_retry(reasonable(asked, self.retry_pause))
                    .await
            {
                return Err(error);
            }
            log::debug!("will try again after having failed to {error}");
        }
    }
}

/// The answer, if it is a good one.
fn granted(attempted: &'static str, answer: Answer) -> Result<Answer, AgentError> {
    match answer.status {
        status if status.is_success() => Ok(answer),
        StatusCode::NOT_FOUND => Err(AgentError::Gone),
        status => Err(AgentError::Refused { attempted, status }),
    }
}
