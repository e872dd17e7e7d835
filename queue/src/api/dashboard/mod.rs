//! The dashboard as a page, as text and as JSON. Needs no token, because it contains no secret.

pub(super) mod jobs;
mod page;
mod waits;

use std::{fmt::Write, time::Duration};

use actix_web::{HttpResponse, http::header::ContentType, web::Data};
use daemon::{error::ApiError, journal::Filter, web::Query};
use serde::Deserialize;
use shared::{
    format,
    text::{printable_json, printable_lines},
    wire::PastJob,
};

use queue_core::{JobView, ProfileView, ServerView, View};

use super::{
    AppState,
    history::past_job,
    search::{JobIndex, SearchText},
    snapshot::{Snapshot, Snapshots},
};
use crate::recorder::FINAL_EVENTS;
use page::Page;

/// How many jobs that are over the page shows, and how many are searched for those that match a filter.
const FINISHED_MAX: usize = 20;
const FINISHED_SEARCHED_MAX: usize = 500;

/// The parameters of the page.
#[derive(Deserialize)]
pub struct Parameters {
    /// The filter.
    q: Option<String>,
}

/// `GET /`
pub async fn html(
    state: Data<AppState>,
    snapshots: Data<Snapshots>,
    index: Data<JobIndex>,
    Query(parameters): Query<Parameters>,
) -> Result<HttpResponse, ApiError> {
    let snapshot = Snapshot::latest(&snapshots, &state);
    let text = parameters.q.as_deref().and_then(SearchText::new);
    let Some(text) = text else {
        let render = || {
            page_html(&page(
                &snapshot,
                &state.github_web_url,
                &finished(&state, None),
            ))
        };
        let page = snapshot.page.get_or_init(|| render().into());
        return Ok(daemon::page::response(page.clone()));
    };
    daemon::page::wait_for_search().await?;
    let found = index.search(&state, &text);
    let finished = finished(&state, Some(&text));
    let page = Page {
        search: Some((&text, &found)),
        ..page(&snapshot, &state.github_web_url, &finished)
    };
    Ok(daemon::page::response(page_html(&page)))
}

fn page<'a>(snapshot: &'a Snapshot, web_url: &'a str, finished: &'a [PastJob]) -> Page<'a> {
    Page {
        view: &snapshot.view,
        waits: &snapshot.waits,
        now: snapshot.captured_at,
        finished,
        web_url,
        search: None,
    }
}

/// The jobs that were over last, of those that match.
fn finished(state: &AppState, text: Option<&SearchText>) -> Vec<PastJob> {
    let filter = Filter {
        events: FINAL_EVENTS.to_vec(),
        ..Filter::default()
    };
    let limit = text.map_or(FINISHED_MAX, |_| FINISHED_SEARCHED_MAX);
    let entries = state.journal.newest(filter, limit);
    let is_shown = |job: &PastJob| {
        text.is_none_or(|text| {
            let (repo, profile) = (job.qualified_repo.as_str(), job.profile_key.as_str());
            text.matches(repo, job.run_id.0, profile, job.unique_id.public_id())
        })
    };
    let jobs = entries.iter().filter_map(past_job).filter(is_shown);
    jobs.take(FINISHED_MAX).collect()
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

fn page_html(page: &Page<'_>) -> String {
    printable_lines(&page.render().into_string()).into_owned()
}

fn json_text(snapshot: &Snapshot) -> String {
    printable_json(snapshot.to_json())
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
    let waiting = format::count(view.waiting_count, "job waits", "jobs wait");
    format!("{waiting}, {} assigned", view.assigned_count)
}

fn profile_summary(profile: &ProfileView) -> String {
    let pause = profile.paused.as_ref();
    let pause = pause.map_or_else(String::new, |pause| format!(", paused {pause}"));
    format!(
        "{} idle of {}, {} waiting{pause}",
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
        estimated_wait(job),
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

pub(super) fn estimated_wait(job: &JobView) -> String {
    format::estimate(job.estimate, job.no_estimate_because.as_deref())
}

pub(super) fn duration(seconds: u64) -> String {
    format::duration(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
