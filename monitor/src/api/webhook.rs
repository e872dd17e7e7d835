//! GitHub webhooks about jobs that start or end on a runner: they trigger a poll at once, and one about the
//! end of a job is the evidence with which its guest may be destroyed.
//!
//! Responsible for the signature and for both content types that GitHub offers. Webhooks may be lost: polls
//! find whatever no webhook reported. A webhook that is set up in a way that cannot work is shown as a
//! problem, because GitHub shows it only in a list that is rarely read.
//! Source: GitHub's documentation, "Validating webhook deliveries" and "Webhook events and payloads".

use std::{
    borrow::Cow,
    convert::Infallible,
    future::{Ready, ready},
    time::Duration,
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, dev,
    web::{Data, Payload},
};
use daemon::{
    error::{ApiError, Code},
    repeated,
};
use percent_encoding::percent_decode;
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

/// The fields of a `ping` event that are used: GitHub sends one when a webhook is set up.
#[derive(Deserialize)]
struct Ping {
    hook: Option<Hook>,
}

#[derive(Deserialize)]
struct Hook {
    /// The events that are sent; `*` stands for all.
    #[serde(default)]
    events: Vec<String>,
}

/// How the JSON of an event is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Json,
    /// As the field `payload` of a form, which is what GitHub's settings form selects by default.
    Form,
}

impl Encoding {
    /// The encoding of a body with that `Content-Type`, whose parameters are not used; JSON if there is no
    /// header. `None` for other types.
    fn of(content_type: Option<&str>) -> Option<Self> {
        let Some(content_type) = content_type else {
            return Some(Self::Json);
        };
        let media_type = content_type.split(';').next().unwrap_or_default();
        let media_type = media_type.trim().to_ascii_lowercase();
        match media_type.as_str() {
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "" | "application/json" | "text/json" => Some(Self::Json),
            other if other.starts_with("application/") && other.ends_with("+json") => {
                Some(Self::Json)
            }
            _ => None,
        }
    }

    /// The JSON in `body`; `None` if it is a form without the field `payload`.
    fn json_in(self, body: &[u8]) -> Option<Cow<'_, [u8]>> {
        if self == Self::Json {
            return Some(Cow::Borrowed(body));
        }
        let mut fields = body.split(|byte| *byte == b'&');
        let value = fields.find_map(|field| field.strip_prefix(b"payload="))?;
        let spaced: Vec<u8> = value
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect();
        Some(Cow::Owned(percent_decode(&spaced).collect()))
    }
}

/// Extracts the headers of a webhook.
pub struct WebhookHeaders {
    signature: Option<String>,
    event: Option<String>,
    content_type: Option<String>,
}

impl FromRequest for WebhookHeaders {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let header = |name| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
        ready(Ok(Self {
            signature: header("x-hub-signature-256"),
            event: header("x-github-event"),
            content_type: header("content-type"),
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
        let remedy =
            "set the same secret in the webhook's settings at GitHub and in GITHUB_WEBHOOK_SECRET";
        return Err(refuse(&state, Code::WrongSignature, message, remedy));
    }
    handle(&state, &headers, &payload)?;
    state.core.problem_board().resolve(REFUSED, PROBLEM_SUBJECT);
    Ok(HttpResponse::NoContent().finish())
}

/// The code of the problem that GitHub's webhooks are refused.
const REFUSED: &str = "webhook_refused";
/// The code of the problem that GitHub sends other events than those that are used.
const WITHOUT_EVENT: &str = "webhook_without_workflow_jobs";
const PROBLEM_SUBJECT: &str = "GitHub's webhook";

/// Refuses a webhook, and shows the reason to the operator until one is accepted.
fn refuse(state: &AppState, code: Code, message: &str, remedy: &str) -> ApiError {
    let (cause, remedy) = (message.to_owned(), remedy.to_owned());
    let board = state.core.problem_board();
    board.report(REFUSED, PROBLEM_SUBJECT, cause, remedy.clone());
    ApiError::new(code, format!("{message}; {remedy}"))
}

/// Acts on a webhook whose signature is valid.
fn handle(state: &AppState, headers: &WebhookHeaders, payload: &[u8]) -> Result<(), ApiError> {
    let remedy = "select the content type application/json in the webhook's settings at GitHub";
    let content_type = headers.content_type.as_deref();
    let Some(encoding) = Encoding::of(content_type) else {
        // Limited, because it is shown.
        let found: String = content_type.unwrap_or_default().chars().take(100).collect();
        let message = format!("a webhook has the content type {found:?}");
        return Err(refuse(state, Code::UnsupportedMediaType, &message, remedy));
    };
    let Some(json) = encoding.json_in(payload) else {
        let message = "a webhook is a form without the field `payload`";
        return Err(refuse(state, Code::BadRequest, message, remedy));
    };
    match headers.event.as_deref() {
        Some("workflow_job") => {
            let event: Event = serde_json::from_slice(&json).map_err(|_| {
                let message = "the payload of a webhook is not a `workflow_job` event";
                refuse(state, Code::BadRequest, message, remedy)
            })?;
            let board = state.core.problem_board();
            board.resolve(WITHOUT_EVENT, PROBLEM_SUBJECT);
            if let Some(event) = event.about_runner() {
                state
                    .core
                    .change(|core, now| core.handle_webhook(&event, now));
            }
        }
        Some("ping") => handle_ping(state, &json),
        // Accepted, because GitHub would show an error to the operator, who can do nothing about it.
        other => log::debug!("ignored a webhook with the event {other:?}"),
    }
    Ok(())
}

/// A ping says which events will follow.
fn handle_ping(state: &AppState, json: &[u8]) {
    // A signed request can be repeated by anyone who has seen it.
    repeated::count("webhook_ping", || {
        "GitHub has set up a webhook to this monitor, and its signature is valid".to_owned()
    });
    let hook = serde_json::from_slice::<Ping>(json)
        .ok()
        .and_then(|ping| ping.hook);
    let events = hook.map(|hook| hook.events).unwrap_or_default();
    let is_sent = |event: &String| matches!(event.as_str(), "workflow_job" | "*");
    let board = state.core.problem_board();
    if events.is_empty() || events.iter().any(is_sent) {
        board.resolve(WITHOUT_EVENT, PROBLEM_SUBJECT);
    } else {
        let cause = "it does not send the event `workflow_job`, so it has no effect".to_owned();
        let remedy = "select \"Workflow jobs\" in the webhook's settings at GitHub".to_owned();
        board.report(WITHOUT_EVENT, PROBLEM_SUBJECT, cause, remedy);
    }
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

    #[test]
    fn the_content_type_is_compared_as_http_does() {
        for (content_type, expected) in [
            (None, Some(Encoding::Json)),
            (Some(""), Some(Encoding::Json)),
            (Some("application/json"), Some(Encoding::Json)),
            (
                Some("Application/JSON ; charset=UTF-8"),
                Some(Encoding::Json),
            ),
            (Some("application/vnd.github+json"), Some(Encoding::Json)),
            (
                Some("application/x-www-form-urlencoded"),
                Some(Encoding::Form),
            ),
            (
                Some("APPLICATION/X-WWW-Form-Urlencoded;charset=utf-8"),
                Some(Encoding::Form),
            ),
            (Some("multipart/form-data; boundary=x"), None),
            (Some("text/plain"), None),
            (Some("application/xml"), None),
        ] {
            assert_eq!(Encoding::of(content_type), expected, "{content_type:?}");
        }
    }

    #[test]
    fn a_form_has_its_json_in_the_field_payload() {
        let json = |body: &[u8]| Encoding::Form.json_in(body).map(Cow::into_owned);
        for (body, expected) in [
            (
                "payload=%7B%22a%22%3A+%221%2B1%22%7D",
                Some("{\"a\": \"1+1\"}"),
            ),
            ("a=b&payload={}&c=d", Some("{}")),
            ("payload=", Some("")),
            ("payload=%C3%A9%zz%", Some("é%zz%")),
            ("payloads={}", None),
            ("{}", None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(json(body.as_bytes()), expected, "{body}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_payload_that_exceeds_the_timeout_is_refused() {
        let mut state = Fixture::new().state;
        state.webhook_key = Some(Key::new(&Secret::new("secret")));
        let headers = WebhookHeaders {
            signature: Some("sha256=00".to_owned()),
            event: None,
            content_type: None,
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
