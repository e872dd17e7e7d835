//! Whether the burst went as it should, and the table that shows it. Pure.

use std::collections::BTreeSet;

use super::{
    burst::{End, Outcome},
    cast::{Expected, Role},
};
use cli::{format, output::printable, table::table};

/// Longest text of a job that is shown, in characters.
const SAID_MAX: usize = 40;

/// What happened, one line a job.
pub fn summary(cast: &[Role], outcomes: &[Outcome]) -> String {
    let rows: Vec<_> = cast
        .iter()
        .zip(outcomes)
        .map(|(role, outcome)| {
            [
                role.name.to_owned(),
                format!("{} {}", role.count.unwrap_or(1), role.profile_key),
                format::short_duration(outcome.waited),
                runners(outcome),
                ending(outcome),
                said(outcome),
                match problem(role, outcome) {
                    None => "yes".to_owned(),
                    Some(problem) => format!("NO: {problem}"),
                },
            ]
        })
        .collect();
    table(
        [
            "JOB",
            "WANTED",
            "IN LINE",
            "RAN ON",
            "ENDED",
            "SAID",
            "AS IT SHOULD",
        ],
        &rows,
    )
}

/// Everything that did not go as it should.
pub fn problems(cast: &[Role], outcomes: &[Outcome]) -> Vec<String> {
    let of_jobs = cast.iter().zip(outcomes).filter_map(|(role, outcome)| {
        let problem = problem(role, outcome)?;
        Some(format!("{}: {problem}", role.name))
    });
    of_jobs.chain(runners_given_twice(outcomes)).collect()
}

fn problem(role: &Role, outcome: &Outcome) -> Option<String> {
    match (role.expected, &outcome.end) {
        (Expected::Exit(code), End::Ran(runs)) => {
            let wanted = role.count.unwrap_or(1);
            if runs.len() as u64 != wanted {
                return Some(format!("{} runners, not {wanted}", runs.len()));
            }
            let is_expected = |exit_code| exit_code == Some(code);
            let mut codes = runs.iter().map(|run| run.ended.exit_code);
            (!codes.all(is_expected)).then(|| format!("expected exit {code}"))
        }
        (Expected::Exit(_), _) => Some("expected to run".to_owned()),
        (Expected::Refused(code), End::Refused(said)) if code == said => None,
        (Expected::Refused(code), _) => Some(format!("expected the refusal {code}")),
    }
}

fn runners_given_twice(outcomes: &[Outcome]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let labels = outcomes.iter().flat_map(|outcome| match &outcome.end {
        End::Ran(runs) => runs.as_slice(),
        End::Refused(_) | End::Failed(_) => &[],
    });
    labels
        .filter(|run| !seen.insert(&run.label))
        .map(|run| format!("the runner {} was given out twice", run.label))
        .collect()
}

fn runners(outcome: &Outcome) -> String {
    match &outcome.end {
        End::Ran(runs) => {
            let hosts: Vec<&str> = runs.iter().map(|run| run.host.as_str()).collect();
            hosts.join(", ")
        }
        End::Refused(_) | End::Failed(_) => "-".to_owned(),
    }
}

fn ending(outcome: &Outcome) -> String {
    match &outcome.end {
        End::Ran(runs) => {
            let codes: Vec<String> = runs
                .iter()
                .map(|run| match run.ended.exit_code {
                    Some(code) => format!("exit {code}"),
                    None => run.ended.conclusion.clone(),
                })
                .collect();
            codes.join(", ")
        }
        End::Refused(code) => code.clone(),
        End::Failed(_) => "failed".to_owned(),
    }
}

fn said(outcome: &Outcome) -> String {
    let text = match &outcome.end {
        End::Ran(runs) => runs.first().map_or("", |run| &run.ended.output_tail),
        End::Refused(_) => "",
        End::Failed(reason) => reason,
    };
    printable(text.trim_end().lines().last().unwrap_or(""), SAID_MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::demo::{burst::Run, cast::CAST, github::Ended};

    fn run(label: &str, exit_code: Option<i32>) -> Run {
        Run {
            host: "host a".into(),
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

    /// The role of that name, and what is wrong with such an end.
    fn problem_of(name: &str, end: End) -> Option<String> {
        let role = CAST.iter().find(|role| role.name == name).unwrap();
        problem(role, &outcome(end))
    }

    #[test]
    fn a_job_has_to_end_as_its_role_says() {
        let ran = |codes: &[i32]| {
            let run = |(index, code): (usize, &i32)| run(&index.to_string(), Some(*code));
            End::Ran(codes.iter().enumerate().map(run).collect())
        };
        let refused = |code: &str| End::Refused(code.into());
        for (name, end, expected) in [
            ("build", ran(&[0]), None),
            ("build", ran(&[1]), Some("expected exit 0")),
            (
                "build",
                End::Ran(vec![run("a", None)]),
                Some("expected exit 0"),
            ),
            ("build", ran(&[]), Some("0 runners, not 1")),
            ("build", refused("unsatisfiable"), Some("expected to run")),
            ("build", End::Failed("x".into()), Some("expected to run")),
            ("pair", ran(&[0, 0]), None),
            ("pair", ran(&[0, 1]), Some("expected exit 0")),
            ("pair", ran(&[0]), Some("1 runners, not 2")),
            ("broken-test", ran(&[3]), None),
            ("broken-test", ran(&[0]), Some("expected exit 3")),
            ("too-many", refused("unsatisfiable"), None),
            (
                "too-many",
                refused("not_ready"),
                Some("expected the refusal unsatisfiable"),
            ),
            ("stranger", refused("wrong_token"), None),
            (
                "stranger",
                ran(&[0]),
                Some("expected the refusal wrong_token"),
            ),
        ] {
            assert_eq!(problem_of(name, end).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_runner_for_two_jobs_is_a_problem() {
        let same = outcome(End::Ran(vec![run("runner:x", Some(0))]));
        let outcomes = [same.clone(), same];
        assert_eq!(
            problems(&CAST[..2], &outcomes),
            ["the runner runner:x was given out twice"]
        );
        assert_eq!(problems(&CAST[..1], &outcomes[..1]), Vec::<String>::new());
    }

    #[test]
    fn the_summary_has_a_line_for_each_job() {
        let outcomes = [
            outcome(End::Ran(vec![run("a", Some(0))])),
            outcome(End::Ran(vec![run("b", None)])),
            outcome(End::Refused("not_ready".into())),
            outcome(End::Failed("reach the queue".into())),
        ];
        let expected = "\
JOB    WANTED   IN LINE  RAN ON  ENDED      SAID             AS IT SHOULD
build  1 linux  1.5 s    host a  exit 0     last             yes
docs   1 linux  1.5 s    host a  failure    last             NO: expected exit 0
lint   1 linux  1.5 s    -       not_ready                   NO: expected to run
pair   2 linux  1.5 s    -       failed     reach the queue  NO: expected to run";
        assert_eq!(summary(&CAST[..4], &outcomes), expected);
    }
}
