//! The state of this server as a page for people. Public: it contains no secret.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    page::{self, Actions, Capacity, Frame, Part},
    problems,
};
use github::ApiStatus;
use maud::{Markup, html};
use shared::{
    clock::Timestamp,
    format,
    software::Support,
    units::Memory,
    wire::{Amounts, DashboardRunner, HostUse, JobOnRunner, ProfileUse, RunnerStatus},
};

mod actions;

use super::{
    AppState,
    snapshot::{Links, Snapshot},
};
use monitor_core::{Resources, View};

/// `GET /`
pub async fn whole(state: Data<AppState>) -> HttpResponse {
    let snapshot = state.snapshot();
    page::response(snapshot.page.get_or(|| render_page(&snapshot).into()))
}

/// `GET /dashboard.html`
pub async fn live_part(state: Data<AppState>) -> HttpResponse {
    let snapshot = state.snapshot();
    let live_part = || render_live_part(&snapshot).into();
    page::response(snapshot.live_part.get_or(live_part))
}

pub fn render_page(snapshot: &Snapshot) -> Markup {
    let frame = Frame {
        root: "",
        name: "CI runners",
        title: "",
        host: &snapshot.links.host_name,
        summary: summary(snapshot),
        tools: html! {},
        problems: &snapshot.problems,
        content: render_content(snapshot),
        footer: html! {
            "For programs: " a href="dashboard.json" { "dashboard.json" } ", "
            a href="metrics" { "metrics" }
            (Actions::reload().render())
        },
        now: snapshot.now,
    };
    frame.render()
}

/// How many runners there are, in a line.
fn summary(snapshot: &Snapshot) -> Markup {
    let published = snapshot.published.as_ref();
    let runners = published.map(|published| &published.view.dashboard.runners);
    html! {
        @if let Some(runners) = runners {
            @let busy = runners.iter().filter(|shown| shown.status == Some(RunnerStatus::Busy));
            (format::count(runners.len(), "runner", "runners")) ", " (busy.count()) " busy"
        } @else { "not ready" }
        @if let Some(queue_url) = &snapshot.links.queue_url { " · " a href=(queue_url) { "queue" } }
    }
}

/// The page without its frame.
pub fn render_live_part(snapshot: &Snapshot) -> Markup {
    html! {
        (problems::render(&snapshot.problems, snapshot.now))
        (render_content(snapshot))
    }
}

pub fn render_content(snapshot: &Snapshot) -> Markup {
    let now = snapshot.now;
    html! {
        @match &snapshot.published {
            Some(published) => (render_view(&published.view, &snapshot.links, now)),
            None => p class="note" { @if let Some(reason) = &snapshot.unready { "Not ready: " (reason) "." } },
        }
        // Also before the first poll has succeeded: a rejected token may be the reason.
        (render_github(&snapshot.github, now))
    }
}

fn render_view(view: &View, links: &Links, now: Timestamp) -> Markup {
    html! {
        (render_orders(view))
        (render_counts(view))
        @for warning in &view.capacity_warnings { p.note.bad { (warning) } }
        @if let Some(host) = &view.dashboard.host { (render_host(host)) }
        (actions::of_server(view))
        (render_runners(view, links, now))
        (render_images(view, now))
        (render_software(view, now))
        (render_action_log(view, now))
    }
}

/// What operators have ordered: a drain, temporary targets, rebuilds of images.
fn render_orders(view: &View) -> Markup {
    html! {
        @if let Some(drain) = &view.dashboard.drain {
            p.note.bad {
                "Drained " (page::order(drain)) ". It keeps no runners. "
                code { "ci-runners undrain" } " ends this."
            }
        }
        @if let Some(set) = &view.dashboard.target_override {
            p.note { "Temporary targets of " (set.text()) ", set " (page::order(&set.order)) "." }
        }
        @for (profile_key, order) in &view.dashboard.rebuilds {
            p.note { "Rebuild of the image of " (profile_key) ", ordered " (page::order(order)) "." }
        }
    }
}

/// What guests use of the host: a bar for each resource, and what each profile uses.
fn render_host(host: &HostUse) -> Markup {
    let uses = || host.profiles.values();
    let memory = |amounts: &Amounts| amounts.memory_bytes;
    let hugepages = |amounts: &Amounts| amounts.hugepages_1g;
    let bar = |name: &str, amount: &dyn Fn(&Amounts) -> u64, text: &dyn Fn(u64) -> String| {
        let sum = |part: fn(&ProfileUse) -> &Amounts| {
            uses().fold(0_u64, |sum, it| sum.saturating_add(amount(part(it))))
        };
        let parts = [
            (sum(|it| &it.busy), "busy", "busy"),
            (sum(|it| &it.reserved), "reserved", "reserved"),
            (sum(|it| &it.other), "idle and starting", "idle"),
            (sum(|it| &it.build), "builds of images", "starting"),
            (amount(&host.free), "free", ""),
        ];
        let parts = parts.map(|(amount, name, class)| Part {
            amount,
            text: format!("{} {name}", text(amount)),
            class,
        });
        let total = text(amount(&host.capacity));
        html! {
            h3 { (name) small { " " (total) } }
            (page::bar_of_parts(&format!("{name}: "), &parts, &total))
        }
    };
    html! {
        section id="host" {
            h2 { "Host" small { " what guests use of it" } }
            (bar("Memory", &memory, &|bytes| Memory::from_bytes(bytes).to_string()))
            @if host.capacity.hugepages_1g > 0 {
                (bar("Hugepages of 1 GiB", &hugepages, &|count| count.to_string()))
            }
            @if !host.profiles.is_empty() { (render_use(host)) }
        }
    }
}

fn render_use(host: &HostUse) -> Markup {
    let titles = [
        "Profile",
        "Busy",
        "Reserved",
        "Other runners",
        "Build of its image",
    ];
    let rows = html! {
        @for (profile_key, of_profile) in &host.profiles {
            tr data-key={ "use " (profile_key) } {
                td { (profile_key) }
                td data-label=(titles[1]) { (amounts(&of_profile.busy)) }
                td data-label=(titles[2]) { (amounts(&of_profile.reserved)) }
                td data-label=(titles[3]) { (amounts(&of_profile.other)) }
                td data-label=(titles[4]) { (amounts(&of_profile.build)) }
            }
        }
    };
    page::table(
        &html! { span class="unseen" { "Use of the host by profile" } },
        &titles,
        &rows,
    )
}

/// `4 hugepages of 1G and 2G of memory`; a dash for nothing.
fn amounts(amounts: &Amounts) -> String {
    let resources = Resources {
        hugepages_1g: amounts.hugepages_1g,
        memory: Memory::from_bytes(amounts.memory_bytes),
    };
    match resources == Resources::default() {
        true => "–".to_owned(),
        false => resources.to_string(),
    }
}

fn render_github(status: &ApiStatus, now: Timestamp) -> Markup {
    html! {
        section id="github" {
        h2 { "GitHub" }
        @if let Some(warning) = status.warning(now) { p.bad { (warning) } }
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
}

fn render_counts(view: &View) -> Markup {
    let counts = &view.dashboard.profile_runner_counts;
    let missing = &view.dashboard.missing;
    html! {
        @if !counts.is_empty() {
            div class="grid" {
                @for (profile_key, counts) in counts {
                    @let capacity = Capacity {
                        busy: counts.busy,
                        reserved: counts.reserved,
                        idle: counts.idle,
                        starting: counts.started_or_crashed,
                        absent: counts.wanted,
                        missing: missing.get(profile_key).map_or(0, |missing| missing.beside(counts.healthy, counts.target)),
                    };
                    section data-key={ "card " (profile_key) } {
                        h2 { (profile_key) small { " target " (counts.target) } }
                        (page::bar(&capacity))
                        p class="dim" {
                            "healthy " (counts.healthy) ", surplus " (counts.excess_healthy)
                        }
                        @if let Some(reason) = counts.target_reason {
                            p class="dim" { "this target, because " (reason.text()) }
                        }
                    }
                }
            }
        }
    }
}

/// A section with a table.
fn table(id: &str, caption: &str, titles: &[&str], rows: &Markup) -> Markup {
    html! { section id=(id) { (page::table(&html! { (caption) }, titles, rows)) } }
}

fn render_images(view: &View, now: Timestamp) -> Markup {
    let titles = ["Profile", "Age", "Build", "Last failure", "Actions"];
    let rows = html! {
        @for (profile_key, image) in &view.images {
            tr data-key={ "image " (profile_key) } {
                td { (profile_key) }
                td data-label="Age" { (age(image.built_at, now)) @if image.built_at.is_none() { "none" } }
                td data-label="Build" {
                    @if let Some(since) = image.rebuilt_since {
                        span {
                            "runs for " (page::since(since, now)) ": "
                            a href={ "profile/" (profile_key) "/screenshot.png" } { "screen" } ", "
                            a href={ "profile/" (profile_key) "/console.log" } { "log" }
                        }
                    }
                }
                td.bad data-label="Last failure" {
                    @if let Some(failure) = &image.failure {
                        span {
                            "failed to " (failure) " (" (image.failure_count) " in a row)"
                            @if image.rebuilt_since.is_none() {
                                ": "
                                a href={ "profile/" (profile_key) "/console.log" } { "console" }
                                ", " a href={ "profile/" (profile_key) "/screenshot.png" } { "last screenshot" }
                            }
                        }
                    }
                }
                td.wide { (actions::of_image(view, profile_key).render()) }
            }
        }
    };
    html! { @if !view.images.is_empty() { (table("images", "Images", &titles, &rows)) } }
}

fn render_software(view: &View, now: Timestamp) -> Markup {
    let titles = ["Profile", "Version", "Supported by GitHub", "Note"];
    let rows = html! {
        @for (profile_key, software) in &view.software {
            tr data-key={ "software " (profile_key) } {
                td { (profile_key) }
                td data-label="Version" { (software.version) }
                td data-label="Supported by GitHub" {
                    @match software.support {
                        Some(Support::Open) => "without a planned end",
                        Some(Support::Until(ends_at)) => { "until " (ends_at.date()) },
                        Some(Support::Unknown) | None => "unknown",
                    }
                }
                td.bad data-label="Note" { @if let Some(warning) = software.warning(now) { (warning) } }
            }
        }
    };
    html! {
        @if !view.software.is_empty() { (table("software", "Runner software", &titles, &rows)) }
    }
}

fn render_runners(view: &View, links: &Links, now: Timestamp) -> Markup {
    let titles = ["Id", "Profile", "Status", "Age", "Job", "Guest", "Actions"];
    let rows = html! {
        @for shown in &view.dashboard.runners {
            tr data-key={ "runner " (shown.id) } {
                td { span class="unseen" { "Runner " } (shown.id) }
                td data-label="Profile" { @if let Some(profile_key) = &shown.profile_key { (profile_key) } }
                td class=(status_class(shown)) data-label="Status" { (shown.status.map_or("unknown", RunnerStatus::name)) }
                td data-label="Age" { (age(view.created_at.get(&shown.id).copied(), now)) }
                td data-label="Job" { @if let Some(job) = &shown.job { (render_job(job, links)) } }
                td data-label="Guest" {
                    span {
                        @if let Some(name) = &shown.runner.guest_name {
                            @if shown.screenshot_url.is_some() {
                                a href={ "runner/" (shown.id) "/screenshot.png" } { (name) }
                            } @else { (name) }
                        }
                        @if let Some(address) = shown.runner.ipv4_address { " " small { (address) } }
                    }
                }
                td.wide { (actions::of_runner(shown.id).render()) }
            }
        }
    };
    html! {
        @if view.dashboard.runners.is_empty() {
            section id="runners" { h2 { "Runners" } p class="dim" { "There are no runners." } }
        } @else { (table("runners", "Runners", &titles, &rows)) }
    }
}

/// A job by repository and workflow run, with a link to the run, and its id, with a link to its page.
fn render_job(job: &JobOnRunner, links: &Links) -> Markup {
    let JobOnRunner {
        public_id,
        qualified_repo,
        run_id,
    } = job;
    html! {
        div {
            a href={ (links.github_web_url) (qualified_repo) "/actions/runs/" (run_id) } { b { (qualified_repo) } " run " (run_id) }
            @if let Some(public_id) = public_id {
                " "
                small {
                    @match &links.queue_url {
                        Some(queue_url) => a class="dim" href={ (queue_url) "job/" (public_id) } { (public_id) },
                        None => (public_id),
                    }
                }
            }
        }
    }
}

fn render_action_log(view: &View, now: Timestamp) -> Markup {
    let titles = ["Begun", "Action"];
    let rows = html! {
        @for (begun_at, step) in &view.action_log.actions {
            tr { td data-label="Begun" { span { (page::since(*begun_at, now)) " ago" } } td data-label="Action" { (step) } }
        }
    };
    html! {
        @if !view.action_log.shortfalls.is_empty() {
            section id="shortfalls" {
                h2 { "Not possible now" }
                ul { @for shortfall in &view.action_log.shortfalls { li { (shortfall) } } }
            }
        }
        @if !view.action_log.actions.is_empty() {
            (table("actions", "Recent actions", &titles, &rows))
        }
    }
}

fn status_class(shown: &DashboardRunner) -> &'static str {
    match shown.status {
        Some(RunnerStatus::Invalid | RunnerStatus::Done) => "bad",
        Some(RunnerStatus::Idle) => "good",
        _ => "",
    }
}

/// The time since then; nothing without a time.
fn age(since: Option<Timestamp>, now: Timestamp) -> Markup {
    html! { @if let Some(since) = since { (page::since(since, now)) } }
}
