//! Fetches the JIT configuration from the monitor.

use http_client::{Client, Method, Request, Response, RetryBudget, StatusCode};
use shared::secret::Secret;

use super::{AgentError, AgentSettings, settings::limited};
use crate::jit::JitConfig;

const ATTEMPTED: &str = "fetch the runner's JIT configuration";

/// Retries until the monitor has the configuration. It may not be running yet, not be ready (503),
/// or not have registered this runner yet (404).
pub(super) async fn fetch(
    client: &Client,
    settings: &AgentSettings,
) -> Result<JitConfig, AgentError> {
    let url = format!(
        "{}/github-jitconfig",
        settings.monitor_url.trim_end_matches('/')
    );
    let mut retry_budget = RetryBudget::new(settings.jit_config_timeout, settings.retry_pause);
    loop {
        let call = Request {
            bearer: Some(&settings.guest_secret),
            ..Request::new(Method::GET, &url)
        };
        let (error, retry_after) = match client.send(call).await {
            Ok(answer) if answer.status == StatusCode::OK => return decode(&answer),
            Ok(answer) => {
                let error = AgentError::Status {
                    attempted: ATTEMPTED,
                    status: answer.status,
                };
                (error, answer.retry_after())
            }
            Err(error) => (error.into(), None),
        };
        let is_unregistered = matches!(
            error,
            AgentError::Status {
                status: StatusCode::NOT_FOUND,
                ..
            }
        );
        let pause = limited(retry_after, settings.retry_pause);
        let may_succeed_later = error.is_transient() || is_unregistered;
        if !may_succeed_later || !retry_budget.wait_for_retry(pause).await {
            return Err(error);
        }
        log::debug!("failed to {error}; retrying");
    }
}

fn decode(answer: &Response) -> Result<JitConfig, AgentError> {
    let encoded: Secret = answer.json()?;
    Ok(JitConfig::decode(&encoded)?)
}
