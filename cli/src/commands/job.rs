//! `ci-runners job`: what has happened to a job.

use serde_json::{Map, Value};
use shared::{clock::Timestamp, secret::Secret, wire::JobReport};

use crate::{
    addresses::Daemon,
    args,
    client::{QueueClient, RequestError},
    exit::Exit,
    failure::Failure,
    format, output,
    table::table,
};

/// The fields of events that are the same in all events of a job, or have columns of their own.
const COMMON: [&str; 7] = [
    "id",
    "at",
    "event",
    "unique_id",
    "qualified_repo",
    "run_id",
    "profile_key",
];

/// Runs the command, authorised by the ticket of the job or by the API token.
///
/// # Errors
/// When the queue does not know the job, refuses the request or is unreachable.
pub async fn job(args: &args::Job, daemon: &Daemon, bearer: &Secret) -> Result<Exit, Failure> {
    let queue = QueueClient::new(daemon.client.clone(), daemon.url.clone());
    let response = queue.job(&args.unique_id, bearer).await?;
    let text = if args.json {
        let json = response.json::<Value>().map_err(RequestError::from)?;
        json.to_string()
    } else {
        let report = response.json::<JobReport>().map_err(RequestError::from)?;
        render(&report)
    };
    output::print(&text)?;
    Ok(Exit::Done)
}

fn render(report: &JobReport) -> String {
    let status = &report.status;
    let count = format::count(status.count, "runner", "runners");
    let mut text = format!(
        "Job {}, {count} of {}: {}\n{}.",
        status.unique_id, status.profile_key, status.state, status.why
    );
    let events = report.events.iter().filter_map(Value::as_object);
    let rows: Vec<[String; 3]> = events.map(row).collect();
    if !rows.is_empty() {
        text.push_str("\n\n");
        text.push_str(&table(["TIME", "EVENT", "FACTS"], &rows));
    }
    if report.is_truncated {
        text.push_str("\nWhat happened before is not known.");
    }
    text
}

fn row(event: &Map<String, Value>) -> [String; 3] {
    let at = event.get("at").and_then(Value::as_u64);
    let name = event.get("event").and_then(Value::as_str);
    let facts = event
        .iter()
        .filter(|(name, _)| !COMMON.contains(&name.as_str()));
    let facts: Vec<String> = facts
        .map(|(name, value)| format!("{name}={}", shown(name, value)))
        .collect();
    [
        time(at.unwrap_or_default()),
        name.unwrap_or_default().to_owned(),
        facts.join(" "),
    ]
}

fn shown(name: &str, value: &Value) -> String {
    let is_time = name.ends_with("_at") || name.ends_with("_since");
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if is_time => time(number.as_u64().unwrap_or_default()),
        other => other.to_string(),
    }
}

fn time(micros: u64) -> String {
    Timestamp::from_micros(micros).date_and_time()
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
                    "by": "api_token"},
                {"id": 2, "at": 1_798_106_411_000_000_u64, "event": "job_assigned", "runner": 17,
                    "server": "http://ci1:8000/"},
                {"id": 3, "at": 1_798_107_399_000_000_u64, "event": "job_finished",
                    "started_at": 1_798_106_420_000_000_u64},
            ],
            "is_truncated": true,
        });
        let report: JobReport = serde_json::from_value(report).unwrap();
        insta::assert_snapshot!(render(&report), @"
        Job job-1, 1 runner of linux: finished
        it finished at 2026-12-24T10:16:39Z on http://ci1:8000/.

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
        let expected = "Job job-1, 2 runners of linux: waiting\nit is next.";
        assert_eq!(render(&report), expected);
    }
}
