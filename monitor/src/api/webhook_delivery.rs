//! What GitHub sends with a webhook: its signature, its content type, and the fields that are used.
//!
//! Responsible for both content types that GitHub offers. Not responsible for the verification of a signature, nor
//! for what follows from an event.

use std::borrow::Cow;

use percent_encoding::percent_decode;
use serde::Deserialize;
use shared::values::RunId;
use subtle::ConstantTimeEq;

use monitor_core::{WorkflowJobEvent, WorkflowRun};

/// The longest part of an unknown content type that an error shows, in characters.
const SHOWN_MAX: usize = 100;

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

/// What GitHub delivers with one webhook.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A job has started or ended on a runner; `None` if it is about no runner, or about another change.
    WorkflowJob(Option<WorkflowJobEvent>),
    /// A webhook was set up.
    Ping {
        /// The events that will be delivered; `*` stands for all. Empty if the payload does not contain them.
        events: Vec<String>,
    },
    /// An event that is not used.
    Other,
}

/// Why a payload cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    #[error("a webhook has the content type {found:?}")]
    ContentType {
        /// Its beginning.
        found: String,
    },
    #[error("a webhook is a form without the field `payload`")]
    NoPayload,
    #[error("the payload of a webhook is not a `workflow_job` event")]
    NoWorkflowJob,
}

impl Delivery {
    /// Parses a body with these values of the headers `Content-Type` and `X-GitHub-Event`.
    ///
    /// # Errors
    /// For another content type, or a payload that does not have the fields of its event.
    pub fn parse(
        content_type: Option<&str>,
        event: Option<&str>,
        body: &[u8],
    ) -> Result<Self, DeliveryError> {
        let encoding = Encoding::of(content_type).ok_or_else(|| {
            let found = content_type.unwrap_or_default();
            let found = found.chars().take(SHOWN_MAX).collect();
            DeliveryError::ContentType { found }
        })?;
        let json = encoding.json_in(body).ok_or(DeliveryError::NoPayload)?;
        match event {
            Some("workflow_job") => {
                let event = serde_json::from_slice::<Event>(&json);
                let event = event.map_err(|_| DeliveryError::NoWorkflowJob)?;
                Ok(Self::WorkflowJob(event.about_runner()))
            }
            Some("ping") => {
                let ping = serde_json::from_slice::<Ping>(&json).ok();
                let hook = ping.and_then(|ping| ping.hook);
                let events = hook.map(|hook| hook.events).unwrap_or_default();
                Ok(Self::Ping { events })
            }
            _ => Ok(Self::Other),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
