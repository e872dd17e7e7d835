//! Problems of both daemons: where adapters report them, and how they are logged and shown.
//!
//! Not responsible for what is a problem: cores derive theirs from their state, adapters report theirs. Which
//! kinds there are is in `shared::problem::catalogue`.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use github::ApiStatusCell;
use maud::{Markup, html};
use parking_lot::Mutex;
use shared::{
    clock::{Clock, Timestamp},
    format,
    problem::{
        self, Problem, Severity,
        catalogue::{self, ProblemKind},
    },
};

use crate::{
    drops::Drops,
    journal::{Entry, Journal},
    log_output::{self, LogStatus, LogTrouble},
    metrics::{self, Metric, Metrics},
    page,
};

/// Maximum number of problems that adapters can report at a time.
const REPORTED_MAX: usize = 200;
/// Maximum number of values of the metric.
const METRIC_VALUES_MAX: usize = 200;
/// Maximum number of problems on a page.
const SHOWN_MAX: usize = 200;
/// Pause between two comparisons of the list with what was logged.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What adapters report: everything outside of the cores. Cheap to clone; all clones share it.
#[derive(Clone, Debug)]
pub struct ProblemBoard {
    clock: Clock,
    reported: Arc<Mutex<Reported>>,
    /// When each subject was last found to be healthy.
    healthy: Arc<Mutex<BTreeMap<Key, Timestamp>>>,
    /// The status of access to GitHub, which knows its own problems.
    api_status: Arc<OnceLock<ApiStatusCell>>,
    dropped_lines: Arc<Mutex<Drops>>,
}

/// Code and subject.
type Key = (&'static str, String);
type Reported = BTreeMap<Key, Problem>;

impl ProblemBoard {
    /// No problems yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            reported: Arc::default(),
            healthy: Arc::default(),
            dropped_lines: Arc::default(),
            api_status: Arc::default(),
        }
    }

    /// Adds the problems of this access to GitHub to the list, from now on.
    pub fn watch_github(&self, api_status: ApiStatusCell) {
        metrics::watch_github(&api_status);
        self.api_status.get_or_init(|| api_status);
    }

    /// Adds a problem of this kind, or replaces the texts of the one with this subject, which keeps the
    /// time since when it has existed.
    pub fn report(
        &self,
        kind: &'static ProblemKind,
        subject: &str,
        cause: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let now = self.clock.now();
        let key = (kind.code, subject.to_owned());
        let last_healthy = self.healthy.lock().get(&key).copied();
        let mut reported = self.reported.lock();
        let earlier = reported.get(&key).map(|problem| problem.since);
        if earlier.is_none() && reported.len() >= REPORTED_MAX {
            return;
        }
        let problem = kind.problem(subject, cause, remedy, earlier.unwrap_or(now));
        reported.insert(key, problem.with_last_healthy(last_healthy));
    }

    /// Removes the problem of this kind with this subject, if it exists, and records that the subject is
    /// healthy.
    pub fn resolve(&self, kind: &'static ProblemKind, subject: &str) {
        let key = (kind.code, subject.to_owned());
        self.reported.lock().remove(&key);
        let mut healthy = self.healthy.lock();
        if healthy.len() < REPORTED_MAX || healthy.contains_key(&key) {
            healthy.insert(key, self.clock.now());
        }
    }

    /// Removes the problem of this kind with this subject, if it exists, because another problem now is the
    /// cause: that its subject is healthy is not known.
    pub fn withdraw(&self, kind: &'static ProblemKind, subject: &str) {
        let key = (kind.code, subject.to_owned());
        self.reported.lock().remove(&key);
    }

    /// All of them: those of access to GitHub, then the others by code and subject.
    pub fn list(&self) -> Vec<Problem> {
        self.report_log(&log_output::status());
        let api_status = self.api_status.get();
        let of_github = api_status.map(|status| status.problems(self.clock.now()));
        let mut problems = of_github.unwrap_or_default();
        problems.extend(self.reported.lock().values().cloned());
        problems
    }
}

/// The subject of the problem that lines of the log are missing.
const LOG: &str = "log";

impl ProblemBoard {
    /// Reports that lines of the log are missing, for some time after the last one: the log itself cannot
    /// say it meanwhile.
    fn report_log(&self, status: &LogStatus) {
        let now = self.clock.now();
        let mut dropped = self.dropped_lines.lock();
        let is_recent = dropped.are_recent(status.dropped_count, now);
        drop(dropped);
        if !is_recent && status.trouble.is_none() {
            return self.resolve(&catalogue::LOG_LINES_DROPPED, LOG);
        }
        let count = usize::try_from(status.dropped_count).unwrap_or(usize::MAX);
        let lines = format::count(count, "line was", "lines were");
        let why = match &status.trouble {
            Some(LogTrouble::Failed(error)) => format!("cannot be written: {error}"),
            Some(LogTrouble::NotRead) | None => "is not read fast enough".to_owned(),
        };
        let cause = format!("{lines} dropped, because standard error {why}");
        let remedy =
            "see what reads standard error; if it is journald and was stopped, restart this daemon";
        self.report(&catalogue::LOG_LINES_DROPPED, LOG, cause, remedy);
    }
}

/// Logs each problem of `list` when it begins, as a warning, and when it ends; both are events of the
/// journal. Never returns.
pub async fn log_changes(journal: Journal, list: impl Fn() -> Vec<Problem>) {
    let mut logged = Vec::new();
    loop {
        let current = list();
        for line in begun(&logged, &current) {
            log::warn!("{line}");
        }
        for line in ended(&logged, &current) {
            log::info!("{line}");
        }
        for event in events(&logged, &current, journal.now()) {
            journal.record_without_log(event);
        }
        logged = current;
        tokio::time::sleep(LOG_INTERVAL).await;
    }
}

/// The lines for problems that are new in `current`.
fn begun(logged: &[Problem], current: &[Problem]) -> Vec<String> {
    missing_in(logged, current)
        .map(|problem| format!("problem: {problem} ({})", problem.code))
        .collect()
}

/// The lines for problems that are no longer in `current`.
fn ended(logged: &[Problem], current: &[Problem]) -> Vec<String> {
    missing_in(current, logged)
        .map(|problem| {
            format!(
                "no longer a problem: {}: {} ({})",
                problem.subject, problem.cause, problem.code
            )
        })
        .collect()
}

/// The events for what is different in `current`.
fn events(logged: &[Problem], current: &[Problem], now: Timestamp) -> Vec<Entry> {
    let about = |name, problem: &Problem| {
        Entry::new(now, name)
            .fact("code", &*problem.code)
            .fact("severity", problem.severity.as_str())
            .fact("subject", &*problem.subject)
            .fact("cause", &*problem.cause)
            .fact("remedy", &*problem.remedy)
            .time("began_at", problem.since)
    };
    let ended = missing_in(current, logged).map(|problem| about("problem_ended", problem));
    let begun = missing_in(logged, current).map(|problem| about("problem_began", problem));
    ended.chain(begun).collect()
}

fn missing_in<'a>(list: &[Problem], of: &'a [Problem]) -> impl Iterator<Item = &'a Problem> {
    of.iter()
        .filter(|problem| !list.iter().any(|other| other.is_same_as(problem)))
}

/// The title of a page: how many problems there are, if there are any, then `title`.
pub fn title(problems: &[Problem], title: &str) -> String {
    if problems.is_empty() {
        return title.to_owned();
    }
    format!("{} · {title}", problem::count(problems))
}

/// The part of a page that shows them; empty if there are none.
pub fn render(problems: &[Problem], now: Timestamp) -> Markup {
    html! {
        @if !problems.is_empty() {
            section class="problems" id="problems" aria-labelledby="problems-title" {
                h2 id="problems-title" { (problem::count(problems)) }
                ul {
                    @for problem in problems.iter().take(SHOWN_MAX) { (render_one(problem, now)) }
                    @if problems.len() > SHOWN_MAX {
                        li { "and " (problems.len() - SHOWN_MAX) " more" }
                    }
                }
            }
        }
    }
}

fn render_one(problem: &Problem, now: Timestamp) -> Markup {
    html! {
        li class=(problem.severity) data-key={ (problem.code) " " (problem.subject) } {
            strong { (problem.subject) ": " (with_code(&problem.cause)) "." }
            p { "Remedy: " (with_code(&problem.remedy)) "." }
            small {
                (severity(problem)) " " (problem.code) " for " (page::since(problem.since, now))
                @if let Some(last_healthy) = problem.last_healthy {
                    ", last healthy " (page::since(last_healthy, now)) " ago"
                }
                "."
            }
        }
    }
}

/// A text whose parts between backticks are code.
fn with_code(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn severity(problem: &Problem) -> &'static str {
    match problem.severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
    }
}

/// The metric of problems.
pub(crate) static PROBLEM: Metric = Metric::gauge(
    "problem",
    &["code", "subject", "severity"],
    "1 for each problem that an operator should mend; the first 200",
);

/// Adds one value for each to the metrics of a daemon, up to a limit.
pub fn add_metrics(metrics: &mut Metrics, problems: &[Problem]) {
    let values = problems.iter().take(METRIC_VALUES_MAX).map(|problem| {
        let labels = [
            problem.code.to_string(),
            problem.subject.clone(),
            problem.severity.to_string(),
        ];
        (labels, 1.0)
    });
    metrics.add(&PROBLEM, values);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> ProblemBoard {
        ProblemBoard::new(Clock::start())
    }

    fn report(board: &ProblemBoard, subject: &str, cause: &str) {
        board.report(&catalogue::STATE_NOT_SAVED, subject, cause, "mend it");
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
    fn lines_that_are_missing_in_the_log_are_a_problem_for_some_time() {
        let board = board();
        let status = |dropped_count, trouble| LogStatus {
            dropped_count,
            trouble,
        };
        let shown = |status| {
            board.report_log(&status);
            let reported = board.reported.lock();
            reported
                .values()
                .next()
                .map(|problem| problem.cause.clone())
        };
        assert_eq!(shown(status(0, None)), None);
        let not_read = "1 line was dropped, because standard error is not read fast enough";
        let found = shown(status(1, Some(LogTrouble::NotRead)));
        assert_eq!(found.as_deref(), Some(not_read));
        // It is written again, but the line is still missing.
        assert_eq!(shown(status(1, None)).as_deref(), Some(not_read));
        let failed = LogTrouble::Failed("Broken pipe".to_owned());
        let found = shown(status(3, Some(failed)));
        let expected =
            "3 lines were dropped, because standard error cannot be written: Broken pipe";
        assert_eq!(found.as_deref(), Some(expected));
        // The last one was long ago.
        let mut dropped = Drops::default();
        dropped.are_recent(3, Timestamp::default());
        *board.dropped_lines.lock() = dropped;
        assert_eq!(shown(status(3, None)), None);
    }

    #[test]
    fn a_resolved_problem_is_gone_and_others_stay() {
        let board = board();
        report(&board, "a", "first");
        report(&board, "b", "second");
        board.resolve(&catalogue::STATE_NOT_SAVED, "a");
        board.resolve(&catalogue::STATE_NOT_SAVED, "unknown");
        let subjects: Vec<_> = board.list().into_iter().map(|it| it.subject).collect();
        assert_eq!(subjects, ["b"]);
    }

    #[test]
    fn a_problem_that_is_withdrawn_is_gone_and_its_subject_does_not_count_as_healthy() {
        let board = board();
        report(&board, "a", "first");
        board.withdraw(&catalogue::STATE_NOT_SAVED, "a");
        assert_eq!(board.list(), []);
        report(&board, "a", "second");
        assert_eq!(board.list()[0].last_healthy, None);
    }

    #[test]
    fn a_problem_has_the_time_at_which_its_subject_was_last_found_to_be_healthy() {
        let board = board();
        report(&board, "a", "first");
        assert_eq!(board.list()[0].last_healthy, None);
        board.resolve(&catalogue::STATE_NOT_SAVED, "a");
        report(&board, "a", "second");
        let problem = board.list().remove(0);
        let last_healthy = problem.last_healthy.unwrap();
        assert!(last_healthy <= problem.since, "{problem:?}");
        for number in 0..=REPORTED_MAX {
            board.resolve(&catalogue::STATE_NOT_SAVED, &number.to_string());
        }
        assert_eq!(board.healthy.lock().len(), REPORTED_MAX);
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
    fn the_beginning_and_the_end_of_a_problem_are_events() {
        let board = board();
        report(&board, "ci1", "it is hot");
        let first = board.list();
        let now = first[0].since;
        let texts = |before: &[Problem], after: &[Problem]| {
            let events = events(before, after, now).into_iter();
            events.map(|event| event.to_text()).collect::<Vec<_>>()
        };
        let facts = format!(
            "code={} severity=error subject=ci1 cause=\"it is hot\" remedy=\"{}\" began_at={}",
            first[0].code,
            first[0].remedy,
            now.date_and_time()
        );
        assert_eq!(texts(&[], &first), [format!("problem_began {facts}")]);
        assert_eq!(texts(&first, &first), [""; 0]);
        assert_eq!(texts(&first, &[]), [format!("problem_ended {facts}")]);
        assert!(events(&[], &first, now)[0].to_public_json().is_some());
    }

    #[test]
    fn a_problem_is_logged_once_when_it_begins_and_once_when_it_ends() {
        let board = board();
        report(&board, "ci1", "it is hot");
        let first = board.list();
        assert_eq!(
            begun(&[], &first),
            ["problem: ci1: it is hot; mend it (state_not_saved)"]
        );
        report(&board, "ci1", "it is very hot");
        let second = board.list();
        assert_eq!(begun(&first, &second), [""; 0]);
        assert_eq!(ended(&first, &second), [""; 0]);
        assert_eq!(
            ended(&second, &[]),
            ["no longer a problem: ci1: it is very hot (state_not_saved)"]
        );
    }

    #[test]
    fn the_page_shows_cause_and_remedy_and_nothing_without_problems() {
        let board = board();
        report(&board, "<ci1>", "it is hot");
        let mut problems = board.list();
        let now = problems[0].since + Duration::from_secs(60);
        let html = |problems: &[Problem]| render(problems, now).into_string();
        let since = problems[0].since.as_micros() / 1000;
        assert_eq!(
            html(&problems),
            format!(
                "<section class=\"problems\" id=\"problems\" aria-labelledby=\"problems-title\">\
                 <h2 id=\"problems-title\">1 problem</h2><ul>\
                 <li class=\"error\" data-key=\"state_not_saved &lt;ci1&gt;\">\
                 <strong>&lt;ci1&gt;: it is hot.</strong><p>Remedy: mend it.</p>\
                 <small>Error state_not_saved for <span class=\"nowrap\" data-since=\"{since}\">1 min 00 s\
                 </span>.</small></li></ul></section>"
            )
        );
        problems[0].last_healthy = Some(problems[0].since - Duration::from_secs(10));
        let shown = ">1 min 10 s</span> ago.</small>";
        assert!(html(&problems).contains(shown), "{}", html(&problems));
        assert_eq!(title(&problems, "CI"), "1 problem · CI");
        assert_eq!(
            (title(&[], "CI"), html(&[])),
            ("CI".to_owned(), String::new())
        );
    }

    #[test]
    fn the_metrics_have_one_value_for_each_problem_up_to_a_limit() {
        let board = board();
        for number in 0..REPORTED_MAX {
            report(&board, &number.to_string(), "x");
        }
        let mut problems = board.list();
        problems.extend(board.list());
        for (number, problem) in problems.iter_mut().enumerate() {
            problem.subject = format!("{number}\"");
        }
        let mut metrics = Metrics::of("queue");
        add_metrics(&mut metrics, &problems);
        let text = metrics.text();
        let value = "ci_runners_queue_problem{code=\"state_not_saved\",subject=\"7\\\"\",severity=\"error\"} 1.0";
        assert!(text.contains(value), "{text}");
        assert_eq!(text.matches("queue_problem{").count(), METRIC_VALUES_MAX);
    }
}
