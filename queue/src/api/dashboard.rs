//! Everything at a glance, as a page, as text and as JSON. Open to all: nothing secret is in it.

use std::fmt::Write;

use actix_web::{HttpResponse, http::header::ContentType, web::Data};
use maud::{DOCTYPE, Markup, html};
use shared::wire::Estimate;

use super::Desk;
use queue_core::view::{ProfileView, ServerView, View};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse;width:100%;margin-bottom:1.5rem}\
    th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8884;vertical-align:top}\
    .down,.stale{color:#b00020;font-weight:600}small{opacity:.7}:root{color-scheme:light dark}";
/// How often the page loads itself again, in seconds.
const REFRESH_SECONDS: u32 = 5;

/// `GET /`
pub async fn page(desk: Data<Desk>) -> HttpResponse {
    let view = desk.driver.look(|queue, now| queue.view(now));
    HttpResponse::Ok()
        .insert_header(ContentType::html())
        .body(render_page(&view).into_string())
}

/// `GET /dashboard.txt`
pub async fn text(desk: Data<Desk>) -> HttpResponse {
    let view = desk.driver.look(|queue, now| queue.view(now));
    HttpResponse::Ok()
        .insert_header(ContentType::plaintext())
        .body(render_text(&view))
}

/// `GET /dashboard.json`
pub async fn json(desk: Data<Desk>) -> HttpResponse {
    HttpResponse::Ok().json(desk.driver.look(|queue, now| queue.view(now)))
}

fn render_page(view: &View) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta http-equiv="refresh" content=(REFRESH_SECONDS);
                title { (view.waiting_count) " waiting · CI queue" }
                style { (STYLE) }
            }
            body {
                h1 { "CI queue" }
                p {
                    (view.waiting_count) " jobs wait, " (view.served_count) " have their runners."
                    @if !view.is_settled { " The queue has just started and gives out nothing yet." }
                    small { " Also as " a href="/dashboard.txt" { "text" } " and " a href="/dashboard.json" { "JSON" } "." }
                }
                @for profile in &view.profiles { (render_profile(profile)) }
                h2 { "Servers" }
                table {
                    tr { th { "Server" } th { "Health" } th { "Last word" } th { "Idle of target" } }
                    @for server in &view.servers {
                        tr {
                            td { a href=(server.name) { (server.name) } }
                            td class=(server.health) { (server.health) }
                            td { (age(server)) }
                            td {
                                @for profile in &server.profiles {
                                    div { (profile.profile_key) ": " (profile.idle) " of " (profile.target) }
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
        h2 { (profile.profile_key) small { " " (profile.idle) " idle of " (profile.target) ", " (profile.waiting_count) " waiting" } }
        @if !profile.jobs.is_empty() {
            table {
                tr { th { "#" } th { "Job" } th { "Runners" } th { "For" } th { "Waited" } th { "Still" } th { "Why" } }
                @for (index, job) in profile.jobs.iter().enumerate() {
                    tr {
                        td { (index + 1) }
                        td { (job.unique_id) }
                        td { (job.count) }
                        td { (job.qualified_repo) " run " (job.run_id) }
                        td { (seconds(job.waited_seconds)) }
                        td { (still(job.estimate)) }
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
    let mut text = format!(
        "{} jobs wait, {} have their runners\n",
        view.waiting_count, view.served_count
    );
    let mut line = |line: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    if !view.is_settled {
        line(format_args!(
            "the queue has just started and gives out nothing yet"
        ));
    }
    for profile in &view.profiles {
        let (key, idle, target, waiting) = (
            &profile.profile_key,
            profile.idle,
            profile.target,
            profile.waiting_count,
        );
        line(format_args!(
            "\n{key}: {idle} idle of {target}, {waiting} waiting"
        ));
        for (index, job) in profile.jobs.iter().enumerate() {
            line(format_args!(
                "{:>5}. {} x{} for {} run {}, waited {}, still {}: {}",
                index + 1,
                job.unique_id,
                job.count,
                job.qualified_repo,
                job.run_id,
                seconds(job.waited_seconds),
                still(job.estimate),
                job.why,
            ));
        }
    }
    line(format_args!("\nservers:"));
    for server in &view.servers {
        line(format_args!(
            "  {} {} ({})",
            server.name,
            server.health,
            age(server)
        ));
    }
    text
}

fn age(server: &ServerView) -> String {
    server.age_seconds.map_or_else(
        || "never heard of".to_owned(),
        |age| format!("{} ago", seconds(age)),
    )
}

fn still(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "unknown".to_owned(),
        |estimate| {
            format!(
                "{}, at worst {}",
                seconds(estimate.p50_seconds),
                seconds(estimate.p90_seconds)
            )
        },
    )
}

fn seconds(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
