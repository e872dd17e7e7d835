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
use shared::{
    problem::catalogue::{WEBHOOK_REFUSED, WEBHOOK_WITHOUT_WORKFLOW_JOBS},
    secret::Secret,
    values::RunId,
};
use subtle::ConstantTimeEq;

use super::{
    AppState,
    webhook_body::{LENGTH_MAX, too_large},
};
use monitor_core::{WorkflowJobEvent, WorkflowRun};

/// The key with which GitHub signs webhooks.
#[derive(Clone, Debug)]
pub struct Key(hmac::Key);

impl Key {
    pub fn new(secret: &Secret) -> Self {
        let secret = secret.expose().as_bytes();
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// For the verification of a body while it arrives.
    pub fn hmac(&self) -> &hmac::Key {
        &self.0
    }
}

/// The signature of a webhook, from the header `X-Hub-Signature-256`.
#[derive(Clone, Debug)]
pub struct Signature(Vec<u8>);

impl Signature {
    /// Parses `sha256=<64 hexadecimal digits>`.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.strip_prefix("sha256=").and_then(from_hex)?;
        (bytes.len() == SIGNATURE_LENGTH).then_some(Self(bytes))
    }

    /// Compares it with the one that the body should have, in constant time.
    pub fn matches(&self, expected: &[u8]) -> bool {
        self.0.ct_eq(expected).into()
    }
}

/// The length of a signature, in bytes.
const SIGNATURE_LENGTH: usize = 32;

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
    content_length: Option<u64>,
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
            content_length: header("content-length").and_then(|length| length.parse().ok()),
            event: header("x-github-event"),
            content_type: header("content-type"),
        }))
    }
}

/// `POST /webhook`
pub async fn webhook(
    state: Data<AppState>,
    request: HttpRequest,
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
    let Some(signature) = Signature::parse(signature) else {
        let message = "the header X-Hub-Signature-256 must be sha256= and 64 hexadecimal digits";
        return Err(ApiError::new(Code::WrongSignature, message));
    };
    if headers
        .content_length
        .is_some_and(|length| length > LENGTH_MAX as u64)
    {
        return Err(too_large());
    }
    let received = state
        .webhook_bodies
        .receive(&request, payload, key, &signature);
    let Some(payload) = received.await? else {
        let message = "this webhook is not signed with the monitor's GITHUB_WEBHOOK_SECRET";
        let remedy =
            "set the same secret in the webhook's settings at GitHub and in GITHUB_WEBHOOK_SECRET";
        return Err(refuse(&state, Code::WrongSignature, message, remedy));
    };
    handle(&state, &headers, &payload)?;
    state
        .core
        .problem_board()
        .resolve(&WEBHOOK_REFUSED, PROBLEM_SUBJECT);
    Ok(HttpResponse::NoContent().finish())
}

const PROBLEM_SUBJECT: &str = "GitHub's webhook";

/// Refuses a webhook, and shows the reason to the operator until one is accepted.
fn refuse(state: &AppState, code: Code, message: &str, remedy: &str) -> ApiError {
    let (cause, remedy) = (message.to_owned(), remedy.to_owned());
    let board = state.core.problem_board();
    board.report(&WEBHOOK_REFUSED, PROBLEM_SUBJECT, cause, remedy.clone());
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
            board.resolve(&WEBHOOK_WITHOUT_WORKFLOW_JOBS, PROBLEM_SUBJECT);
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
        board.resolve(&WEBHOOK_WITHOUT_WORKFLOW_JOBS, PROBLEM_SUBJECT);
    } else {
        let cause = "it does not send the event `workflow_job`, so it has no effect".to_owned();
        let remedy = "select \"Workflow jobs\" in the webhook's settings at GitHub".to_owned();
        board.report(
            &WEBHOOK_WITHOUT_WORKFLOW_JOBS,
            PROBLEM_SUBJECT,
            cause,
            remedy,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in GitHub's documentation.
    #[test]
    fn the_signature_in_githubs_documentation_is_valid() {
        let key = Key::new(&Secret::new("It's a Secret to Everybody"));
        let is_signed = |body: &[u8], signature: &str| {
            let signature = Signature::parse(signature);
            let expected = hmac::sign(key.hmac(), body);
            signature.is_some_and(|signature| signature.matches(expected.as_ref()))
        };
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(is_signed(b"Hello, World!", signature));
        assert!(is_signed(b"Hello, World!", &signature.replace("eb", "EB")));
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
            assert!(!is_signed(b"Hello, World!", wrong), "{wrong}");
        }
        assert!(!is_signed(b"Hello, World", signature));
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
}
