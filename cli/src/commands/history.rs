//! `ci-runners history`: the jobs that are over.

use serde_json::Value;
use shared::{
    clock::Timestamp,
    wire::{History, PastJob},
};

use crate::{
    addresses::Daemon,
    args,
    client::RequestError,
    exit::Exit,
    failure::Failure,
    format, output,
    table::{Cell, table},
    terminal::{Colour, Look},
};

/// Runs the command.
///
/// # Errors
/// When the queue refuses the request or is unreachable.
pub async fn history(args: &args::History, daemon: &Daemon, look: Look) -> Result<Exit, Failure> {
    let queue = daemon.jobs();
    let response = queue.history(&query(args), &daemon.api_token()?).await?;
    if args.json {
        let json = response.json::<Value>().map_err(RequestError::from)?;
        output::print(&json.to_string())?;
        return Ok(Exit::Done);
    }
    let history = response.json::<History>().map_err(RequestError::from)?;
    output::print_coloured(look, &render(&history.jobs, look))?;
    if let Some(next) = history.next {
        output::note(&format!("there may be more: add --before {next}"));
    }
    Ok(Exit::Done)
}

/// The parameters of the request. Their values need no escapes: all are of the characters of names, or
/// checked here.
fn query(args: &args::History) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    let mut add = |name, value: Option<String>| query.extend(value.map(|value| (name, value)));
    add("repo", args.repo.as_ref().map(ToString::to_string));
    add("run_id", args.run_id.map(|run_id| run_id.to_string()));
    add("profile", args.profile.as_ref().map(ToString::to_string));
    add(
        "outcome",
        args.outcome.map(|outcome| outcome.name().to_owned()),
    );
    let micros = |time: Timestamp| time.as_micros().to_string();
    add("since", args.since.map(|since| micros(since.0)));
    add("until", args.until.map(|until| micros(until.0)));
    add("before", args.before.map(|before| before.to_string()));
    add("limit", Some(args.limit.to_string()));
    query
}

fn render(jobs: &[PastJob], look: Look) -> String {
    let rows: Vec<[Cell; 8]> = jobs.iter().map(row).collect();
    let head = [
        "ENDED",
        "OUTCOME",
        "JOB",
        "REPOSITORY",
        "RUN",
        "PROFILE",
        "WAITED",
        "RAN ON",
    ];
    table(look, head, &rows)
}

fn row(job: &PastJob) -> [Cell; 8] {
    let runners = job.runners.iter();
    let runners: Vec<String> = runners
        .map(|runner| format!("{} runner {}", runner.server, runner.runner))
        .collect();
    [
        job.ended_at.date_and_time().into(),
        outcome(&job.outcome),
        job.unique_id.to_string().into(),
        job.qualified_repo.to_string().into(),
        job.run_id.to_string().into(),
        job.profile_key.to_string().into(),
        format::duration(job.waited()).into(),
        runners.join(", ").into(),
    ]
}

fn outcome(outcome: &str) -> Cell {
    match outcome {
        "finished" => Cell::coloured(outcome, Colour::Good),
        "expired" | "abandoned" => Cell::coloured(outcome, Colour::Warning),
        _ => outcome.to_owned().into(),
    }
}
