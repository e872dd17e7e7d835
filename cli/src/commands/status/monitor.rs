//! Renders a monitor's dashboard as text. Pure.

use shared::{
    clock::Timestamp,
    registration::{Registration, RegistrationStatus},
    wire::{DashboardRunner, MonitorDashboard, RunnerStatus},
};

use super::problems;
use crate::{format, output::printable, table::table, terminal::Look};

/// The longest text of a cell, in characters.
const CELL_MAX: usize = 120;
/// The longest line about what an operator has ordered, in characters.
const LINE_MAX: usize = 1000;

/// The dashboard as text: the problems, the counts of each profile, then every runner.
pub fn render(dashboard: &MonitorDashboard, now: Timestamp, look: Look) -> String {
    let mut parts: Vec<String> = problems::render(&dashboard.problems, now, look)
        .into_iter()
        .collect();
    parts.extend(interventions(dashboard));
    parts.push(profiles(dashboard, look));
    if dashboard.runners.is_empty() {
        parts.push("There are no runners.".to_owned());
    } else {
        parts.push(runners(&dashboard.runners, look));
    }
    parts.join("\n\n")
}

/// What operators have ordered, a line each; `None` if there is nothing.
fn interventions(dashboard: &MonitorDashboard) -> Option<String> {
    let mut lines = Vec::new();
    if let Some(drain) = &dashboard.drain {
        lines.push(format!("The server is drained {drain}"));
    }
    if let Some(set) = &dashboard.target_override {
        lines.push(format!("Temporary targets of {} {}", set.text(), set.order));
    }
    for (profile_key, order) in &dashboard.rebuilds {
        lines.push(format!(
            "The rebuild of the image of {profile_key} was ordered {order}"
        ));
    }
    let lines: Vec<String> = lines.iter().map(|it| printable(it, LINE_MAX)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn profiles(dashboard: &MonitorDashboard, look: Look) -> String {
    let rows: Vec<_> = dashboard
        .profile_runner_counts
        .iter()
        .map(|(key, counts)| {
            [
                key.to_string(),
                counts.target.to_string(),
                counts.idle.to_string(),
                counts.reserved.to_string(),
                counts.busy.to_string(),
                counts.started_or_crashed.to_string(),
                counts.wanted.to_string(),
                counts
                    .image_age
                    .map_or_else(|| "-".to_owned(), format::duration),
            ]
        })
        .collect();
    table(
        look,
        [
            "PROFILE",
            "TARGET",
            "IDLE",
            "RESERVED",
            "BUSY",
            "STARTING",
            "TO CREATE",
            "IMAGE AGE",
        ],
        &rows,
    )
}

fn runners(runners: &[DashboardRunner], look: Look) -> String {
    let rows: Vec<_> = runners
        .iter()
        .map(|shown| {
            let registration = shown.runner.registration.as_ref();
            [
                shown.id.to_string(),
                registration.map_or_else(|| "-".to_owned(), |it| cell(&it.name)),
                runner_status(shown).to_owned(),
                shown
                    .runner
                    .guest_name
                    .as_deref()
                    .map_or_else(|| "-".to_owned(), cell),
                labels(registration),
            ]
        })
        .collect();
    table(look, ["ID", "RUNNER", "STATUS", "GUEST", "LABELS"], &rows)
}

/// The status of a runner, in one word.
pub fn runner_status(shown: &DashboardRunner) -> &'static str {
    let registration = shown.runner.registration.as_ref();
    let known = shown.status.map(RunnerStatus::name);
    known.unwrap_or_else(|| registration_status(registration))
}

/// The status of a runner of an older monitor, which does not report one: what GitHub knows.
fn registration_status(registration: Option<&Registration>) -> &'static str {
    match registration {
        None => "unregistered",
        Some(registration) if registration.busy => "busy",
        Some(registration) => match registration.status {
            RegistrationStatus::Online => "online",
            RegistrationStatus::Offline => "offline",
        },
    }
}

fn labels(registration: Option<&Registration>) -> String {
    let labels = registration.into_iter().flat_map(|it| &it.labels);
    let names: Vec<String> = labels.map(|label| cell(&label.name)).collect();
    names.join(", ")
}

fn cell(text: &str) -> String {
    printable(text, CELL_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(dashboard: Value) -> String {
        render(
            &serde_json::from_value(dashboard).unwrap(),
            Timestamp::from_seconds(100),
            Look::PLAIN,
        )
    }

    #[test]
    fn the_dashboard_has_a_row_for_each_profile_and_each_runner() {
        let created_time = json!({"secs_since_epoch": 1, "nanos_since_epoch": 2});
        let registration = |name: &str, busy: bool| {
            json!({"id": 70, "name": name, "status": "online", "busy": busy,
                "labels": [{"name": "runner:a\u{1b}"}, {"name": "x"}]})
        };
        let runner = |id: u64, registration: Value, guest: Value| {
            json!({"id": id, "created_time": created_time, "registration": registration,
                "guest_name": guest, "ipv4_address": null})
        };
        let dashboard = json!({
            "profile_runner_counts": {
                "linux": {"target": 2, "healthy": 2, "started_or_crashed": 1, "idle": 1, "reserved": 3,
                    "busy": 4, "excess_healthy": 0, "wanted": 5, "image_age": {"secs": 7200, "nanos": 0}},
                "macos": {"target": 0, "healthy": 0, "started_or_crashed": 0, "idle": 0, "reserved": 0,
                    "busy": 0, "excess_healthy": 0, "wanted": 0, "image_age": null}},
            "runners": [
                {"id": 7, "screenshot_url": null, "status": "reserved",
                 "runner": runner(7, registration("ci-runner-linux.7@a", true), json!("guest-7"))},
                {"id": 8, "runner": runner(8, registration("ci-runner-linux.8@a", true), Value::Null)},
                {"id": 9, "runner": runner(9, Value::Null, Value::Null)}],
        });
        insta::assert_snapshot!(text(dashboard), @"
        PROFILE  TARGET  IDLE  RESERVED  BUSY  STARTING  TO CREATE  IMAGE AGE
        linux    2       1     3         4     1         5          2 h
        macos    0       0     0         0     0         0          -

        ID  RUNNER               STATUS        GUEST    LABELS
        7   ci-runner-linux.7@a  reserved      guest-7  runner:a, x
        8   ci-runner-linux.8@a  busy          -        runner:a, x
        9   -                    unregistered  -
        ");
    }

    #[test]
    fn problems_come_first() {
        let problem =
            json!({"code": "a", "subject": "b", "cause": "c", "remedy": "d", "since": 5_000_000});
        let dashboard = json!({"profile_runner_counts": {}, "runners": [], "problems": [problem]});
        let text = text(dashboard);
        let first = "1 problem:\n  warning: b: c\n    remedy: d\n    a for 2 min\n\nPROFILE";
        assert!(text.starts_with(first), "{text}");
    }

    #[test]
    fn a_monitor_without_runners_has_a_sentence_instead_of_a_table() {
        let dashboard = json!({"profile_runner_counts": {}, "runners": []});
        assert!(text(dashboard).ends_with("\n\nThere are no runners."));
    }
}
