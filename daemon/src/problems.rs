//! Problems of both daemons: where adapters report them, and how they are logged and shown.
//!
//! Not responsible for what is a problem: cores derive theirs from their state, adapters report theirs.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use maud::{Markup, html};
use parking_lot::Mutex;
use shared::{
    clock::{Clock, Timestamp},
    problem::Problem,
};

use crate::metrics::Metrics;

/// Maximum number of problems that adapters can report at a time.
const REPORTED_MAX: usize = 200;
/// Pause between two comparisons of the list with what was logged.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What adapters report: everything outside of the cores. Cheap to clone; all clones share it.
#[derive(Clone, Debug)]
pub struct ProblemBoard {
    clock: Clock,
    reported: Arc<Mutex<Reported>>,
}

/// By code and subject.
type Reported = BTreeMap<(Cow<'static, str>, String), Problem>;

impl ProblemBoard {
    /// No problems yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            reported: Arc::default(),
        }
    }

    /// Adds a problem, or replaces the texts of the one with this code and subject, which keeps the
    /// time since when it has existed.
    pub fn report(&self, code: &'static str, subject: &str, cause: String, remedy: String) {
        let now = self.clock.now();
        let mut reported = self.reported.lock();
        let key = (Cow::Borrowed(code), subject.to_owned());
        let earlier = reported.get(&key).map(|problem| problem.since);
        if earlier.is_none() && reported.len() >= REPORTED_MAX {
            return;
        }
        let problem = Problem {
            code: Cow::Borrowed(code),
            subject: subject.to_owned(),
            cause,
            remedy,
            since: earlier.unwrap_or(now),
        };
        reported.insert(key, problem);
    }

    /// Removes the problem with this code and subject, if it exists.
    pub fn resolve(&self, code: &'static str, subject: &str) {
        let key = (Cow::Borrowed(code), subject.to_owned());
        self.reported.lock().remove(&key);
    }

    /// All of them, ordered by code and subject.
    pub fn list(&self) -> Vec<Problem> {
        self.reported.lock().values().cloned().collect()
    }
}

/// Logs each problem of `list` when it begins, as a warning, and when it ends. Never returns.
pub async fn log_changes(list: impl Fn() -> Vec<Problem>) {
    let mut logged = Vec::new();
    loop {
        let current = list();
        for line in begun(&logged, &current) {
            log::warn!("{line}");
        }
        for line in ended(&logged, &current) {
            log::info!("{line}");
        }
        logged = current;
        tokio::time::sleep(LOG_INTERVAL).await;
    }
}

/// The lines for problems that are new in `current`.
fn begun(logged: &[Problem], current: &[Problem]) -> Vec<String> {
    missing_in(logged, current)
        .map(|problem| format!("problem: {problem}"))
        .collect()
}

/// The lines for problems that are no longer in `current`.
fn ended(logged: &[Problem], current: &[Problem]) -> Vec<String> {
    missing_in(current, logged)
        .map(|problem| {
            format!(
                "no longer a problem: {}: {}",
                problem.subject, problem.cause
            )
        })
        .collect()
}

fn missing_in<'a>(list: &[Problem], of: &'a [Problem]) -> impl Iterator<Item = &'a Problem> {
    of.iter()
        .filter(|problem| !list.iter().any(|other| other.is_same_as(problem)))
}

/// The part of a page that shows them; empty if there are none. The page styles the class `problems`.
pub fn render(problems: &[Problem], now: Timestamp) -> Markup {
    html! {
        @if !problems.is_empty() {
            section class="problems" {
                h2 { "Problems" }
                ul {
                    @for problem in problems {
                        li {
                            strong { (problem.subject) } ": " (problem.cause) ". "
                            small { "For " (duration(now.since(problem.since))) "." }
                            br;
                            "Remedy: " (problem.remedy) "."
                        }
                    }
                }
            }
        }
    }
}

/// Adds their numbers to the metrics of a daemon.
pub fn add_metrics(metrics: &mut Metrics, problems: &[Problem]) {
    let mut counts = BTreeMap::<&str, usize>::new();
    for problem in problems {
        *counts.entry(&problem.code).or_default() += 1;
    }
    let values = counts
        .into_iter()
        .map(|(code, count)| (vec![("code", code.to_owned())], count as f64));
    metrics.gauges(
        "problems",
        "Problems that an operator should mend, by kind",
        values,
    );
}

/// A duration for people, in its largest unit.
fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> ProblemBoard {
        ProblemBoard::new(Clock::start())
    }

    fn report(board: &ProblemBoard, subject: &str, cause: &str) {
        board.report("code", subject, cause.into(), "mend it".into());
    }

    #[test]
    fn a_problem_that_is_reported_again_keeps_its_start_and_gets_the_new_text() {
        let board = board();
        report(&board, "a", "first");
        let since = board.list()[0].since;
        report(&board, "a", "second");
        let problems = board.list();
        assert_eq!(problems.len(), 1);
        assert_eq!((problems[0].since, &*problems[0].cause), (since, "second"));
    }

    #[test]
    fn a_resolved_problem_is_gone_and_others_stay() {
        let board = board();
        report(&board, "a", "first");
        report(&board, "b", "second");
        board.resolve("code", "a");
        board.resolve("code", "unknown");
        let subjects: Vec<_> = board.list().into_iter().map(|it| it.subject).collect();
        assert_eq!(subjects, ["b"]);
    }

    #[test]
    fn the_number_of_reported_problems_is_limited() {
        let board = board();
        for number in 0..=REPORTED_MAX {
            report(&board, &number.to_string(), "cause");
        }
        assert_eq!(board.list().len(), REPORTED_MAX);
        report(&board, "0", "a known one is still updated");
        assert!(board.list()[0].cause.contains("updated"));
    }

    #[test]
    fn a_problem_is_logged_once_when_it_begins_and_once_when_it_ends() {
        let board = board();
        report(&board, "ci1", "it is hot");
        let first = board.list();
        assert_eq!(begun(&[], &first), ["problem: ci1: it is hot; mend it"]);
        report(&board, "ci1", "it is very hot");
        let second = board.list();
        assert_eq!(begun(&first, &second), [""; 0]);
        assert_eq!(ended(&first, &second), [""; 0]);
        assert_eq!(
            ended(&second, &[]),
            ["no longer a problem: ci1: it is very hot"]
        );
    }

    #[test]
    fn the_page_shows_cause_and_remedy_and_nothing_without_problems() {
        let board = board();
        report(&board, "<ci1>", "it is hot");
        let problems = board.list();
        let html = render(&problems, problems[0].since + Duration::from_secs(60));
        assert_eq!(
            html.into_string(),
            "<section class=\"problems\"><h2>Problems</h2><ul><li><strong>&lt;ci1&gt;</strong>: \
             it is hot. <small>For 60 s.</small><br>Remedy: mend it.</li></ul></section>"
        );
        assert_eq!(render(&[], Timestamp::default()).into_string(), "");
    }

    #[test]
    fn the_metrics_count_problems_by_code() {
        let board = board();
        report(&board, "a", "x");
        report(&board, "b", "x");
        let mut metrics = Metrics::of("queue");
        add_metrics(&mut metrics, &board.list());
        let text = metrics.text();
        assert!(
            text.contains("ci_runners_queue_problems{code=\"code\"} 2.0"),
            "{text}"
        );
    }
}
