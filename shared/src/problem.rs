//! Something that is wrong and that an operator should mend, as dashboards, pages, metrics and logs
//! show it.
//!
//! Not responsible for which problems there are: they are all listed in the [`catalogue`].

pub mod catalogue;

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, format};
use catalogue::ProblemKind;

/// One thing that is wrong now. The same `code` and `subject` mean the same problem.
///
/// Made by [`ProblemKind::problem`] alone, so that every code is explained in the catalogue. A problem
/// contains no secret: dashboards are public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// The kind of problem in snake case, such as `runner_not_destroyed`: a metric's label, on which
    /// alerts may depend.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub code: Cow<'static, str>,
    /// How bad it is. Older monitors do not send it.
    #[serde(default)]
    pub severity: Severity,
    /// What it concerns, such as `runner linux.7` or `http://ci1:8000/`.
    pub subject: String,
    /// What is wrong and why: a clause without a full stop, such as `GitHub refuses to delete it`.
    pub cause: String,
    /// More about the cause, which only readers with the API token may see, such as the last output of a guest.
    /// Never read from a monitor: a queue shows the problems of its servers to everybody.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// What the operator can do: a clause in the imperative, without a full stop.
    pub remedy: String,
    /// Since when, in microseconds since the Unix epoch.
    pub since: Timestamp,
    /// When the subject was last seen to be healthy, in microseconds since the Unix epoch. `None` if that
    /// was not since the start of the daemon, or is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_healthy: Option<Timestamp>,
}

/// How bad a problem is. The worst one is first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Severity {
    /// Something does not work now.
    Error,
    /// Everything works, but not for ever, or worse than it could. Also what this release does not know.
    #[default]
    #[serde(other)]
    Warning,
}

impl Severity {
    /// Its name on the wire: `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Problem {
    /// Whether both are about the same thing, whatever their texts.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.code == other.code && self.subject == other.subject
    }

    /// The same problem, with what only readers with the API token may see.
    pub fn with_details(self, details: String) -> Self {
        Self {
            details: Some(details),
            ..self
        }
    }

    /// The same problem for readers without a token.
    pub fn for_strangers(&self) -> Self {
        Self {
            details: None,
            ..self.clone()
        }
    }

    /// The same problem, with when its subject was last seen to be healthy.
    pub fn with_last_healthy(self, last_healthy: Option<Timestamp>) -> Self {
        Self {
            last_healthy,
            ..self
        }
    }
}

impl ProblemKind {
    /// A problem of this kind. What the texts are like is described at the fields of [`Problem`].
    pub fn problem(
        &self,
        subject: impl Into<String>,
        cause: impl Into<String>,
        remedy: impl Into<String>,
        since: Timestamp,
    ) -> Problem {
        Problem {
            code: Cow::Borrowed(self.code),
            severity: self.severity,
            subject: subject.into(),
            cause: cause.into(),
            details: None,
            remedy: remedy.into(),
            since,
            last_healthy: None,
        }
    }
}

impl fmt::Display for Problem {
    /// `subject: cause; remedy`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {}; {}",
            self.subject, self.cause, self.remedy
        )
    }
}

/// The problems of a queue and those that its servers report, errors first. The subject of a server's problem
/// begins with the name of the server.
pub fn with_servers<'a>(
    own: &[Problem],
    servers: impl IntoIterator<Item = (&'a str, &'a [Problem])>,
) -> Vec<Problem> {
    let of_servers = servers.into_iter().flat_map(|(name, problems)| {
        problems.iter().map(move |problem| Problem {
            subject: format!("{name}: {}", problem.subject),
            ..problem.clone()
        })
    });
    let mut problems: Vec<Problem> = own.iter().cloned().chain(of_servers).collect();
    sort(&mut problems);
    problems
}

/// Puts errors before warnings, and changes no other order.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by_key(|problem| problem.severity);
}

/// `1 problem`, `2 problems`.
pub fn count(problems: &[Problem]) -> String {
    format::count(problems.len(), "problem", "problems")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_of_an_older_or_a_newer_monitor_is_a_warning_unless_it_is_an_error() {
        let mut sent =
            json!({"code": "a", "subject": "b", "cause": "c", "remedy": "d", "since": 5});
        let read =
            |sent: &serde_json::Value| serde_json::from_value::<Problem>(sent.clone()).unwrap();
        assert_eq!(read(&sent).severity, Severity::Warning);
        assert_eq!(read(&sent).last_healthy, None);
        for (severity, expected) in [
            ("error", Severity::Error),
            ("warning", Severity::Warning),
            ("catastrophe", Severity::Warning),
        ] {
            sent["severity"] = json!(severity);
            assert_eq!(read(&sent).severity, expected, "{severity}");
        }
    }

    #[test]
    fn a_problem_has_the_code_and_the_severity_of_its_kind() {
        let since = Timestamp::from_micros(7);
        let problem = catalogue::GITHUB_UNREACHABLE.problem("a", "b", "c", since);
        let expected = json!({
            "code": "github_unreachable", "severity": "error",
            "subject": "a", "cause": "b", "remedy": "c", "since": 7,
        });
        assert_eq!(serde_json::to_value(&problem).unwrap(), expected);
        let problem = problem.with_last_healthy(Some(Timestamp::from_micros(3)));
        assert_eq!(serde_json::to_value(&problem).unwrap()["last_healthy"], 3);
    }

    #[test]
    fn errors_come_first_and_the_rest_keeps_its_order() {
        let of =
            |kind: &ProblemKind, subject: &str| kind.problem(subject, "", "", Timestamp::default());
        let mut problems = [
            of(&catalogue::LOG_LINES_DROPPED, "a"),
            of(&catalogue::STATE_NOT_SAVED, "b"),
            of(&catalogue::SUFFIX_SHARED, "c"),
            of(&catalogue::GITHUB_UNREACHABLE, "d"),
        ];
        sort(&mut problems);
        let subjects = problems.each_ref().map(|problem| &*problem.subject);
        assert_eq!(subjects, ["b", "d", "a", "c"]);
        assert_eq!(count(&problems), "4 problems");
        assert_eq!(count(&problems[..1]), "1 problem");
    }
}
