//! The dashboard as a page for people: what is wrong, what each profile does, which jobs wait and why, which
//! have runners, which are over, and the servers.

use std::collections::BTreeMap;

use daemon::page::{self, Actions, Button, Capacity, Frame, bar, table};
use maud::{Markup, html};
use queue_core::{AssignedView, JobView, ProfileView, ServerView, View};
use shared::{clock::Timestamp, format, values::ProfileKey, wire::PastJob};

use super::{
    GRACE_PERIOD, duration, estimated_wait, health,
    jobs::{self, Context, short_name},
    last_seen, summary, waits,
};
use crate::{
    api::search::{Found, SearchText},
    waits::ProfileWaits,
};

/// How many waiting jobs of a profile are shown as squares.
const SQUARES_MAX: usize = 100;

/// What the page shows.
pub struct Page<'a> {
    pub view: &'a View,
    /// How long jobs waited lately.
    pub waits: &'a BTreeMap<ProfileKey, ProfileWaits>,
    pub now: Timestamp,
    /// The jobs that are over, newest first.
    pub finished: &'a [PastJob],
    /// The base URL of GitHub's pages.
    pub web_url: &'a str,
    /// What was looked for, and the waiting jobs that match.
    pub search: Option<(&'a SearchText, &'a Found)>,
}

impl Page<'_> {
    /// The whole page.
    pub fn render(&self) -> Markup {
        let view = self.view;
        let problems = view.all_problems();
        let frame = Frame {
            root: "",
            name: "CI queue",
            title: &format!("{} waiting", view.waiting_count),
            host: "",
            summary: html! { (summary(view)) },
            tools: filter_form(self.search.map_or("", |(text, _)| text.as_str())),
            problems: &problems,
            content: self.content(),
            footer: html! {
                "Also as " a href="dashboard.txt" { "text" } " and " a href="dashboard.json" { "JSON" } "."
                (Actions::reload().render())
            },
            now: self.now,
        };
        frame.render()
    }

    fn content(&self) -> Markup {
        let view = self.view;
        let context = Context {
            now: self.now,
            web_url: self.web_url,
            root: "",
        };
        let assigned = self.assigned();
        let count = match self.search {
            Some(_) => assigned.len(),
            None => view.assigned_count,
        };
        html! {
            @if !view.is_dispatching { p class="note" { (GRACE_PERIOD) "." } }
            @if !view.profiles.is_empty() {
                div class="grid" { @for profile in &view.profiles { (profile_card(profile)) } }
            }
            @if let Some((text, found)) = self.search {
                p class="note" {
                    "Only jobs that match “" (text.as_str()) "”. " a href="./" { "Show all" }
                }
                (jobs::found(&found.jobs, found.total, context))
            } @else {
                @for profile in &view.profiles { (jobs::waiting(profile, context)) }
            }
            (jobs::assigned(&assigned, count, context))
            (jobs::finished(self.finished, context))
            (waits::section(self.waits, self.now))
            (servers(view))
        }
    }

    /// The jobs with runners that match.
    fn assigned(&self) -> Vec<&AssignedView> {
        let is_shown = |job: &&AssignedView| {
            self.search.is_none_or(|(text, _)| {
                let profile_key = job.profile_key.as_str();
                text.matches(&job.qualified_repo, job.run_id, profile_key, job.public_id)
            })
        };
        self.view.assigned.iter().filter(is_shown).collect()
    }
}

/// The filter, which is part of the address of the page.
fn filter_form(text: &str) -> Markup {
    html! {
        form role="search" action="./" {
            input type="search" name="q" value=(text) maxlength="200" aria-label="Filter jobs"
                placeholder="Repository, run, profile or job id";
            button { "Filter" }
        }
    }
}

/// What a profile does, at a glance.
fn profile_card(profile: &ProfileView) -> Markup {
    let mut capacity = Capacity {
        busy: profile.busy,
        reserved: profile.reserved,
        idle: profile.idle,
        starting: profile.starting,
        missing: profile.missing,
        absent: 0,
    };
    capacity.absent = profile.target.saturating_sub(capacity.total());
    let key = &profile.profile_key;
    html! {
        section class="profile" data-key={ "card " (key) } aria-label={ "Profile " (key) } {
            h2 { (key) small { " " (format::count(profile.target, "runner", "runners")) } }
            p class="big" {
                @if profile.waiting_count == 0 { "no job waits" }
                @else { a href={ "#waiting-" (key) } { (profile.waiting_count) " waiting" } }
            }
            @if let Some(pause) = &profile.paused {
                p class="note" {
                    "Paused " (page::order(pause))
                }
            } @else { p class="dim" { (outlook(profile)) } }
            (bar(&capacity))
            (squares(profile))
            (pause_actions(profile).render())
        }
    }
}

/// Pausing a profile, or resuming it.
fn pause_actions(profile: &ProfileView) -> Actions<'static> {
    let path = format!("profile/{}/pause", profile.profile_key);
    let (title, button) = match &profile.paused {
        None => (
            "Pause …",
            Button {
                label: "Pause",
                method: "POST",
                path,
                sends: &["note"],
                done: "It is paused.",
                ..Button::default()
            },
        ),
        Some(_) => (
            "Resume …",
            Button {
                label: "Resume",
                method: "DELETE",
                path,
                done: "It is resumed.",
                ..Button::default()
            },
        ),
    };
    Actions {
        key: format!("profile {}", profile.profile_key),
        title,
        buttons: vec![button],
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
                        a class=(age_class(job)) href={ "job/" (job.public_id) } {
                            span class="tip" {
                                (index + 1) ". " (job.qualified_repo) " run " (job.run_id)
                                ", waited " (duration(job.waited_seconds))
                                ", estimated wait " (estimated_wait(job))
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

fn servers(view: &View) -> Markup {
    let titles = ["Server", "Health", "Last seen", "Idle of target", "Note"];
    let rows = html! { @for server in &view.servers { (server_row(server)) } };
    html! { section id="servers" { (table(&html! { "Servers" }, &titles, &rows)) } }
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
                            @if let Some(reason) = profile.target_reason {
                                ", because " (reason.text())
                            }
                        }
                    }
                }
            }
            td data-label="Note" { (note(server)) }
        }
    }
}

/// What an operator has ordered there; why runners are missing, each reason once; and how many problems are not listed at the top.
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
        @if server.drain.is_some() || server.target_override.is_some() || !reasons.is_empty() || server.more_problems > 0 {
            ul {
                @if let Some(drain) = &server.drain { li.warn { "Drained " (page::order(drain)) } }
                @if let Some(set) = &server.target_override {
                    li.warn { "Temporary targets of " (set.text()) ", set " (page::order(&set.order)) }
                }
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
