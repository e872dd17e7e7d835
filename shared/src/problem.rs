//! Something that is wrong and that an operator should mend, as dashboards, pages, metrics and logs
//! show it.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// One thing that is wrong now. The same `code` and `subject` mean the same problem.
///
/// A problem contains no secret: dashboards are public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The kind of problem in snake case, such as `runner_not_deletable`: a metric's label, on which
    /// alerts may depend.
    pub code: Cow<'static, str>,
    /// What it concerns, such as `runner linux.7` or `http://ci1:8000/`.
    pub subject: String,
    /// What is wrong and why: a clause without a full stop, such as `GitHub refuses to delete it`.
    pub cause: String,
    /// What the operator can do: a clause in the imperative, without a full stop.
    pub remedy: String,
    /// Since when, in microseconds since the Unix epoch.
    pub since: Timestamp,
}

impl Problem {
    /// Whether both are about the same thing, whatever their texts.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.code == other.code && self.subject == other.subject
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
