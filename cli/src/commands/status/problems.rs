//! Renders the problems of a daemon as text. Pure.

use shared::{
    clock::Timestamp,
    problem::{self, Problem, Severity},
};

use crate::{
    format,
    output::printable,
    terminal::{Colour, Look},
};

/// The longest text of one part of a problem, in characters.
const TEXT_MAX: usize = 500;
/// The most problems that are shown.
const SHOWN_MAX: usize = 50;

/// The problems as text, with the severity, the code and the times of each; `None` if there are none.
pub fn render(problems: &[Problem], now: Timestamp, look: Look) -> Option<String> {
    if problems.is_empty() {
        return None;
    }
    let mut text = format!("{}:", problem::count(problems));
    for problem in problems.iter().take(SHOWN_MAX) {
        let [subject, cause, remedy, code] = [
            &problem.subject,
            &problem.cause,
            &problem.remedy,
            &*problem.code,
        ]
        .map(|text| printable(text, TEXT_MAX));
        let lasts = format::duration(now.since(problem.since));
        let colour = match problem.severity {
            Severity::Error => Colour::Error,
            Severity::Warning => Colour::Warning,
        };
        let severity = format!("{}:", problem.severity);
        let first = look.wrapped(&format!("{severity} {subject}: {cause}"), "  ");
        let first = first.replacen(&severity, &look.paint(colour, &severity), 1);
        text += &format!("\n{first}");
        text += &format!("\n{}", look.wrapped(&format!("remedy: {remedy}"), "    "));
        let mut times = format!("    {code} for {lasts}");
        if let Some(last_healthy) = problem.last_healthy {
            let ago = format::duration(now.since(last_healthy));
            times += &format!(", last healthy {ago} ago");
        }
        text += &format!("\n{}", look.paint(Colour::Dim, &times));
    }
    let more = problems.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        text += &format!("\n  and {more} more");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::problem::catalogue;

    use super::*;

    #[test]
    fn each_problem_has_its_cause_its_remedy_and_its_times() {
        let since = Timestamp::from_seconds(1_000);
        let down = catalogue::SERVER_NOT_ANSWERING.problem(
            "ci1\u{1b}[2J",
            "it is silent",
            "start it",
            since,
        );
        let down = down.with_last_healthy(Some(Timestamp::from_seconds(990)));
        let twice = catalogue::SERVER_LISTED_TWICE.problem("ci2", "it is ci1", "remove it", since);
        let now = since + Duration::from_secs(60);
        insta::assert_snapshot!(render(&[down.clone(), twice], now, Look::PLAIN).unwrap(), @"
        2 problems:
          error: ci1[2J: it is silent
            remedy: start it
            server_not_answering for 1 min, last healthy 1 min ago
          warning: ci2: it is ci1
            remedy: remove it
            server_listed_twice for 1 min
        ");
        assert_eq!(render(&[], now, Look::PLAIN), None);
        let many = vec![down; SHOWN_MAX + 2];
        assert!(
            render(&many, now, Look::PLAIN)
                .unwrap()
                .ends_with("\n  and 2 more")
        );
    }
}
