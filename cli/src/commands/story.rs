//! The story of a job or a runner, as lines. Pure.

use serde_json::{Map, Value};
use shared::{clock::Timestamp, text::printable};

use crate::{table::table, terminal::Look};

/// The fields of events that are the same in all events of a story, or have a place of their own.
const COMMON: [&str; 8] = [
    "id",
    "at",
    "event",
    "unique_id",
    "qualified_repo",
    "run_id",
    "profile_key",
    OUTPUT,
];
/// The fact with the last lines that a guest wrote.
const OUTPUT: &str = "output";
/// How far the lines of an output are indented.
const INDENT: &str = "    ";

/// A table of the events, then what guests wrote at their ends; no lines if there are no events.
pub fn lines(events: &[Value], is_truncated: bool, look: Look) -> Vec<String> {
    let events: Vec<_> = events.iter().filter_map(Value::as_object).collect();
    let rows: Vec<[String; 3]> = events.iter().map(|event| row(event)).collect();
    let mut lines: Vec<String> = Vec::new();
    if !rows.is_empty() {
        let table = table(look, ["TIME", "EVENT", "FACTS"], &rows);
        lines.extend(table.lines().map(str::to_owned));
    }
    if is_truncated {
        lines.push("What happened before is not known.".to_owned());
    }
    for event in events {
        let output = output(event);
        if !output.is_empty() {
            lines.push(String::new());
            lines.push(format!("The last output before {}:", time_of(event)));
            lines.extend(output);
        }
    }
    lines
}

/// One event, with the output of the guest below it.
pub fn event_lines(event: &Map<String, Value>) -> Vec<String> {
    let [time, name, facts] = row(event);
    let line = format!("{time}  {name}  {facts}");
    let mut lines = vec![printable(line.trim_end()).into_owned()];
    lines.extend(output(event));
    lines
}

fn output(event: &Map<String, Value>) -> Vec<String> {
    let output = event.get(OUTPUT).and_then(Value::as_str);
    let lines = output.into_iter().flat_map(str::lines);
    lines
        .map(|line| format!("{INDENT}{}", printable(line)))
        .collect()
}

fn row(event: &Map<String, Value>) -> [String; 3] {
    let name = event.get("event").and_then(Value::as_str);
    let facts = event
        .iter()
        .filter(|(name, _)| !COMMON.contains(&name.as_str()));
    let facts: Vec<String> = facts
        .map(|(name, value)| format!("{name}={}", shown(name, value)))
        .collect();
    [
        time_of(event),
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

fn time_of(event: &Map<String, Value>) -> String {
    time(event.get("at").and_then(Value::as_u64).unwrap_or_default())
}

fn time(micros: u64) -> String {
    Timestamp::from_micros(micros).date_and_time()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_output_of_a_guest_is_below_the_events() {
        let events = [
            json!({"at": 1_798_106_405_000_000_u64, "event": "runner_created", "reason": "below_target"}),
            json!({"at": 1_798_106_411_000_000_u64, "event": "runner_ended", "exit_status": 1,
                "output": "one\n\u{1b}[2Jtwo"}),
        ];
        insta::assert_snapshot!(lines(&events, true, Look::PLAIN).join("\n"), @r"
        TIME                  EVENT           FACTS
        2026-12-24T10:00:05Z  runner_created  reason=below_target
        2026-12-24T10:00:11Z  runner_ended    exit_status=1
        What happened before is not known.

        The last output before 2026-12-24T10:00:11Z:
            one
            \u{1b}[2Jtwo
        ");
        let ended = event_lines(events[1].as_object().unwrap());
        assert_eq!(ended.len(), 3);
        assert_eq!(
            ended[0],
            "2026-12-24T10:00:11Z  runner_ended  exit_status=1"
        );
    }
}
