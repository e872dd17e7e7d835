//! `ci-runners job`: what has happened to a job.

use std::time::Duration;

use serde_json::Value;
use shared::{
    secret::Secret,
    wire::{JobReport, JobStatus},
};

use super::story;
use crate::{
    addresses::Daemon,
    args,
    client::RequestError,
    exit::Exit,
    failure::Failure,
    format,
    output::{self, printable},
    table::{Cell, rows_alone},
    terminal::{Colour, Look},
};

/// The longest name of a repository that is printed, in characters.
const REPO_MAX: usize = 201;

/// Runs the command, authorised by the ticket of the job or by the API token.
///
/// # Errors
/// When the queue does not know the job, refuses the request or is unreachable.
pub async fn job(
    args: &args::Job,
    daemon: &Daemon,
    bearer: &Secret,
    look: Look,
) -> Result<Exit, Failure> {
    let queue = daemon.jobs();
    let response = queue.job(&args.job.unique_id, bearer).await?;
    let text = if args.json {
        let json = response.json::<Value>().map_err(RequestError::from)?;
        json.to_string()
    } else {
        let report = response.json::<JobReport>().map_err(RequestError::from)?;
        render(&report, look)
    };
    output::print_coloured(look, &text)?;
    Ok(Exit::Done)
}

/// Everything about a job: what it is, where it stands and why, then its story.
fn render(report: &JobReport, look: Look) -> String {
    let rows: Vec<[Cell; 2]> = fields(report)
        .into_iter()
        .map(|(name, text)| {
            let text = match name {
                "state" => Cell::coloured(text, colour_of(&report.status.state)),
                _ => text.into(),
            };
            [Cell::coloured(name, Colour::Head), text]
        })
        .collect();
    let mut text = rows_alone(look, &rows);
    let story = story::lines(&report.events, report.is_truncated, look);
    if !story.is_empty() {
        text += &format!("\n\n{}", story.join("\n"));
    }
    text
}

/// What a job is, and where it stands: names and values.
fn fields(report: &JobReport) -> Vec<(&'static str, String)> {
    let status = &report.status;
    let mut fields = vec![("job", status.unique_id.to_string())];
    if let Some((repo, run_id)) = run(report) {
        fields.push(("run", format!("{repo} run {run_id}")));
        fields.push((
            "url",
            format!("https://github.com/{repo}/actions/runs/{run_id}"),
        ));
    }
    let runners = format::count(status.count, "runner", "runners");
    fields.push(("needs", format!("{runners} of {}", status.profile_key)));
    fields.push(("state", state(status)));
    if status.position.is_some() {
        let waited = Duration::from_secs(status.waited_seconds);
        fields.push(("waited", format::duration(waited)));
    }
    fields.push(("why", status.why.clone()));
    fields
}

fn state(status: &JobStatus) -> String {
    let state = &status.state;
    if status.position.is_none() {
        return state.clone();
    }
    let because = status.no_estimate_because.as_deref();
    let position = format::position(status.position, status.estimate, because);
    format!("{state}, {position}")
}

/// The story of a job in lines, without colours.
pub fn story_of(report: &JobReport) -> Vec<String> {
    story::lines(&report.events, report.is_truncated, Look::PLAIN)
}

/// The workflow run of a job, which its events name.
fn run(report: &JobReport) -> Option<(String, u64)> {
    let mut events = report.events.iter();
    events.find_map(|event| {
        let repo = event.get("qualified_repo")?.as_str()?;
        Some((printable(repo, REPO_MAX), event.get("run_id")?.as_u64()?))
    })
}

fn colour_of(state: &str) -> Colour {
    match state {
        "finished" | "delivered" | "reserved" => Colour::Good,
        "expired" | "abandoned" => Colour::Warning,
        _ => Colour::Head,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_is_shown_with_each_step_and_its_facts() {
        let report = json!({
            "unique_id": "job-1", "profile_key": "linux", "count": 1, "state": "finished", "waited_seconds": 6,
            "position": null, "ahead": null, "estimate": null,
            "why": "it finished at 2026-12-24T10:16:39Z on http://ci1:8000/",
            "events": [
                {"id": 1, "at": 1_798_106_405_000_001_u64, "event": "job_enqueued", "unique_id": "job-1", "run_id": 7,
                    "qualified_repo": "acme/app",
                    "by": "api_token"},
                {"id": 2, "at": 1_798_106_411_000_000_u64, "event": "job_assigned", "runner": 17,
                    "server": "http://ci1:8000/"},
                {"id": 3, "at": 1_798_107_399_000_000_u64, "event": "job_finished",
                    "started_at": 1_798_106_420_000_000_u64},
            ],
            "is_truncated": true,
        });
        let report: JobReport = serde_json::from_value(report).unwrap();
        insta::assert_snapshot!(render(&report, Look::PLAIN), @"
        job    job-1
        run    acme/app run 7
        url    https://github.com/acme/app/actions/runs/7
        needs  1 runner of linux
        state  finished
        why    it finished at 2026-12-24T10:16:39Z on http://ci1:8000/

        TIME                  EVENT         FACTS
        2026-12-24T10:00:05Z  job_enqueued  by=api_token
        2026-12-24T10:00:11Z  job_assigned  runner=17 server=http://ci1:8000/
        2026-12-24T10:16:39Z  job_finished  started_at=2026-12-24T10:00:20Z
        What happened before is not known.
        ");
    }

    #[test]
    fn the_report_of_an_older_queue_has_no_story() {
        let report = json!({
            "unique_id": "job-1", "profile_key": "linux", "count": 2, "state": "waiting", "waited_seconds": 6,
            "position": 1, "ahead": 0, "estimate": null, "why": "it is next",
        });
        let report: JobReport = serde_json::from_value(report).unwrap();
        let expected = "job     job-1\nneeds   2 runners of linux\nstate   waiting, position 1\nwaited  6 s\n\
             why     it is next";
        assert_eq!(render(&report, Look::PLAIN), expected);
    }
}
