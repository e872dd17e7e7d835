//! `GET /job/<public id>` for browsers: what a job waits for and what has happened to it. Needs no token,
//! because it contains no secret; a job is named by its public id.

use actix_web::{
    HttpRequest, HttpResponse, http::StatusCode, http::header::AUTHORIZATION, web::Data,
};
use daemon::{
    error::ApiError,
    journal::{Entry, Story, Subject},
    page::{self, Actions, Button, Frame},
    web::{accepts_html, segment},
};
use maud::{Markup, html};
use queue_core::{Answer, Input, JobReference};
use serde_json::Value;
use shared::{
    clock::Timestamp,
    format,
    text::printable_lines,
    values::{PublicId, UniqueId},
    wire::{JobStatus, TakenFrom},
};

use super::{
    AppState,
    dashboard::jobs::{Context, range, runners, short_name},
    history::runners_of,
    search::JobIndex,
    story,
};
use crate::recorder::{ASSIGNED, FIRST_EVENT, RESTORED};

/// The public id in the path of a request of a browser for a page; programs do not ask for one.
pub fn wanted(request: &HttpRequest) -> Option<PublicId> {
    let has_credentials =
        request.headers().contains_key(AUTHORIZATION) || request.query_string().contains("token=");
    if has_credentials || !accepts_html(request.headers()) {
        return None;
    }
    segment(request, "unique_id").ok()
}

/// The page of this job, or one that says that there is no such job.
///
/// # Errors
/// 503 while too many jobs are looked for.
pub async fn show(
    state: &AppState,
    index: &Data<JobIndex>,
    public_id: PublicId,
) -> Result<HttpResponse, ApiError> {
    let mut unique_id = state.journal.job(public_id);
    if unique_id.is_none() {
        page::wait_for_search().await?;
        unique_id = index.find(state, public_id);
    }
    let now = state.event_loop.now();
    let known = unique_id.and_then(|unique_id| Known::of(state, unique_id));
    let job = JobPage {
        public_id,
        known,
        now,
        web_url: &state.github_web_url,
    };
    let text = printable_lines(&job.render().into_string()).into_owned();
    let mut response = page::response(text);
    if job.known.is_none() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

/// What is known of a job.
pub(super) struct Known {
    pub status: JobStatus,
    pub story: Story,
}

impl Known {
    fn of(state: &AppState, unique_id: UniqueId) -> Option<Self> {
        let story = state
            .journal
            .recent_story(&Subject::Job(unique_id.clone()), FIRST_EVENT);
        let by = JobReference::Operator(unique_id);
        let answer = state.event_loop.call(|call| Input::Inspect { call, by });
        let status = match answer {
            Some(Answer::Status(status)) => status,
            _ => story::status(&story)?,
        };
        Some(Self { status, story })
    }

    /// The events that are shown: what was done with credentials is not.
    fn events(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.story.entries.iter().map(|entry| &**entry);
        entries.filter(|entry| !entry.is_audit())
    }

    /// Whether the job can still be withdrawn.
    fn is_open(&self) -> bool {
        let open = ["waiting", "forwarding", "reserved", "delivered"];
        open.contains(&self.status.state.as_str())
    }
}

/// What the page shows.
pub(super) struct JobPage<'a> {
    pub public_id: PublicId,
    pub known: Option<Known>,
    pub now: Timestamp,
    pub web_url: &'a str,
}

impl JobPage<'_> {
    pub fn render(&self) -> Markup {
        let frame = Frame {
            root: "../",
            name: "CI queue",
            title: &match &self.known {
                Some(known) => format!("{} · job {}", known.status.state, self.public_id),
                None => format!("job {}", self.public_id),
            },
            host: "",
            summary: html! { a href="../" { "All jobs" } },
            tools: html! {},
            problems: &[],
            content: match &self.known {
                Some(known) => self.content(known),
                None => self.unknown(),
            },
            footer: html! {},
            now: self.now,
        };
        frame.render()
    }

    fn unknown(&self) -> Markup {
        html! {
            section {
                h2 { "Job " (self.public_id) }
                p {
                    "This queue does not know the job: it was never enqueued here, or it was over longer ago than "
                    "the queue remembers. If it is still needed, start its workflow run again."
                }
            }
        }
    }

    fn content(&self, known: &Known) -> Markup {
        let status = &known.status;
        let context = Context {
            now: self.now,
            web_url: self.web_url,
            root: "../",
        };
        let of_run = known.events().find_map(|entry| {
            let repo = entry.qualified_repo.as_ref()?;
            Some((repo.as_str(), entry.run_id?.0))
        });
        let scale = status.estimate.map_or(1, |it| it.p90_seconds.max(1));
        html! {
            section id="status" {
                h2 { "Job " @if of_run.is_none() { (self.public_id) } }
                @if let Some((repo, run_id)) = of_run { (context.job(repo, run_id, self.public_id)) }
                p class="big" { (state_text(status)) }
                // What is said of a job that has its runners is its state.
                @if status.position.is_some() || !known.is_open() { p { (status.why) "." } }
                @if status.position.is_some() {
                    p { "Estimated wait: " (format::estimate(status.estimate, status.no_estimate_because.as_deref())) }
                    div class="narrow" { (range(status.estimate, scale)) }
                }
                p class="dim" {
                    (format::count(status.count, "runner", "runners")) " of profile " (status.profile_key)
                    @if let Some(lane) = &status.lane { ", lane " (lane) }
                    @if known.is_open() {
                        ", enqueued "
                        (page::since(self.now - std::time::Duration::from_secs(status.waited_seconds), self.now)) " ago"
                    }
                }
            }
            section id="history" {
                h2 { "History" }
                @if known.story.is_truncated { p class="dim" { "Events before these are no longer in memory." } }
                ol class="timeline" {
                    @for entry in known.events() {
                        li data-key=(entry.id) { span class="dim" { (page::at(entry.at)) } span { (describe(entry)) } }
                    }
                }
            }
            @if known.is_open() {
                section id="withdraw" {
                    h2 { "Withdraw the job" }
                    p { "It gets no runners, or loses those that it has. This needs the API token, which stays in the memory of this page." }
                    (self.withdrawal().render())
                    noscript { p class="dim" { "Without JavaScript: " code { "ci-runners withdraw " (self.public_id) } } }
                }
            }
        }
    }
}

impl JobPage<'_> {
    fn withdrawal(&self) -> Actions<'static> {
        Actions {
            key: "job".to_owned(),
            title: "Withdraw …",
            buttons: vec![Button {
                label: "Withdraw",
                method: "DELETE",
                path: format!("../job/{}", self.public_id),
                done: "It is withdrawn.",
                ..Button::default()
            }],
        }
    }
}

fn state_text(status: &JobStatus) -> String {
    match (status.state.as_str(), status.position) {
        ("waiting" | "forwarding", Some(1)) => "waits, next in its queue".to_owned(),
        ("waiting" | "forwarding", Some(position)) => format!("waits, position {position}"),
        ("reserved", _) => "has runners; its client has not asked for them yet".to_owned(),
        ("delivered", _) => "has its runners".to_owned(),
        (state, _) => state.to_owned(),
    }
}

/// What an event tells, in a clause.
fn describe(entry: &Entry) -> Markup {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("");
    let reason = || text("reason").replace('_', " ");
    let count = entry.get("count").and_then(Value::as_u64).unwrap_or(1);
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let server = short_name(entry.server.as_deref().unwrap_or("a server"));
    let taken: Vec<TakenFrom> = runners_of(entry);
    html! {
        @match &*entry.event {
            FIRST_EVENT => { "enqueued, authorised by " (match text("by") { "artifact" => "an artifact of its run", _ => "the API token" }) },
            RESTORED => "restored by its ticket after a restart of the queue",
            "job_passed_over" => { "a later job was chosen: " (reason()) },
            "job_forwarded" => { (server) " was asked for " (format::count(count, "runner", "runners")) },
            "job_refused" => {
                (server) " granted none: " (reason())
                @if !text("answer").is_empty() { " (" (text("answer")) ")" }
            },
            ASSIGNED => { "assigned " (runners(&taken)) },
            "job_delivered" => "its client was sent its runners",
            "job_not_delivered" => "the response with its runners could not be sent",
            "job_started" => "a workflow job runs on its runners",
            "job_returned" => "its runners are gone; it waits again at its position",
            "job_finished" => "finished",
            "job_expired" => "its runners went unused and expired",
            "job_withdrawn" => { "withdrawn with " (match text("by") { "ticket" => "its ticket", "wait_limits" => "the limits of its client: hosted runners were the better choice", _ => "the API token" }) },
            "job_abandoned" => {
                "abandoned: its client was silent"
                @if let Some(since) = entry.get_time("silent_since") { " since " (page::at(since)) }
            },
            other => (other.trim_start_matches("job_").replace('_', " ")),
        }
    }
}
