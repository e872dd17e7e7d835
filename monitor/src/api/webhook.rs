//! GitHub webhooks about jobs that start or end on a runner: they trigger a poll at once, and one about the
//! end of a job is the evidence with which its guest may be destroyed.
//!
//! Responsible for which webhooks are accepted, and for what follows from them. What GitHub sends is read in
//! `webhook_delivery`. Webhooks may be lost: polls
//! find whatever no webhook reported. A webhook that is set up in a way that cannot work is shown as a
//! problem, because GitHub shows it only in a list that is rarely read.
//! Source: GitHub's documentation, "Validating webhook deliveries" and "Webhook events and payloads".

use std::{
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
use ring::hmac;
use shared::{
    problem::catalogue::{WEBHOOK_REFUSED, WEBHOOK_WITHOUT_WORKFLOW_JOBS},
    secret::Secret,
};

use super::{
    AppState,
    webhook_body::{LENGTH_MAX, too_large},
    webhook_delivery::{Delivery, DeliveryError, Signature},
};

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
    let (content_type, event) = (headers.content_type.as_deref(), headers.event.as_deref());
    let delivery = Delivery::parse(content_type, event, payload).map_err(|error| {
        let code = match error {
            DeliveryError::ContentType { .. } => Code::UnsupportedMediaType,
            DeliveryError::NoPayload | DeliveryError::NoWorkflowJob => Code::BadRequest,
        };
        let remedy = "select the content type application/json in the webhook's settings at GitHub";
        refuse(state, code, &error.to_string(), remedy)
    })?;
    match delivery {
        Delivery::WorkflowJob(event) => {
            let board = state.core.problem_board();
            board.resolve(&WEBHOOK_WITHOUT_WORKFLOW_JOBS, PROBLEM_SUBJECT);
            if let Some(event) = event {
                state
                    .core
                    .change(|core, now| core.handle_webhook(&event, now));
            }
        }
        Delivery::Ping { events } => handle_ping(state, &events),
        // Accepted, because GitHub would show an error to the operator, who can do nothing about it.
        Delivery::Other => log::debug!("ignored a webhook with the event {event:?}"),
    }
    Ok(())
}

/// A ping says which events will follow.
fn handle_ping(state: &AppState, events: &[String]) {
    // A signed request can be repeated by anyone who has seen it.
    repeated::count("webhook_ping", || {
        "GitHub has set up a webhook to this monitor, and its signature is valid".to_owned()
    });
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
}
