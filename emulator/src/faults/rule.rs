//! A fault, and the requests it strikes. As JSON, this is also what scripts send.

use actix_web::http::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};
use shared::values::InvalidValue;

/// A rule's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

/// Which requests are struck, by what, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The method, in capitals; any if none is given.
    #[serde(default)]
    pub method: Option<String>,
    /// The path, without the query.
    pub path: PathMatch,
    /// How many requests are struck; all until the rule is cleared if no number is given.
    #[serde(default)]
    pub times: Option<u32>,
    /// What happens to them.
    pub fault: Fault,
}

/// Which paths are meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PathMatch {
    /// This one.
    Exact(String),
    /// All that begin so.
    Prefix(String),
    /// All that end so.
    Suffix(String),
}

/// What happens to a request or to its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// It has no effect and is answered so.
    Answer {
        /// The status, 200 to 599.
        status: u16,
        /// Names and values of headers.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// It has its effect; the answer breaks off after so many bytes of its body, and the connection
    /// ends. At least one byte is missing.
    TruncateBody {
        /// How many bytes arrive.
        keep: usize,
    },
    /// It has its effect; after so many bytes of the answer's body nothing more comes, and the
    /// connection stays open. At least one byte is missing.
    StallBody {
        /// How many bytes arrive.
        keep: usize,
    },
    /// It waits, without effect, until it is released.
    HoldRequest,
    /// It has its effect; the answer waits until it is released.
    HoldAnswer,
    /// It has no effect; the connection ends without an answer.
    DropRequest,
    /// It has its effect; the connection ends without an answer.
    DropAnswer,
    /// It has its effect and its answer; then the registrations of that name go away behind
    /// everybody's back, as between two pages of a list.
    ThenVanish {
        /// Their name.
        name: String,
    },
}

impl FaultRule {
    /// Strikes all requests with that method (any if it is empty) until it is cleared.
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

    pub(super) fn strikes(&self, method: &str, path: &str) -> bool {
        let is_method = self.method.as_deref().is_none_or(|own| own == method);
        is_method
            && match &self.path {
                PathMatch::Exact(exact) => path == exact,
                PathMatch::Prefix(prefix) => path.starts_with(prefix.as_str()),
                PathMatch::Suffix(suffix) => path.ends_with(suffix.as_str()),
            }
    }

    /// Refuses answers that cannot be given.
    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        let Fault::Answer {
            status, headers, ..
        } = &self.fault
        else {
            return Ok(());
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
                allowed: "names and values that can stand in HTTP",
            })
    }
}

impl Fault {
    /// An answer with that status and GitHub's shape of an error.
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

    /// The same answer, saying something else.
    pub fn saying(mut self, message: &str) -> Self {
        if let Self::Answer { body, .. } = &mut self {
            *body = serde_json::json!({ "message": message }).to_string();
        }
        self
    }

    /// The same answer with one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
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
    fn a_rule_strikes_by_method_and_path() {
        let exact = || PathMatch::Exact("/a".into());
        let prefix = || PathMatch::Prefix("/a".into());
        let suffix = || PathMatch::Suffix("/a".into());
        for (method, path, request, strikes) in [
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
                rule.strikes(request.0, request.1),
                strikes,
                "{rule:?} {request:?}"
            );
        }
    }

    #[test]
    fn answers_that_cannot_be_given_are_refused() {
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
    fn rules_are_written_as_json() {
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
