//! A fault and the requests it is injected into. Its JSON form is the body of `/_emulator/faults`.

use actix_web::http::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::values::InvalidValue;

/// Identifies a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

/// Injects a fault into requests that match a method and a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The method in capitals; any method if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// The path, without the query.
    pub path: PathMatch,
    /// The number of requests; if absent, all until the rule is cleared.
    #[serde(default)]
    pub times: Option<u32>,
    pub fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathMatch {
    Exact(String),
    Prefix(String),
    Suffix(String),
}

/// What happens to a request or to its response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The request has no effect, and gets this response.
    Answer {
        /// The status, 200 to 599.
        status: u16,
        #[serde(default)]
        headers: Vec<(String, String)>,
        #[serde(default)]
        body: String,
    },
    /// The request has its effect. The connection ends after `keep` bytes of the response's body, and
    /// at least one byte before its end.
    TruncateBody { keep: usize },
    /// The request has its effect. After `keep` bytes of the response's body, and at least one byte
    /// before its end, nothing more is sent, and the connection stays open.
    StallBody { keep: usize },
    /// The request is held until the rule is released, and has its effect after that.
    HoldRequest,
    /// The request has its effect. Its response is held until the rule is released.
    HoldAnswer,
    /// The request has no effect. The connection ends without a response.
    DropRequest,
    /// The request has its effect. The connection ends without a response.
    DropAnswer,
    /// The request has its effect. Values of the response's JSON are replaced, and it has no ETag.
    EditJson { edits: Vec<Edit> },
    /// The request has its effect. The response has these headers instead of those of the same names;
    /// for example another `Date`.
    SetHeaders { headers: Vec<(String, String)> },
    /// The request has its effect and its response. Then the registrations of that name are lost, for
    /// example between two pages of a list.
    ThenVanish { name: String },
}

/// A value in the JSON of a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// Its place as a JSON pointer (RFC 6901), such as `/runners/0/status`. A last part of `-` appends
    /// to an array, and a key that an object lacks is added.
    pub pointer: String,
    #[serde(default)]
    pub value: Value,
}

impl Edit {
    pub fn new(pointer: &str, value: Value) -> Self {
        let pointer = pointer.to_owned();
        Self { pointer, value }
    }
}

impl FaultRule {
    /// Applies to all requests with that method (any method if it is empty) until it is cleared.
    pub fn on(method: &str, path: PathMatch, fault: Fault) -> Self {
        let method = (!method.is_empty()).then(|| method.to_owned());
        Self {
            method,
            path,
            times: None,
            fault,
        }
    }

    /// The same, but only for the next `times` requests.
    pub fn next(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    pub(super) fn matches(&self, method: &str, path: &str) -> bool {
        let is_method = self.method.as_deref().is_none_or(|own| own == method);
        is_method
            && match &self.path {
                PathMatch::Exact(exact) => path == exact,
                PathMatch::Prefix(prefix) => path.starts_with(prefix.as_str()),
                PathMatch::Suffix(suffix) => path.ends_with(suffix.as_str()),
            }
    }

    /// Rejects responses that cannot be sent.
    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        let (status, headers) = match &self.fault {
            Fault::Answer {
                status, headers, ..
            } => (status, headers),
            Fault::SetHeaders { headers } => (&200, headers),
            _ => return Ok(()),
        };
        if !(200..600).contains(status) || StatusCode::from_u16(*status).is_err() {
            return Err(InvalidValue {
                field: "status",
                allowed: "200 to 599",
            });
        }
        let is_header = |(name, value): &(String, String)| {
            HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok()
        };
        headers
            .iter()
            .all(is_header)
            .then_some(())
            .ok_or(InvalidValue {
                field: "headers",
                allowed: "valid header names and values",
            })
    }
}

impl Fault {
    /// An error response with that status, in GitHub's format.
    pub fn status(status: u16) -> Self {
        Self::Answer {
            status,
            headers: vec![(
                "content-type".into(),
                "application/json; charset=utf-8".into(),
            )],
            body: format!(
                r#"{{"message":"Fault {status}","documentation_url":"","status":"{status}"}}"#
            ),
        }
    }

    /// The same response with another message.
    pub fn with_message(mut self, message: &str) -> Self {
        if let Self::Answer { body, .. } = &mut self {
            *body = serde_json::json!({ "message": message }).to_string();
        }
        self
    }

    /// The same response with one more header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.into(), value.into()));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_matches_method_and_path() {
        let exact = || PathMatch::Exact("/a".into());
        let prefix = || PathMatch::Prefix("/a".into());
        let suffix = || PathMatch::Suffix("/a".into());
        for (method, path, request, matches) in [
            ("GET", exact(), ("GET", "/a"), true),
            ("GET", exact(), ("POST", "/a"), false),
            ("GET", exact(), ("GET", "/a/b"), false),
            ("GET", prefix(), ("GET", "/a/b"), true),
            ("GET", prefix(), ("GET", "/b/a"), false),
            ("GET", suffix(), ("GET", "/b/a"), true),
            ("GET", suffix(), ("GET", "/a/b"), false),
            ("", prefix(), ("DELETE", "/a"), true),
        ] {
            let rule = FaultRule::on(method, path, Fault::DropAnswer);
            assert_eq!(
                rule.matches(request.0, request.1),
                matches,
                "{rule:?} {request:?}"
            );
        }
    }

    #[test]
    fn responses_that_cannot_be_sent_are_rejected() {
        let answer = |status, name: &str, value: &str| {
            let fault = Fault::Answer {
                status,
                headers: vec![(name.into(), value.into())],
                body: String::new(),
            };
            FaultRule::on("", PathMatch::Prefix("/".into()), fault).check()
        };
        for (status, name, value, field) in [
            (100, "a", "b", "status"),
            (600, "a", "b", "status"),
            (200, "a b", "c", "headers"),
            (200, "a", "b\n", "headers"),
        ] {
            assert_eq!(answer(status, name, value).unwrap_err().field, field);
        }
        assert_eq!(answer(599, "retry-after", "1"), Ok(()));
    }

    #[test]
    fn rules_are_read_from_json() {
        for (json, rule) in [
            (
                r#"{"path":{"prefix":"/orgs"},"fault":{"kind":"drop_answer"}}"#,
                FaultRule::on("", PathMatch::Prefix("/orgs".into()), Fault::DropAnswer),
            ),
            (
                r#"{"method":"GET","path":{"exact":"/a"},"times":2,
                    "fault":{"kind":"answer","status":429,"headers":[["retry-after","1"]]}}"#,
                FaultRule {
                    method: Some("GET".into()),
                    path: PathMatch::Exact("/a".into()),
                    times: Some(2),
                    fault: Fault::Answer {
                        status: 429,
                        headers: vec![("retry-after".into(), "1".into())],
                        body: String::new(),
                    },
                },
            ),
        ] {
            assert_eq!(serde_json::from_str::<FaultRule>(json).unwrap(), rule);
        }
        let unknown = r#"{"path":{"prefix":"/"},"time":1,"fault":{"kind":"drop_answer"}}"#;
        assert!(serde_json::from_str::<FaultRule>(unknown).is_err());
    }
}
