//! Renders a queue's dashboard as text. Pure.

use std::time::Duration;

use shared::clock::Timestamp;

use super::problems;
use crate::{
    client::{QueueDashboard, QueueProfile, QueueServer},
    format,
    output::printable,
    table::{Cell, table},
    terminal::{Colour, Look},
};

/// The longest text of a cell, in characters.
const CELL_MAX: usize = 120;

/// The longest reason why a job waits, in characters. It names several servers at most.
const WHY_MAX: usize = 500;

/// The dashboard as text: the problems, a summary, the servers, the profiles, and the waiting jobs.
pub fn render(dashboard: &QueueDashboard, now: Timestamp, look: Look) -> String {
    let captured_at = dashboard.captured_at_micros.unwrap_or(now);
    let problems = problems::render(&dashboard.all_problems(), captured_at, look);
    let mut parts: Vec<String> = problems.into_iter().collect();
    parts.push(summary(dashboard));
    parts.extend(interventions(dashboard));
    parts.extend([servers(&dashboard.servers, look)]);
    if !dashboard.profiles.is_empty() {
        parts.push(profiles(&dashboard.profiles, look));
    }
    let has_jobs = |profile: &&QueueProfile| !profile.jobs.is_empty();
    parts.extend(
        dashboard
            .profiles
            .iter()
            .filter(has_jobs)
            .map(|it| jobs(it, look)),
    );
    parts.join("\n\n")
}

fn summary(dashboard: &QueueDashboard) -> String {
    let waiting = dashboard.waiting_count;
    let verb = if waiting == 1 { "waits" } else { "wait" };
    let mut summary = format!(
        "{} {verb}, {} assigned.",
        format::count(waiting, "job", "jobs"),
        dashboard.assigned_count
    );
    if !dashboard.is_dispatching {
        summary += " The queue has just started and assigns no runners yet.";
    }
    summary
}

/// What operators have paused, drained and overridden, a line each; `None` if there is nothing.
fn interventions(dashboard: &QueueDashboard) -> Option<String> {
    let profiles = dashboard.profiles.iter().filter_map(|profile| {
        let pause = profile.paused.as_ref()?;
        Some(format!("{} is paused {pause}", profile.profile_key))
    });
    let servers = dashboard.servers.iter().filter_map(|server| {
        let drain = server.drain.as_ref()?;
        Some(format!("{} is drained {drain}", server.name))
    });
    let overrides = dashboard.servers.iter().filter_map(|server| {
        let set = server.target_override.as_ref()?;
        let (targets, order) = (set.text(), &set.order);
        Some(format!(
            "{} has temporary targets of {targets} {order}",
            server.name
        ))
    });
    let lines = profiles
        .chain(servers)
        .chain(overrides)
        .map(|line| printable(&line, WHY_MAX));
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn servers(servers: &[QueueServer], look: Look) -> String {
    let rows: Vec<_> = servers
        .iter()
        .map(|server| {
            let idle: Vec<String> = server
                .profiles
                .iter()
                .map(|profile| {
                    let key = cell(&profile.profile_key);
                    let of = format::of_target(profile.target, profile.missing);
                    format!("{key} {} of {of}", profile.idle)
                })
                .collect();
            let seen = server
                .age_seconds
                .map_or_else(|| "never".to_owned(), |age| format!("{} ago", seconds(age)));
            [
                Cell::from(cell(&server.name)),
                health(&server.health),
                seen.into(),
                idle.join(", ").into(),
            ]
        })
        .collect();
    table(look, ["SERVER", "HEALTH", "LAST SEEN", "IDLE"], &rows)
}

fn profiles(profiles: &[QueueProfile], look: Look) -> String {
    let rows: Vec<_> = profiles
        .iter()
        .map(|profile| {
            [
                cell(&profile.profile_key),
                profile.busy.to_string(),
                profile.reserved.to_string(),
                profile.idle.to_string(),
                profile.starting.to_string(),
                format::of_target(profile.target, profile.missing),
                profile.waiting_count.to_string(),
            ]
        })
        .collect();
    table(
        look,
        [
            "PROFILE", "BUSY", "RESERVED", "IDLE", "STARTING", "TARGET", "WAITING",
        ],
        &rows,
    )
}

fn jobs(profile: &QueueProfile, look: Look) -> String {
    let rows: Vec<_> = profile
        .jobs
        .iter()
        .enumerate()
        .map(|(index, job)| {
            [
                (index + 1).to_string(),
                cell(&job.public_id),
                job.count.to_string(),
                format!("{} {}", cell(&job.qualified_repo), job.run_id),
                seconds(job.waited_seconds),
                format::estimate(job.estimate, job.no_estimate_because.as_deref()),
                printable(&job.why, WHY_MAX),
            ]
        })
        .collect();
    let key = cell(&profile.profile_key);
    let mut text = format!("Waiting for {key}:\n");
    text += &table(
        look,
        [
            "#",
            "JOB",
            "RUNNERS",
            "FOR RUN",
            "WAITED",
            "ESTIMATED WAIT",
            "REASON",
        ],
        &rows,
    );
    let more = profile.waiting_count.saturating_sub(profile.jobs.len());
    if more > 0 {
        text += &format!("\nand {more} more");
    }
    text
}

/// The health as pages show it.
fn health(health: &str) -> Cell {
    match health {
        "fresh" => Cell::coloured("OK", Colour::Good),
        other => Cell::coloured(cell(other), Colour::Error),
    }
}

fn cell(text: &str) -> String {
    printable(text, CELL_MAX)
}

fn seconds(seconds: u64) -> String {
    format::duration(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(dashboard: serde_json::Value) -> String {
        render(
            &serde_json::from_value(dashboard).unwrap(),
            Timestamp::default(),
            Look::PLAIN,
        )
    }

    #[test]
    fn the_dashboard_has_servers_profiles_and_waiting_jobs() {
        let dashboard = json!({
            "is_dispatching": true, "waiting_count": 3, "assigned_count": 4,
            "profiles": [{"profile_key": "linux", "paused": {"since": 1_000_000, "note": "new\u{1b} disk"}, "target": 7, "missing": 2, "idle": 0, "busy": 4, "reserved": 1, "waiting_count": 3, "jobs": [
                {"public_id": "job-a", "count": 1, "qualified_repo": "delan/servo", "run_id": 123,
                 "waited_seconds": 61, "estimate": {"p50_seconds": 90, "p90_seconds": 200},
                 "why": "it is next, and no runner of this profile is idle: 4 are busy"},
                {"unique_id": "b", "count": 2, "qualified_repo": "a/b", "run_id": 4,
                 "waited_seconds": 5, "estimate": null, "no_estimate_because": "no job has finished yet",
                 "why": "one job is before it\u{1b}[2J"}]},
                {"profile_key": "macos", "target": 1, "idle": 1, "waiting_count": 0, "jobs": []}],
            "servers": [
                {"name": "http://ci0/", "health": "fresh", "age_seconds": 2,
                 "target_override": {"targets": {"macos": 3}, "since": 3_000_000, "note": "a fair", "author": "alice"},
                 "profiles": [{"profile_key": "linux", "target": 5, "idle": 0},
                              {"profile_key": "macos", "target": 1, "idle": 1}]},
                {"name": "http://ci1/", "health": "down", "age_seconds": 90, "drain": {"since": 2_000_000, "note": "", "author": "bob"}, "profiles":
                 [{"profile_key": "linux", "target": 2, "missing": 2, "idle": 0}]}],
        });
        insta::assert_snapshot!(text(dashboard), @"
        3 jobs wait, 4 assigned.

        linux is paused by an operator since 1970-01-01T00:00:01Z: new disk
        http://ci1/ is drained by bob since 1970-01-01T00:00:02Z
        http://ci0/ has temporary targets of 3 of macos by alice since 1970-01-01T00:00:03Z: a fair

        SERVER       HEALTH  LAST SEEN  IDLE
        http://ci0/  OK      2 s ago    linux 0 of 5, macos 1 of 1
        http://ci1/  down    2 min ago  linux 0 of 2 (2 missing)

        PROFILE  BUSY  RESERVED  IDLE  STARTING  TARGET         WAITING
        linux    4     1         0     0         7 (2 missing)  3
        macos    0     0         1     0         1              0

        Waiting for linux:
        #  JOB    RUNNERS  FOR RUN          WAITED  ESTIMATED WAIT                            REASON
        1  job-a  1        delan/servo 123  1 min   about 2 min; 9 of 10 within 4 min         it is next, and no runner of this profile is idle: 4 are busy
        2  b      2        a/b 4            5 s     unknown, because no job has finished yet  one job is before it[2J
        and 1 more
        ");
    }

    #[test]
    fn the_reason_of_a_job_is_not_cut() {
        let why = format!(
            "it is next: {}the end",
            "2 are missing because ci0 is down, ".repeat(10)
        );
        let job = json!({"public_id": "a", "count": 1, "qualified_repo": "a/b", "run_id": 4,
            "waited_seconds": 5, "estimate": null, "why": why});
        let dashboard = json!({"is_dispatching": true, "waiting_count": 1, "profiles": [
            {"profile_key": "linux", "target": 1, "idle": 0, "waiting_count": 1, "jobs": [job]}], "servers": []});
        assert!(text(dashboard).contains(&why));
    }

    #[test]
    fn problems_come_first_with_times_by_the_clock_of_the_queue() {
        let problem = json!({"code": "a", "severity": "error", "subject": "b", "cause": "c", "remedy": "d",
            "since": 5_000_000});
        let of_server =
            json!({"code": "e", "subject": "f", "cause": "g", "remedy": "h", "since": 5_000_000});
        let server = json!({"name": "http://ci1/", "health": "fresh", "problems": [of_server]});
        let dashboard = json!({"is_dispatching": true, "waiting_count": 1, "assigned_count": 0,
            "profiles": [], "servers": [server], "problems": [problem], "captured_at_micros": 15_000_000});
        let text = text(dashboard);
        let first = "2 problems:\n  error: b: c\n    remedy: d\n    a for 10 s\n  \
            warning: http://ci1/: f: g\n    remedy: h\n    e for 10 s\n\n1 job waits";
        assert!(text.starts_with(first), "{text}");
    }

    #[test]
    fn a_queue_in_its_startup_grace_period_is_marked() {
        let dashboard = json!({"is_dispatching": false, "waiting_count": 1, "assigned_count": 0,
            "profiles": [], "servers": []});
        assert_eq!(
            text(dashboard),
            "1 job waits, 0 assigned. The queue has just started and assigns no runners yet.\n\n\
             SERVER  HEALTH  LAST SEEN  IDLE"
        );
    }
}
