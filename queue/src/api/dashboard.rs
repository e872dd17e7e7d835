//! The dashboard as a page, as text and as JSON. Needs no token, because it contains no secret.

use std::{fmt::Write, time::Duration};

use actix_web::{HttpResponse, http::header::ContentType, web::Data};
use daemon::problems;
use maud::{DOCTYPE, Markup, html};
use shared::{
    clock::Timestamp,
    format,
    text::{printable_json, printable_lines},
    wire::Estimate,
};

use queue_core::{JobView, ProfileView, ServerView, View};

use super::{
    AppState,
    snapshot::{Snapshot, Snapshots},
};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse;width:100%;margin-bottom:1.5rem}\
    th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8884;vertical-align:top}\
    .down,.stale,.unauthorised,.problems h2,.error strong{color:light-dark(#b00020,#ff8a95);font-weight:600}small{opacity:.7}:root{color-scheme:light dark}";
/// Content security policy: the page may display itself.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                              form-action 'none'; frame-ancestors 'none'";
/// How often the page reloads itself, in seconds.
const REFRESH_SECONDS: u32 = 5;

/// `GET /`
pub async fn page(state: Data<AppState>, snapshots: Data<Snapshots>) -> HttpResponse {
    let snapshot = Snapshot::latest(&snapshots, &state);
    let render = || page_html(&snapshot.view, snapshot.captured_at).into();
    daemon::web::page(snapshot.page.get_or_init(render).clone(), CONTENT_POLICY)
}

/// `GET /dashboard.txt`
pub async fn text(state: Data<AppState>, snapshots: Data<Snapshots>) -> HttpResponse {
    let snapshot = Snapshot::latest(&snapshots, &state);
    let render = || render_text(&snapshot.view).into();
    HttpResponse::Ok()
        .insert_header(ContentType::plaintext())
        .body(snapshot.text.get_or_init(render).clone())
}

/// `GET /dashboard.json`
pub async fn json(state: Data<AppState>, snapshots: Data<Snapshots>) -> HttpResponse {
    let snapshot = Snapshot::latest(&snapshots, &state);
    let render = || json_text(&snapshot).into();
    HttpResponse::Ok()
        .insert_header(ContentType::json())
        .body(snapshot.json.get_or_init(render).clone())
}

fn page_html(view: &View, now: Timestamp) -> String {
    printable_lines(&render_page(view, now).into_string()).into_owned()
}

fn json_text(snapshot: &Snapshot) -> String {
    printable_json(snapshot.to_json())
}

fn render_page(view: &View, now: Timestamp) -> Markup {
    let all_problems = view.all_problems();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta http-equiv="refresh" content=(REFRESH_SECONDS);
                title { (problems::title(&all_problems, &format!("{} waiting · CI queue", view.waiting_count))) }
                style { (STYLE) }
            }
            body {
                h1 { "CI queue" }
                (problems::render(&all_problems, now))
                p {
                    (summary(view)) "."
                    @if !view.is_dispatching { " " (GRACE_PERIOD) "." }
                    small { " Also as " a href="dashboard.txt" { "text" } " and " a href="dashboard.json" { "JSON" } "." }
                }
                @for profile in &view.profiles { (render_profile(profile)) }
                h2 { "Servers" }
                table {
                    tr { th { "Server" } th { "Health" } th { "Last seen" } th { "Idle of target" } }
                    @for server in &view.servers {
                        tr {
                            td {
                                a href=(server.name) { (server.name) }
                                @if server.more_problems > 0 {
                                    small { " and " (server.more_problems) " more problems" }
                                }
                            }
                            td class=(server.health) { (health(server)) }
                            td { (last_seen(server)) }
                            td {
                                @for profile in &server.profiles {
                                    div {
                                        (profile.profile_key) ": " (profile.idle) " of " (format::of_target(profile.target, profile.missing))
                                        @if let Some(because) = &profile.missing_because {
                                            br; small { (because) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn render_profile(profile: &ProfileView) -> Markup {
    html! {
        h2 { (profile.profile_key) small { " " (profile_summary(profile)) } }
        @if !profile.jobs.is_empty() {
            table {
                tr {
                    th { "Position" } th { "Job" } th { "Runners" } th { "Workflow run" }
                    th { "Waited" } th { "Estimated wait" } th { "Why it waits" }
                }
                @for (index, job) in profile.jobs.iter().enumerate() {
                    tr {
                        td { (index + 1) }
                        td { (job.public_id) }
                        td { (job.count) }
                        td { (job.qualified_repo) " run " (job.run_id) }
                        td { (duration(job.waited_seconds)) }
                        td { (estimated_wait(job.estimate)) }
                        td { (job.why) }
                    }
                }
                @if profile.waiting_count > profile.jobs.len() {
                    tr { td colspan="7" { "and " (profile.waiting_count - profile.jobs.len()) " more" } }
                }
            }
        }
    }
}

fn render_text(view: &View) -> String {
    let mut text = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", printable_lines(&line.to_string()));
    };
    for problem in view.all_problems() {
        line(format_args!(
            "Problem: {problem} ({}, {})",
            problem.severity, problem.code
        ));
    }
    line(format_args!("{}", summary(view)));
    if !view.is_dispatching {
        line(format_args!("{GRACE_PERIOD}"));
    }
    for profile in &view.profiles {
        line(format_args!(
            "\n{}: {}",
            profile.profile_key,
            profile_summary(profile)
        ));
        for (index, job) in profile.jobs.iter().enumerate() {
            line(format_args!("{:>5}. {}", index + 1, job_line(job)));
        }
    }
    line(format_args!("\nServers:"));
    for server in &view.servers {
        line(format_args!(
            "  {} {} (last seen: {})",
            server.name,
            health(server),
            last_seen(server)
        ));
    }
    text
}

/// Shown during the startup grace period (setting `settle`).
const GRACE_PERIOD: &str = "The queue has just started and assigns no runners yet";

fn summary(view: &View) -> String {
    let (waiting, assigned) = (view.waiting_count, view.assigned_count);
    let wait = if waiting == 1 {
        "job waits"
    } else {
        "jobs wait"
    };
    let have = if assigned == 1 { "has" } else { "have" };
    format!("{waiting} {wait}, {assigned} {have} runners")
}

fn profile_summary(profile: &ProfileView) -> String {
    format!(
        "{} idle of {}, {} waiting",
        profile.idle,
        format::of_target(profile.target, profile.missing),
        profile.waiting_count
    )
}

fn job_line(job: &JobView) -> String {
    format!(
        "{} x{} for {} run {}, waited {}, estimated wait {}: {}",
        job.public_id,
        job.count,
        job.qualified_repo,
        job.run_id,
        duration(job.waited_seconds),
        estimated_wait(job.estimate),
        job.why,
    )
}

fn health(server: &ServerView) -> &'static str {
    match server.health {
        "fresh" => "OK",
        "unauthorised" => "refuses the API token",
        other => other,
    }
}

fn last_seen(server: &ServerView) -> String {
    server.age_seconds.map_or_else(
        || "never".to_owned(),
        |age| format!("{} ago", duration(age)),
    )
}

fn estimated_wait(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "unknown".to_owned(),
        |estimate| {
            let (p50, p90) = (
                duration(estimate.p50_seconds),
                duration(estimate.p90_seconds),
            );
            format!("{p50}, 90 % within {p90}")
        },
    )
}

fn duration(seconds: u64) -> String {
    format::duration(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
