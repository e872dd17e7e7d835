//! The summary table of all jobs, and what did not end as expected. Pure.

use std::collections::BTreeSet;

use cli::{
    format,
    output::printable,
    table::{Cell, table},
    terminal::{Colour, Look},
};

use super::{
    jobs::{DemoJob, Expected},
    run::{End, Outcome},
};

/// The longest output of a job in the table, in characters: with it a row fits 80 columns.
const OUTPUT_MAX: usize = 19;

/// A table with one row per job.
pub fn summary(jobs: &[DemoJob], outcomes: &[Outcome], look: Look) -> String {
    let rows: Vec<_> = jobs
        .iter()
        .zip(outcomes)
        .map(|(job, outcome)| {
            [
                Cell::from(job.name.to_owned()),
                format!("{} {}", job.count.unwrap_or(1), job.profile_key).into(),
                format::short_duration(outcome.waited).into(),
                servers(outcome).into(),
                result(outcome).into(),
                match problem(job, outcome) {
                    None => Cell::coloured("ok", Colour::Good),
                    Some(_) => Cell::coloured("WRONG", Colour::Error),
                },
                job_output(outcome).into(),
            ]
        })
        .collect();
    table(
        look,
        [
            "JOB", "RUNNERS", "WAITED", "SERVER", "RESULT", "CHECK", "OUTPUT",
        ],
        &rows,
    )
}

/// Everything that did not end as expected, one sentence each.
pub fn problems(jobs: &[DemoJob], outcomes: &[Outcome]) -> Vec<String> {
    let of_jobs = jobs.iter().zip(outcomes).filter_map(|(job, outcome)| {
        let problem = problem(job, outcome)?;
        Some(format!("{}: {problem}", job.name))
    });
    of_jobs.chain(runners_assigned_twice(outcomes)).collect()
}

fn problem(job: &DemoJob, outcome: &Outcome) -> Option<String> {
    match (job.expected, &outcome.end) {
        (Expected::Exit(code), End::Ran(results)) => {
            let count = job.count.unwrap_or(1);
            if results.len() as u64 != count {
                let expected = format::count(count as usize, "runner", "runners");
                return Some(format!("expected {expected}, got {}", results.len()));
            }
            let is_expected = |exit_code| exit_code == Some(code);
            let mut codes = results.iter().map(|result| result.ended.exit_code);
            (!codes.all(is_expected)).then(|| format!("expected exit {code}"))
        }
        (Expected::Exit(_), _) => Some("expected to run".to_owned()),
        (Expected::Refused(expected), End::Refused(code)) if expected == code => None,
        (Expected::Refused(code), _) => Some(format!("expected to be refused as {code}")),
    }
}

fn runners_assigned_twice(outcomes: &[Outcome]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let results = outcomes.iter().flat_map(|outcome| match &outcome.end {
        End::Ran(results) => results.as_slice(),
        End::Refused(_) | End::Failed(_) => &[],
    });
    results
        .filter(|result| !seen.insert(&result.label))
        .map(|result| format!("two jobs got the runner {}", result.label))
        .collect()
}

fn servers(outcome: &Outcome) -> String {
    match &outcome.end {
        End::Ran(results) => {
            let names = results.iter().map(|result| result.server.as_str());
            let names: Vec<&str> = names
                .map(|name| name.trim_start_matches("server "))
                .collect();
            names.join(", ")
        }
        End::Refused(_) | End::Failed(_) => "-".to_owned(),
    }
}

fn result(outcome: &Outcome) -> String {
    match &outcome.end {
        End::Ran(results) => {
            let codes: Vec<String> = results
                .iter()
                .map(|result| match result.ended.exit_code {
                    Some(code) => format!("exit {code}"),
                    None => result.ended.conclusion.clone(),
                })
                .collect();
            codes.join(", ")
        }
        End::Refused(code) => code.clone(),
        End::Failed(_) => "failed".to_owned(),
    }
}

/// The last line of a job's output, or its error.
fn job_output(outcome: &Outcome) -> String {
    let text = match &outcome.end {
        End::Ran(results) => results
            .first()
            .map_or("", |result| &result.ended.output_tail),
        End::Refused(_) => "",
        End::Failed(reason) => reason,
    };
    printable(text.trim_end().lines().last().unwrap_or(""), OUTPUT_MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::demo::{jobs::JOBS, run::RunnerResult, workflow_job::Ended};

    fn runner(label: &str, exit_code: Option<i32>) -> RunnerResult {
        RunnerResult {
            server: "server a".into(),
            label: label.into(),
            ended: Ended {
                conclusion: "failure".into(),
                exit_code,
                output_tail: "first\nlast\x1b\n".into(),
            },
        }
    }

    fn outcome(end: End) -> Outcome {
        Outcome {
            waited: Duration::from_millis(1_500),
            end,
        }
    }

    /// The problem of the job of that name when it ends so.
    fn problem_of(name: &str, end: End) -> Option<String> {
        let job = JOBS.iter().find(|job| job.name == name).unwrap();
        problem(job, &outcome(end))
    }

    #[test]
    fn a_job_that_does_not_end_as_expected_is_a_problem() {
        let ran = |codes: &[i32]| {
            let result = |(index, code): (usize, &i32)| runner(&index.to_string(), Some(*code));
            End::Ran(codes.iter().enumerate().map(result).collect())
        };
        let refused = |code: &str| End::Refused(code.into());
        for (name, end, expected) in [
            ("build", ran(&[0]), None),
            ("build", ran(&[1]), Some("expected exit 0")),
            (
                "build",
                End::Ran(vec![runner("a", None)]),
                Some("expected exit 0"),
            ),
            ("build", ran(&[]), Some("expected 1 runner, got 0")),
            ("build", refused("unsatisfiable"), Some("expected to run")),
            ("build", End::Failed("x".into()), Some("expected to run")),
            ("pair", ran(&[0, 0]), None),
            ("pair", ran(&[0, 1]), Some("expected exit 0")),
            ("pair", ran(&[0]), Some("expected 2 runners, got 1")),
            ("broken-test", ran(&[3]), None),
            ("broken-test", ran(&[0]), Some("expected exit 3")),
            ("too-many", refused("unsatisfiable"), None),
            (
                "too-many",
                refused("not_ready"),
                Some("expected to be refused as unsatisfiable"),
            ),
            ("wrong-token", refused("wrong_token"), None),
            (
                "wrong-token",
                ran(&[0]),
                Some("expected to be refused as wrong_token"),
            ),
        ] {
            assert_eq!(problem_of(name, end).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_runner_of_two_jobs_is_a_problem() {
        let same = outcome(End::Ran(vec![runner("runner:x", Some(0))]));
        let outcomes = [same.clone(), same];
        assert_eq!(
            problems(&JOBS[..2], &outcomes),
            ["two jobs got the runner runner:x"]
        );
        assert_eq!(problems(&JOBS[..1], &outcomes[..1]), Vec::<String>::new());
    }

    #[test]
    fn the_summary_has_a_row_for_each_job() {
        let outcomes = [
            outcome(End::Ran(vec![runner("a", Some(0))])),
            outcome(End::Ran(vec![runner("b", None)])),
            outcome(End::Refused("not_ready".into())),
            outcome(End::Failed("reach the queue".into())),
        ];
        insta::assert_snapshot!(summary(&JOBS[..4], &outcomes, Look::PLAIN), @"
        JOB    RUNNERS  WAITED  SERVER  RESULT     CHECK  OUTPUT
        build  1 linux  1.5 s   a       exit 0     ok     last
        docs   1 linux  1.5 s   a       failure    WRONG  last
        lint   1 linux  1.5 s   -       not_ready  WRONG
        pair   2 linux  1.5 s   -       failed     WRONG  reach the queue
        ");
    }
}
