//! Fetching the JIT configuration from the monitor.

use http_client::{Answer, Call, Client, Method, RetryBudget, StatusCode};
use shared::secret::Secret;

use super::{AgentError, AgentSettings, settings::reasonable};
use crate::jit::JitConfig;

const ATTEMPTED: &str = "fetch the runner's credential";

/// Asks until the monitor has one: it may not have registered this runner yet (404), not be ready
/// (503), or not be up.
pub(super) async fn fetch(
    client: &Client,
    settings: &AgentSettings,
) -> Result<JitConfig, AgentError> {
    let url = format!(
        "{}/github-jitconfig",
        settings.monitor_url.trim_end_matches('/')
    );
    let mut retry_budget = RetryBudget::new(settings.credential_timeout, settings.retry_pause);
    loop {
        let call = Call {
            bearer: Some(&settings.guest_secret),
            ..Call::new(Method::GET, &url)
        };
        let (error, asked) = match client.call(call).await {
            Ok(answer) if answer.status == StatusCode::OK => return read(&answer),
            Ok(answer) => {
                let status = answer.status;
                (
                    AgentError::Refused {
                        attempted: ATTEMPTED,
                        status,
                    },
                    answer.retry_after(),
                )
            }
            Err(error) => (error.into(), None),
        };
        let is_hopeful = error.is_transient()
            || matches!(
                error,
                AgentError::Refused {
                    status: StatusCode::NOT_FOUND,
                    ..
                }
            );
        if !is_hopeful
            || !retry_budget
                .wait_for_retry(reasonable(asked, settings.retry_pause))
                .await
        {
            return Err(error);
        }
        log::debug!("will ask again after having failed to {error}");
    }
}

fn read(answer: &Answer) -> Result<JitConfig, AgentError> {
    let encoded: Secret = answer.json()?;
    Ok(JitConfig::decode(&encoded)?)
}
