//! The tables of jobs on pages: those that wait, those that have runners, those that are over.

use daemon::page::{self, table};
use maud::{Markup, html};
use queue_core::{AssignedView, JobView, ProfileView};
use shared::{
    clock::Timestamp,
    format,
    values::{ProfileKey, PublicId},
    wire::{Estimate, PastJob, TakenFrom},
};

use super::{duration, estimated_wait};

/// How many waiting jobs of a profile are shown as rows, and how many more behind a summary.
const ROWS_MAX: usize = 10;
const FOLDED_ROWS_MAX: usize = 40;
/// How many jobs with runners are shown, and how many that are over; the others behind a summary.
const ASSIGNED_ROWS_MAX: usize = 10;
const FINISHED_ROWS_MAX: usize = 6;
/// From when on a client counts as silent, in seconds. Clients poll every few seconds, or hold a poll.
const SILENT_SECONDS: u64 = 15;

/// What all tables need.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub now: Timestamp,
    /// The base URL of GitHub's pages.
    pub web_url: &'a str,
    /// The relative path to the root of the queue.
    pub root: &'static str,
}

impl Context<'_> {
    /// A job by repository and workflow run, with a link to the run, and its id, with a link to its page.
    pub fn job(&self, repo: &str, run_id: u64, public_id: PublicId) -> Markup {
        html! {
            div {
                a href={ (self.web_url) (repo) "/actions/runs/" (run_id) } { b { (repo) } " run " (run_id) }
                " "
                small { a class="dim" href={ (self.root) "job/" (public_id) } { (public_id) } }
            }
        }
    }

    /// A number of seconds that has passed and is counted on.
    fn counted(&self, seconds: u64) -> Markup {
        page::since(self.now - std::time::Duration::from_secs(seconds), self.now)
    }
}

/// The columns of waiting jobs of one profile.
const WAITING: [&str; 6] = [
    "#",
    "Job",
    "Runners",
    "Waited",
    "Estimated wait",
    "Why it waits",
];
/// Those of any profile: the place is that in its profile queue.
const FOUND: [&str; 7] = [
    "#",
    "Job",
    "Profile",
    "Runners",
    "Waited",
    "Estimated wait",
    "Why it waits",
];

/// The waiting jobs of a profile: the first ones, some more behind a summary, and a link to all.
pub fn waiting(profile: &ProfileView, context: Context<'_>) -> Markup {
    let scale = scale(profile.jobs.iter());
    let rows = |from: usize, count: usize| {
        let jobs = profile.jobs.iter().enumerate();
        let jobs = jobs.skip(from).take(count);
        html! { @for (index, job) in jobs { (waiting_row(index as u64 + 1, None, job, scale, context)) } }
    };
    let shown = profile.jobs.len();
    let folded = shown.saturating_sub(ROWS_MAX).min(FOLDED_ROWS_MAX);
    let hidden = profile.waiting_count.saturating_sub(ROWS_MAX + folded);
    let key = &profile.profile_key;
    html! {
        @if !profile.jobs.is_empty() {
            section id={ "waiting-" (key) } {
                (table(&html! { (key) small { " " (profile.waiting_count) " waiting, in order" } }, &WAITING, &rows(0, ROWS_MAX)))
                @if folded > 0 {
                    details id={ "more-" (key) } {
                        summary { (folded) " more" }
                        (table(&html! { span class="unseen" { "further jobs of " (key) } }, &WAITING, &rows(ROWS_MAX, folded)))
                    }
                }
                @if hidden > 0 {
                    p class="dim" { "and " (hidden) " more; the filter above finds each of them" }
                }
            }
        }
    }
}

/// The waiting jobs that a filter has found, of any profile.
pub fn found(jobs: &[(u64, ProfileKey, JobView)], total: usize, context: Context<'_>) -> Markup {
    let scale = scale(jobs.iter().map(|(_, _, job)| job));
    let rows = html! {
        @for (position, profile, job) in jobs { (waiting_row(*position, Some(profile), job, scale, context)) }
    };
    let caption = html! {
        "Waiting jobs that match"
        small {
            " " (total) @if total > jobs.len() { ", of which " (jobs.len()) " are shown" }
        }
    };
    html! {
        section id="found" {
            @if jobs.is_empty() { p { "No waiting job matches." } }
            @else { (table(&caption, &FOUND, &rows)) }
        }
    }
}

/// The longest estimate, for bars that can be compared.
fn scale<'a>(jobs: impl Iterator<Item = &'a JobView>) -> u64 {
    let p90s = jobs.filter_map(|job| job.estimate);
    let longest = p90s.map(|estimate| estimate.p90_seconds).max();
    longest.unwrap_or(0).max(1)
}

fn waiting_row(
    position: u64,
    profile: Option<&ProfileKey>,
    job: &JobView,
    scale: u64,
    context: Context<'_>,
) -> Markup {
    html! {
        tr id={ "job=" (job.public_id) } data-job=(job.public_id) {
            td class="place number" { (position) }
            td {
                (context.job(&job.qualified_repo, job.run_id, job.public_id))
                @if let Some(lane) = &job.lane { small class="dim" { "lane " (lane) } }
            }
            @if let Some(profile) = profile { td data-label="Profile" { (profile) } }
            td data-label="Runners" { (job.count) }
            td data-label="Waited" { (context.counted(job.waited_seconds)) }
            td class="estimate" data-label="Estimated wait" {
                div { (estimated_wait(job)) (range(job.estimate, scale)) }
            }
            td data-label="Why it waits" {
                div {
                    (job.why)
                    @if job.client_silent_seconds >= SILENT_SECONDS {
                        br;
                        span class="warn" {
                            "its client has been silent for " (context.counted(job.client_silent_seconds))
                        }
                    }
                }
            }
        }
    }
}

/// The estimate as a bar: half of such jobs have their runners at the mark, 90 % at the end of the band.
pub fn range(estimate: Option<Estimate>, scale: u64) -> Markup {
    let percent = |seconds: u64| format!("{:.1}%", seconds as f64 * 100.0 / scale as f64);
    html! {
        @if let Some(Estimate { p50_seconds, p90_seconds, .. }) = estimate {
            svg class="range" aria-hidden="true" {
                rect class="band" x=(percent(p50_seconds)) width=(percent(p90_seconds.saturating_sub(p50_seconds))) height="100%" {}
                rect class="mark" x=(percent(p50_seconds)) width="3" height="100%" {}
            }
        }
    }
}

/// The jobs that have their runners.
pub fn assigned(jobs: &[&AssignedView], count: usize, context: Context<'_>) -> Markup {
    let titles = ["Job", "Profile", "Runner", "Waited", "Has it for", "State"];
    let rows = |from: usize, count: usize| {
        html! {
            @for job in jobs.iter().skip(from).take(count) {
                tr data-key={ "assigned " (job.public_id) } data-job=(job.public_id) {
                    td { (context.job(&job.qualified_repo, job.run_id, job.public_id)) }
                    td data-label="Profile" { (job.profile_key) }
                    td data-label="Runner" { (runners(&job.runners)) }
                    td class="nowrap" data-label="Waited" { @if let Some(waited) = job.waited_seconds { (duration(waited)) } }
                    td data-label="Has it for" { @if let Some(at) = job.assigned_at { (page::since(at, context.now)) } }
                    td data-label="State" { @if job.started_at.is_some() { "runs" } @else { "not started yet" } }
                }
            }
        }
    };
    let more = jobs.len().saturating_sub(ASSIGNED_ROWS_MAX);
    html! {
        section id="assigned" {
            @if jobs.is_empty() { h2 { "Running now" } p class="dim" { "No job has runners." } }
            @else {
                (table(&html! { "Running now" small { " " (count) } }, &titles, &rows(0, ASSIGNED_ROWS_MAX)))
                @if more > 0 {
                    details id="more-assigned" {
                        summary { (more) " more" }
                        (table(&html! { span class="unseen" { "further jobs with runners" } }, &titles, &rows(ASSIGNED_ROWS_MAX, more)))
                    }
                }
            }
        }
    }
}

/// The jobs that are over, newest first.
pub fn finished(jobs: &[PastJob], context: Context<'_>) -> Markup {
    let titles = [
        "Job", "Profile", "Runner", "Waited", "Ran for", "Outcome", "At",
    ];
    let rows = |jobs: &[PastJob]| {
        html! { @for job in jobs { (finished_row(job, context)) } }
    };
    let (shown, folded) = jobs.split_at(jobs.len().min(FINISHED_ROWS_MAX));
    html! {
        section id="finished" {
            @if jobs.is_empty() { h2 { "Recently finished" } p class="dim" { "No job has finished yet." } }
            @else { (table(&html! { "Recently finished" }, &titles, &rows(shown))) }
            @if !folded.is_empty() {
                details id="more-finished" {
                    summary { (folded.len()) " more" }
                    (table(&html! { span class="unseen" { "further finished jobs" } }, &titles, &rows(folded)))
                }
            }
        }
    }
}

fn finished_row(job: &PastJob, context: Context<'_>) -> Markup {
    let public_id = job.unique_id.public_id();
    html! {
        tr data-key={ "over " (public_id) " " (job.ended_at.as_micros()) } data-job=(public_id) {
            td { (context.job(job.qualified_repo.as_str(), job.run_id.0, public_id)) }
            td data-label="Profile" { (job.profile_key) }
            td data-label="Runner" { (runners(&job.runners)) }
            td class="nowrap" data-label="Waited" { (format::elapsed(job.waited())) }
            td class="nowrap" data-label="Ran for" { @if let Some(at) = job.started_at { (format::elapsed(job.ended_at.since(at))) } }
            td class=(outcome_class(&job.outcome)) data-label="Outcome" { (job.outcome) }
            td class="nowrap" data-label="At" { (page::at(job.ended_at)) }
        }
    }
}

fn outcome_class(outcome: &str) -> &'static str {
    match outcome {
        "finished" => "good",
        "withdrawn" => "",
        _ => "bad",
    }
}

/// Each runner with its server: `ci1:8000 · 7`.
pub fn runners(runners: &[TakenFrom]) -> Markup {
    html! {
        @if !runners.is_empty() {
            ul {
                @for TakenFrom { server, runner } in runners {
                    li { a href=(server) { (short_name(server)) } " · " (runner) }
                }
            }
        }
    }
}

/// `ci1:8000` for `http://ci1:8000/`.
pub fn short_name(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.trim_end_matches('/')
}
