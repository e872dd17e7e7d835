//! The state of this server as a page for people. Public: it contains no secret.
//!
//! A script in the page reloads its live part. Nothing is loaded from other servers.

use actix_web::{
    HttpResponse,
    web::{Bytes, Data},
};
use daemon::problems;
use github::ApiStatus;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use shared::{
    clock::Timestamp,
    software::Support,
    wire::{DashboardRunner, RunnerStatus},
};

use super::{AppState, snapshot::Snapshot};
use monitor_core::View;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;width:100%;margin-bottom:1.5rem}\
th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8884;vertical-align:top}\
.number{text-align:right}.idle{color:light-dark(#1b751b,#6fcf6f)}.invalid,.done,.problems h2,.error strong{color:light-dark(#b00020,#ff8a95)}small{opacity:.7}\
#live.lost{opacity:.4}";

/// Reloads the live part every two seconds while the page is visible.
const SCRIPT: &str = "\
const live = document.getElementById('live');\
async function reload() {\
  if (!document.hidden) {\
    try {\
      const response = await fetch('dashboard.html');\
      live.innerHTML = await response.text();\
      live.className = response.ok ? '' : 'lost';\
      const title = document.getElementById('title');\
      if (title) document.title = title.textContent;\
    } catch { live.className = 'lost'; }\
  }\
  setTimeout(reload, 2000);\
}\
setTimeout(reload, 2000);";

/// Content security policy: the page may display itself, and send requests to this server.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                     connect-src 'self'; base-uri 'none'; form-action 'none'; \
                     frame-ancestors 'none'";

/// `GET /`
pub async fn whole(state: Data<AppState>) -> HttpResponse {
    let snapshot = state.snapshot();
    response(snapshot.page.get_or(|| render_page(&snapshot).into()))
}

/// `GET /dashboard.html`
pub async fn live_part(state: Data<AppState>) -> HttpResponse {
    let snapshot = state.snapshot();
    let live_part = || render_live_part(&snapshot).into();
    response(snapshot.live_part.get_or(live_part))
}

fn response(html: Bytes) -> HttpResponse {
    daemon::web::page(html, CONTENT_POLICY)
}

pub fn render_page(snapshot: &Snapshot) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (title(snapshot)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "CI runners" }
                div id="live" { (render_live_part(snapshot)) }
                p {
                    small {
                        "For programs: " a href="dashboard.json" { "dashboard.json" } ", "
                        a href="metrics" { "metrics" }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// The title of the page, which the script replaces whenever it reloads the live part.
fn title(snapshot: &Snapshot) -> String {
    problems::title(&snapshot.problems, "CI runners")
}

pub fn render_live_part(snapshot: &Snapshot) -> Markup {
    let now = snapshot.now;
    html! {
        div id="title" hidden { (title(snapshot)) }
        (problems::render(&snapshot.problems, now))
        @match &snapshot.published {
            Some(published) => (render_view(&published.view, now)),
            None => p { @if let Some(reason) = &snapshot.unready { "Not ready: " (reason) "." } },
        }
        // Also before the first poll has succeeded: a rejected token may be the reason.
        (render_github(&snapshot.github, now))
    }
}

fn render_view(view: &View, now: Timestamp) -> Markup {
    html! {
        (render_counts(view))
        @for warning in &view.capacity_warnings { p.invalid { (warning) } }
        @if let Some(drain) = &view.drain {
            p.invalid {
                "Drained for " (age(Some(drain.since), now)) ": it keeps no runners"
                @if !drain.note.is_empty() { " (" (drain.note) ")" }
                ". " code { "DELETE /policy/drain" } " with the API token ends this."
            }
        }
        @if let Some(counts) = &view.target_override {
            p {
                "Temporary targets: "
                @for (profile_key, count) in counts { (count) " of " (profile_key) ". " }
            }
        }
        (render_images(view, now))
        (render_software(view, now))
        (render_runners(view, now))
        (render_action_log(view, now))
    }
}

fn render_github(status: &ApiStatus, now: Timestamp) -> Markup {
    html! {
        h2 { "GitHub" }
        @if let Some(warning) = status.warning(now) { p.invalid { (warning) } }
        p {
            "Authenticated with " (status.authenticated_with)
            @if let Some(expires_at) = status.token_expires_at.filter(|_| !status.renews_automatically) {
                ", until " (expires_at.date())
            }
            "."
            @if !status.permissions.is_empty() {
                " Permissions: "
                @for (index, (name, level)) in status.permissions.iter().enumerate() {
                    @if index > 0 { ", " }
                    (name) " (" (level) ")"
                }
                "."
            }
            @if let Some(limit) = &status.rate_limit {
                " " (limit.remaining) " of " (limit.limit) " requests of the hourly rate limit remain."
            }
        }
    }
}

fn render_counts(view: &View) -> Markup {
    html! {
        h2 { "Profiles" }
        table {
            tr {
                th { "Profile" }
                @for title in ["Target", "Healthy", "Starting", "Idle", "Reserved", "Busy", "Surplus", "To create"] {
                    th.number { (title) }
                }
            }
            @for (profile_key, counts) in &view.dashboard.profile_runner_counts {
                tr {
                    td { (profile_key) }
                    @for number in [
                        counts.target, counts.healthy, counts.started_or_crashed, counts.idle,
                        counts.reserved, counts.busy, counts.excess_healthy, counts.wanted,
                    ] {
                        td.number { (number) }
                    }
                }
            }
        }
    }
}

fn render_images(view: &View, now: Timestamp) -> Markup {
    html! {
        @if !view.images.is_empty() {
            h2 { "Images" }
            table {
                tr { th { "Profile" } th { "Age" } th { "Rebuilding for" } th { "Last failure" } }
                @for (profile_key, image) in &view.images {
                    tr {
                        td { (profile_key) }
                        td { @if image.built_at.is_some() { (age(image.built_at, now)) } @else { "none" } }
                        td {
                            @if image.rebuilt_since.is_some() || image.failure.is_some() {
                                a href={ "profile/" (profile_key) "/screenshot.png" } {
                                    @if image.rebuilt_since.is_some() { (age(image.rebuilt_since, now)) }
                                    @else { "last screenshot" }
                                }
                            }
                        }
                        td.invalid {
                            @if let Some(failure) = &image.failure {
                                "failed to " (failure) " (" (image.failure_count) " in a row), "
                                a href={ "profile/" (profile_key) "/console.log" } { "console" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn render_software(view: &View, now: Timestamp) -> Markup {
    html! {
        @if !view.software.is_empty() {
            h2 { "Runner software" }
            table {
                tr { th { "Profile" } th { "Version" } th { "Supported by GitHub" } th { } }
                @for (profile_key, software) in &view.software {
                    tr {
                        td { (profile_key) }
                        td { (software.version) }
                        td {
                            @match software.support {
                                Some(Support::Open) => "without a planned end",
                                Some(Support::Until(ends_at)) => { "until " (ends_at.date()) },
                                Some(Support::Unknown) | None => "unknown",
                            }
                        }
                        td.invalid { @if let Some(warning) = software.warning(now) { (warning) } }
                    }
                }
            }
        }
    }
}

fn render_runners(view: &View, now: Timestamp) -> Markup {
    html! {
        h2 { "Runners" }
        table {
            tr { th { "Id" } th { "Profile" } th { "Status" } th { "Age" } th { "Reserved for" } th { "Guest" } }
            @for shown in &view.dashboard.runners {
                tr {
                    td { (shown.id) }
                    td { @if let Some(profile_key) = &shown.profile_key { (profile_key) } }
                    td class=(status(shown)) { (status(shown)) }
                    td { (age(view.created_at.get(&shown.id).copied(), now)) }
                    td { @if let Some(unique_id) = view.reserved_for.get(&shown.id) { (unique_id.public_id()) } }
                    td {
                        @if let Some(name) = &shown.runner.guest_name {
                            @if shown.screenshot_url.is_some() {
                                a href={ "runner/" (shown.id) "/screenshot.png" } { (name) }
                            } @else { (name) }
                        }
                        @if let Some(address) = shown.runner.ipv4_address { " " small { (address) } }
                    }
                }
            }
        }
    }
}

fn render_action_log(view: &View, now: Timestamp) -> Markup {
    html! {
        @if !view.action_log.shortfalls.is_empty() {
            h2 { "Not possible now" }
            ul { @for shortfall in &view.action_log.shortfalls { li { (shortfall) } } }
        }
        @if !view.action_log.actions.is_empty() {
            h2 { "Recent actions" }
            table {
                @for (begun_at, step) in &view.action_log.actions {
                    tr { td { (age(Some(*begun_at), now)) " ago" } td { (step) } }
                }
            }
        }
    }
}

fn status(shown: &DashboardRunner) -> &'static str {
    match shown.status {
        Some(RunnerStatus::Invalid) => "invalid",
        Some(RunnerStatus::Starting) => "starting",
        Some(RunnerStatus::Idle) => "idle",
        Some(RunnerStatus::Reserved) => "reserved",
        Some(RunnerStatus::Busy) => "busy",
        Some(RunnerStatus::Done) => "done",
        None => "unknown",
    }
}

fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    let Some(since) = since else {
        return String::new();
    };
    match now.since(since).as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
