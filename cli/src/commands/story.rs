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
/// The width of the longest name of an event of a runner.
const NAME_WIDTH: usize = "runner_credential_fetched".len();
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

/// One event in columns that fit the terminal, with the output of the guest below it.
pub fn event_lines(event: &Map<String, Value>, look: Look) -> Vec<String> {
    let [time, name, facts] = row(event).map(|text| printable(&text).into_owned());
    let head = format!("{time}  {name:<NAME_WIDTH$}  ");
    let facts = look.wrapped(&facts, &" ".repeat(head.len()));
    let line = format!("{head}{}", facts.trim_start());
    let mut lines: Vec<String> = line.lines().map(|it| it.trim_end().to_owned()).collect();
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
    // The runner of its own story.
    let is_of_runner = name.is_some_and(|name| name.starts_with("runner_"));
    let is_left_out = |name: &str| COMMON.contains(&name) || is_of_runner && name == "runner";
    let facts = event.iter().filter(|(name, _)| !is_left_out(name));
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
    fn the_facts_of_a_followed_event_are_wrapped_in_their_column() {
        let event =
            json!({"at": 0, "event": "runner_created", "cause": "there are fewer than the target"});
        let look = Look {
            width: Some(70),
            ..Look::PLAIN
        };
        insta::assert_snapshot!(event_lines(event.as_object().unwrap(), look).join("\n"), @r"
        1970-01-01T00:00:00Z  runner_created             cause=there are fewer
                                                         than the target
        ");
    }

    #[test]
    fn the_output_of_a_guest_is_below_the_events() {
        let events = [
            json!({"at": 1_798_106_405_000_000_u64, "event": "runner_created", "runner": 7, "reason": "below_target"}),
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
        let event = events[1].as_object().unwrap();
        insta::assert_snapshot!(event_lines(event, Look::PLAIN).join("\n"), @r"
        2026-12-24T10:00:11Z  runner_ended               exit_status=1
            one
            \u{1b}[2Jtwo
        ");
    }
}
