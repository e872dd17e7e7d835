//! The dashboard as a page for people: what is wrong, what each profile does, which jobs wait and why, and
//! the servers.

use std::collections::BTreeMap;

use daemon::page::{Capacity, Frame, bar};
use maud::{Markup, html};
use queue_core::{JobView, ProfileView, ServerView, View};
use shared::{clock::Timestamp, format, wire::Estimate};

use super::{GRACE_PERIOD, duration, estimated_wait, health, last_seen, summary};

/// How many waiting jobs of a profile are shown as squares.
const SQUARES_MAX: usize = 100;
/// How many waiting jobs of a profile are shown as rows, and how many more behind a summary.
const ROWS_MAX: usize = 20;
const FOLDED_ROWS_MAX: usize = 30;

/// The whole page.
pub fn render(view: &View, now: Timestamp) -> Markup {
    let problems = view.all_problems();
    let frame = Frame {
        root: "",
        name: "CI queue",
        title: &format!("{} waiting", view.waiting_count),
        summary: html! { (summary(view)) },
        tools: html! {},
        problems: &problems,
        content: html! {
            @if !view.is_dispatching { p class="note" { (GRACE_PERIOD) "." } }
            @if !view.profiles.is_empty() {
                div class="grid" { @for profile in &view.profiles { (profile_card(profile)) } }
            }
            @for profile in &view.profiles { (waiting_jobs(profile)) }
            (servers(view))
        },
        footer: html! {
            "Also as " a href="dashboard.txt" { "text" } " and " a href="dashboard.json" { "JSON" } "."
        },
        now,
    };
    frame.render()
}

/// What a profile does, at a glance.
fn profile_card(profile: &ProfileView) -> Markup {
    let capacity = Capacity {
        busy: profile.busy,
        reserved: profile.reserved,
        idle: profile.idle,
        starting: profile.starting,
        missing: profile.missing,
    };
    let key = &profile.profile_key;
    html! {
        section class="profile" data-key={ "card " (key) } aria-label={ "Profile " (key) } {
            h2 { (key) small { " " (format::of_target(profile.target, profile.missing)) " runners" } }
            p class="big" {
                @if profile.waiting_count == 0 { "no job waits" }
                @else { a href={ "#waiting-" (key) } { (profile.waiting_count) " waiting" } }
            }
            p class="dim" { (outlook(profile)) }
            (bar(&capacity))
            (squares(profile))
        }
    }
}

/// When the next and the last job of a profile will have their runners.
fn outlook(profile: &ProfileView) -> String {
    let about = |job: Option<&JobView>| {
        let estimate = job.and_then(|job| job.estimate);
        estimate.map(|estimate| duration(estimate.p50_seconds))
    };
    let (first, last) = (profile.jobs.first(), profile.jobs.last());
    let is_complete = profile.jobs.len() == profile.waiting_count;
    match (about(first), about(last.filter(|_| is_complete))) {
        _ if profile.jobs.is_empty() && profile.idle > 0 => "a runner is idle".to_owned(),
        _ if profile.jobs.is_empty() => "no runner is idle".to_owned(),
        (Some(next), Some(empty)) => format!("next in about {next} · empty in about {empty}"),
        (Some(next), None) => format!("next in about {next}"),
        (None, _) => "no estimate yet".to_owned(),
    }
}

/// The waiting jobs of a profile, in order, one square each.
fn squares(profile: &ProfileView) -> Markup {
    let shown = profile.jobs.iter().take(SQUARES_MAX);
    let rest = profile.waiting_count.saturating_sub(SQUARES_MAX);
    html! {
        @if !profile.jobs.is_empty() {
            ol class="squares" aria-label="waiting jobs in order" {
                @for (index, job) in shown.enumerate() {
                    li data-key={ "square " (job.public_id) } data-job=(job.public_id) {
                        a class=(age_class(job)) href={ "#job=" (job.public_id) } {
                            span class="tip" {
                                (index + 1) ". " (job.qualified_repo) " run " (job.run_id)
                                ", waited " (duration(job.waited_seconds))
                                ", estimated wait " (estimated_wait(job.estimate))
                            }
                        }
                    }
                }
                @if rest > 0 { li class="dim" { "+ " (rest) } }
            }
        }
    }
}

/// The colour of a square: how long its job has waited.
fn age_class(job: &JobView) -> &'static str {
    match job.waited_seconds {
        0..60 => "age-0",
        60..300 => "age-1",
        300..900 => "age-2",
        900..3600 => "age-3",
        _ => "age-4",
    }
}

/// The waiting jobs of a profile as a table.
fn waiting_jobs(profile: &ProfileView) -> Markup {
    let p90s = profile.jobs.iter().filter_map(|job| job.estimate);
    let scale = p90s.map(|estimate| estimate.p90_seconds).max();
    let scale = scale.unwrap_or(0).max(1);
    let rows = |from: usize, count: usize| {
        let jobs = profile.jobs.iter().enumerate();
        let jobs = jobs.skip(from).take(count);
        html! { @for (index, job) in jobs { (job_row(index + 1, job, scale)) } }
    };
    let folded = profile
        .jobs
        .len()
        .saturating_sub(ROWS_MAX)
        .min(FOLDED_ROWS_MAX);
    let hidden = profile.waiting_count - (ROWS_MAX + folded).min(profile.waiting_count);
    let key = &profile.profile_key;
    html! {
        @if !profile.jobs.is_empty() {
            section id={ "waiting-" (key) } {
                table class="cards" {
                    caption { (key) small { " " (profile.waiting_count) " waiting, in order" } }
                    (job_head())
                    tbody { (rows(0, ROWS_MAX)) }
                }
                @if folded > 0 {
                    details data-key={ "more " (key) } {
                        summary { (folded) " more" }
                        table class="cards" {
                            caption class="unseen" { "further jobs of " (key) }
                            (job_head())
                            tbody { (rows(ROWS_MAX, folded)) }
                        }
                    }
                }
                @if hidden > 0 { p class="dim" { "and " (hidden) " more" } }
            }
        }
    }
}

fn job_head() -> Markup {
    html! {
        thead {
            tr {
                @for (class, title) in [("number", "#"), ("", "Job"), ("number", "Runners"), ("number", "Waited"), ("", "Estimated wait"), ("", "Why it waits")] {
                    th scope="col" class=(class) { (title) }
                }
            }
        }
    }
}

fn job_row(position: usize, job: &JobView, scale: u64) -> Markup {
    html! {
        tr id={ "job=" (job.public_id) } data-job=(job.public_id) {
            td class="place number" { (position) }
            td { (job.qualified_repo) " run " (job.run_id) " " small { (job.public_id) } }
            td class="number" data-label="Runners" { (job.count) }
            td class="number" data-label="Waited" { (duration(job.waited_seconds)) }
            td class="estimate" data-label="Estimated wait" { div { (estimated_wait(job.estimate)) (range(job.estimate, scale)) } }
            td data-label="Why it waits" { (job.why) }
        }
    }
}

/// The estimate as a bar: the mark is what half of such jobs wait, the band ends where 90 % have runners.
fn range(estimate: Option<Estimate>, scale: u64) -> Markup {
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

fn servers(view: &View) -> Markup {
    html! {
        section id="servers" {
            table class="cards" {
                caption { "Servers" }
                thead {
                    tr {
                        @for title in ["Server", "Health", "Last seen", "Idle of target", "Note"] {
                            th scope="col" { (title) }
                        }
                    }
                }
                tbody { @for server in &view.servers { (server_row(server)) } }
            }
        }
    }
}

fn server_row(server: &ServerView) -> Markup {
    let class = match server.health {
        "fresh" => "good",
        "stale" => "warn",
        _ => "bad",
    };
    html! {
        tr data-key={ "server " (server.name) } {
            td { a href=(server.name) { (short_name(&server.name)) } }
            td class=(class) data-label="Health" { (health(server)) }
            td class="nowrap" data-label="Last seen" { (last_seen(server)) }
            td data-label="Idle of target" {
                ul {
                    @for profile in &server.profiles {
                        li {
                            (profile.profile_key) ": " (profile.idle) " of "
                            (format::of_target(profile.target, profile.missing))
                        }
                    }
                }
            }
            td data-label="Note" { (note(server)) }
        }
    }
}

/// Why runners are missing, each reason once; and how many problems are not listed at the top.
fn note(server: &ServerView) -> Markup {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for profile in &server.profiles {
        if let Some(reason) = &profile.missing_because {
            let profiles = reasons.entry(reason).or_default();
            profiles.push(profile.profile_key.to_string());
        }
    }
    let is_of_all = reasons.len() == 1;
    html! {
        @if !reasons.is_empty() || server.more_problems > 0 {
            ul {
                @for (reason, profiles) in &reasons {
                    li { @if !is_of_all { (profiles.join(", ")) ": " } (reason) }
                }
                @if server.more_problems > 0 {
                    li { (format::count(server.more_problems, "more problem", "more problems")) " on its page" }
                }
            }
        }
    }
}

/// `ci1:8000` for `http://ci1:8000/`.
fn short_name(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.trim_end_matches('/')
}
