//! Why the monitor cannot serve takes, in a sentence for its page, `/readyz`, and the errors of requests.
//!
//! Not responsible for what it waits for, which the core knows, nor for why that fails, which problems show.

use std::time::Duration;

use monitor_core::{Monitor, Poll};
use shared::problem::{
    Problem, Severity,
    catalogue::{GUESTS_NOT_LISTED, RUNNERS_NOT_LISTED},
};

use crate::shared_core::SharedCore;

/// How long a monitor has just started.
const START: Duration = Duration::from_secs(3);

/// Why no take can be served; none if the monitor is ready.
pub fn unready(core: &SharedCore) -> Option<String> {
    let missing = core.read(Monitor::missing_polls);
    if let Some(missing) = missing.first() {
        let age = core.now().since(core.started_at());
        return Some(not_known(*missing, age, &core.problems()));
    }
    core.is_save_failing().then(|| {
        "the monitor cannot save its state, so it gives out no runner; free some space in its data folder, or \
         make it writable"
            .to_owned()
    })
}

/// The sentence while a first poll has not succeeded `age` after the start.
fn not_known(missing: Poll, age: Duration, problems: &[Problem]) -> String {
    if age < START {
        return "the monitor has just started and does not know its runners yet; ask again"
            .to_owned();
    }
    let what = match missing {
        Poll::Registrations => {
            "the monitor does not know its runners, because it has no list of GitHub"
        }
        Poll::Guests => {
            "the monitor does not know its runners, because it has no list of the hypervisor"
        }
        Poll::Host => {
            "the monitor does not know its capacity, because the hypervisor has not reported it"
        }
    };
    let mut problems = problems.iter();
    let reason = match missing {
        Poll::Registrations => problems
            .clone()
            .find(|it| it.severity == Severity::Error && it.code.starts_with("github_"))
            .or_else(|| problems.find(|it| it.code == RUNNERS_NOT_LISTED.code)),
        Poll::Guests | Poll::Host => problems.find(|it| it.code == GUESTS_NOT_LISTED.code),
    };
    match reason {
        Some(problem) => format!("{what}: {problem}"),
        None => format!("{what} after {} s; its log has the reason", age.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        clock::Timestamp,
        problem::catalogue::{GITHUB_CREDENTIALS_REJECTED, GITHUB_MOVED, ProblemKind},
    };

    use super::*;

    fn problem(kind: &ProblemKind) -> Problem {
        kind.problem("it", "it is wrong", "mend it", Timestamp::default())
    }

    #[test]
    fn after_the_third_second_the_sentence_names_what_fails() {
        let problems = [
            problem(&RUNNERS_NOT_LISTED),
            problem(&GITHUB_MOVED),
            problem(&GUESTS_NOT_LISTED),
            problem(&GITHUB_CREDENTIALS_REJECTED),
        ];
        let text = |poll, seconds, problems: &[Problem]| {
            not_known(poll, Duration::from_secs(seconds), problems)
        };
        let started = "the monitor has just started and does not know its runners yet; ask again";
        assert_eq!(text(Poll::Registrations, 2, &problems), started);
        let github = "the monitor does not know its runners, because it has no list of GitHub";
        let rejected = format!("{github}: it: it is wrong; mend it");
        assert_eq!(text(Poll::Registrations, 3, &problems), rejected);
        assert_eq!(
            text(Poll::Registrations, 3, &[]),
            format!("{github} after 3 s; its log has the reason")
        );
        let hypervisor =
            "the monitor does not know its runners, because it has no list of the hypervisor";
        let expected = format!("{hypervisor}: it: it is wrong; mend it");
        assert_eq!(text(Poll::Guests, 3, &problems), expected);
        assert!(text(Poll::Host, 60, &[]).contains("60 s"));
    }
}
