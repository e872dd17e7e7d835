//! GitHub webhooks about jobs that start or end on a runner: they trigger a poll at once, and one about the
//! end of a job is the evidence with which its guest may be destroyed.
//!
//! Responsible for the signature. Webhooks may be lost: polls find whatever no webhook reported.
//! Source: GitHub's documentation, "Validating webhook deliveries" and "Webhook events and payloads".

use std::{
    convert::Infallible,
    future::{Ready, ready},
    time::Duration,
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, dev,
    web::{Data, Payload},
};
use daemon::error::{ApiError, Code};
use ring::hmac;
use serde::Deserialize;
use shared::{secret::Secret, values::RunId};

use super::AppState;
use monitor_core::{WorkflowJobEvent, WorkflowRun};

/// Maximum size of a payload, in bytes. GitHub's own limit is 25 MB, but the payload of a job has some
/// 20 kB, depending on the number of the job's steps.
const PAYLOAD_MAX: usize = 1024 * 1024;
/// Timeout of the payload; GitHub's own is ten seconds. What has arrived is kept in memory meanwhile, and
/// any client may send a payload.
const PAYLOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The key with which GitHub signs webhooks.
#[derive(Clone, Debug)]
pub struct Key(hmac::Key);

impl Key {
    pub fn new(secret: &Secret) -> Self {
        let secret = secret.expose().as_bytes();
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Verifies a `signature` of the form `sha256=<hex>` in constant time.
    fn has_signed(&self, payload: &[u8], signature: &str) -> bool {
        let bytes = signature.strip_prefix("sha256=").and_then(from_hex);
        bytes.is_some_and(|bytes| hmac::verify(&self.0, payload, &bytes).is_ok())
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let bytes = pairs.iter().map(|[high, low]| {
        let byte = digit(high)? * 16 + digit(low)?;
        u8::try_from(byte).ok()
    });
    bytes.collect()
}

/// The fields of a `workflow_job` event that are used.
#[derive(Deserialize)]
struct Event {
    action: String,
    workflow_job: WorkflowJob,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct WorkflowJob {
    /// None or null while the job has no runner.
    runner_name: Option<String>,
    /// GitHub's id of the runner's registration.
    runner_id: Option<u64>,
    run_id: Option<u64>,
}

impl Event {
    /// What the core has to know; none if the event is about no runner, or neither start nor end.
    fn about_runner(self) -> Option<WorkflowJobEvent> {
        let has_completed = match self.action.as_str() {
            "in_progress" => false,
            "completed" => true,
            _ => return None,
        };
        let qualified_repo = self.repository.and_then(|it| it.full_name.parse().ok());
        let workflow_run = qualified_repo.zip(self.workflow_job.run_id);
        Some(WorkflowJobEvent {
            runner_name: self.workflow_job.runner_name?,
            registration_id: self.workflow_job.runner_id.filter(|id| *id != 0),
            workflow_run: workflow_run.map(|(qualified_repo, run_id)| WorkflowRun {
                qualified_repo,
                run_id: RunId(run_id),
            }),
            has_completed,
        })
    }
}

/// Extracts the headers of a webhook.
pub struct WebhookHeaders {
    signature: Option<String>,
    event: Option<String>,
}

impl FromRequest for WebhookHeaders {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let header = |name| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
        ready(Ok(Self {
            signature: header("x-hub-signature-256"),
            event: header("x-github-event"),
        }))
    }
}

/// `POST /webhook`
pub async fn webhook(
    state: Data<AppState>,
    headers: WebhookHeaders,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let Some(key) = &state.webhook_key else {
        let message = "this monitor accepts no webhooks; set GITHUB_WEBHOOK_SECRET to the secret with \
                       which GitHub signs them";
        return Err(ApiError::new(Code::NotFound, message));
    };
    let Some(signature) = &headers.signature else {
        let message = "a webhook needs the header X-Hub-Signature-256; set its secret at GitHub";
        return Err(ApiError::new(Code::Unauthorised, message));
    };
    let payload = tokio::time::timeout(PAYLOAD_TIMEOUT, payload.to_bytes_limited(PAYLOAD_MAX));
    let payload = payload
        .await
        .map_err(|_| ApiError::new(Code::BadRequest, "the payload took too long to arrive"))?;
    let payload = payload.map_err(|_| {
        let message = format!("a payload may have at most {PAYLOAD_MAX} bytes");
        ApiError::new(Code::TooLarge, message)
    })?;
    let payload =
        payload.map_err(|_| ApiError::new(Code::BadRequest, "the payload is incomplete"))?;
    if !key.has_signed(&payload, signature) {
        let message = "this webhook is not signed with the monitor's GITHUB_WEBHOOK_SECRET";
        return Err(ApiError::new(Code::WrongSignature, message));
    }
    // Other events, such as the `ping` after the setup, are accepted and ignored.
    if headers.event.as_deref() == Some("workflow_job") {
        let event: Event = serde_json::from_slice(&payload).map_err(|_| {
            ApiError::new(
                Code::BadRequest,
                "the payload is not a `workflow_job` event",
            )
        })?;
        if let Some(event) = event.about_runner() {
            state
                .core
                .change(|core, now| core.handle_webhook(&event, now));
        }
    }
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::api::testing::Fixture;

    /// The example in GitHub's documentation.
    #[test]
    fn the_signature_in_githubs_documentation_is_valid() {
        let key = Key::new(&Secret::new("It's a Secret to Everybody"));
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(key.has_signed(b"Hello, World!", signature));
        assert!(key.has_signed(b"Hello, World!", &signature.replace("eb", "EB")));
        for wrong in [
            &signature[..signature.len() - 2],
            &signature[..signature.len() - 1],
            &signature.replace("sha256=", "sha1="),
            &signature.replace("75", "76"),
            &signature.replace("75", "+7"),
            "sha256=",
            "sha256=\u{e9}\u{e9}",
            "",
        ] {
            assert!(!key.has_signed(b"Hello, World!", wrong), "{wrong}");
        }
        assert!(!key.has_signed(b"Hello, World", signature));
    }

    #[tokio::test(start_paused = true)]
    async fn a_payload_that_exceeds_the_timeout_is_refused() {
        let mut state = Fixture::new().state;
        state.webhook_key = Some(Key::new(&Secret::new("secret")));
        let headers = WebhookHeaders {
            signature: Some("sha256=00".to_owned()),
            event: None,
        };
        let request = TestRequest::post().to_http_request();
        let mut payload = dev::Payload::Stream {
            payload: stream::pending().boxed_local(),
        };
        let payload = Payload::from_request(&request, &mut payload).await.unwrap();
        let refusal = webhook(Data::new(state), headers, payload)
            .await
            .unwrap_err();
        assert_eq!(
            refusal,
            ApiError::new(Code::BadRequest, "the payload took too long to arrive")
        );
    }
}
