//! GitHub's word that a job has begun or ended on one of our runners, so that we look at once.
//!
//! Owns the check of its signature. Believes nothing of what it says: all that it does is make the
//! next look happen sooner, and polling finds everything that no webhook told.
//! Source: GitHub's documentation, "Validating webhook deliveries" and "Webhook events and payloads".

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use daemon::error::{ApiError, Code};
use ring::hmac;
use serde::Deserialize;
use shared::secret::Secret;

use super::Desk;

/// The largest payload that is read. GitHub's own limit is 25 MB, but what it says of a job has
/// some twenty kilobytes, and grows with the number of the job's steps.
const PAYLOAD_MAX: usize = 1024 * 1024;
/// How long a payload may take to arrive; GitHub itself gives up after ten seconds. What has arrived
/// of it is kept meanwhile, and anybody may send one.
const PAYLOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What GitHub signs with.
#[derive(Clone, Debug)]
pub(super) struct Key(hmac::Key);

impl Key {
    pub(super) fn of(secret: &Secret) -> Self {
        let secret = secret.expose().as_bytes();
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Whether `signature`, as in `sha256=<hex>`, is ours over `payload`; compared in constant time.
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

/// A `workflow_job` event, as far as it is read.
#[derive(Deserialize)]
struct Event {
    action: String,
    workflow_job: WorkflowJob,
}

#[derive(Deserialize)]
struct WorkflowJob {
    /// None, or nothing, as long as the job has no runner.
    runner_name: Option<String>,
}

/// `POST /webhook`
pub async fn webhook(
    desk: Data<Desk>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let Some(key) = &desk.webhook_key else {
        let message = "this monitor takes no webhooks; set GITHUB_WEBHOOK_SECRET to the secret that \
                       GitHub signs them with";
        return Err(ApiError::new(Code::NotFound, message));
    };
    let header = |name| request.headers().get(name)?.to_str().ok();
    let Some(signature) = header("x-hub-signature-256") else {
        let message = "a webhook needs the header X-Hub-Signature-256; set a secret at GitHub";
        return Err(ApiError::new(Code::Unauthorised, message));
    };
    let payload = tokio::time::timeout(PAYLOAD_TIMEOUT, payload.to_bytes_limited(PAYLOAD_MAX));
    let payload = payload
        .await
        .map_err(|_| ApiError::new(Code::BadRequest, "the payload took too long to arrive"))?;
    let payload = payload.map_err(|_| {
        let message = format!("a webhook may have {PAYLOAD_MAX} bytes");
        ApiError::new(Code::TooLarge, message)
    })?;
    let payload = payload.map_err(|_| ApiError::new(Code::BadRequest, "the payload broke off"))?;
    if !key.has_signed(&payload, signature) {
        let message = "this webhook was not signed with our GITHUB_WEBHOOK_SECRET";
        return Err(ApiError::new(Code::WrongSignature, message));
    }
    // Others, such as the `ping` after it was set up, are taken and need nothing to be done.
    if header("x-github-event") == Some("workflow_job") {
        let event: Event = serde_json::from_slice(&payload)
            .map_err(|_| ApiError::new(Code::BadRequest, "that is no `workflow_job` event"))?;
        let is_news = matches!(event.action.as_str(), "in_progress" | "completed");
        if let Some(runner_name) = event.workflow_job.runner_name.filter(|_| is_news) {
            desk.pool
                .change(|core, _| core.handle_webhook(&runner_name));
        }
    }
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use actix_web::{FromRequest, dev, test::TestRequest};
    use daemon::serve::drain;
    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::api::testing::desk;

    /// The example in GitHub's documentation.
    #[test]
    fn the_signature_of_githubs_own_example_is_right() {
        let key = Key::of(&Secret::new("It's a Secret to Everybody"));
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
    async fn a_payload_that_does_not_end_is_not_waited_for() {
        let (mut desk, _folder) = desk(drain().1);
        desk.webhook_key = Some(Key::of(&Secret::new("secret")));
        let request = TestRequest::post().insert_header(("x-hub-signature-256", "sha256=00"));
        let request = request.to_http_request();
        let mut payload = dev::Payload::Stream {
            payload: stream::pending().boxed_local(),
        };
        let payload = Payload::from_request(&request, &mut payload).await.unwrap();
        let refusal = webhook(Data::new(desk), request, payload)
            .await
            .unwrap_err();
        assert_eq!(
            refusal,
            ApiError::new(Code::BadRequest, "the payload took too long to arrive")
        );
    }
}
