//! What has happened to one job, from its events.

use std::sync::Arc;

use daemon::{
    error::{ApiError, Code},
    journal::{Entry, Journal, Story, Subject},
};
use queue_core::{JobReference, TicketContent};
use serde_json::Value;
use shared::{clock::Timestamp, values::LaneName, wire::JobStatus};

use super::history::{outcome_of, past_job};
use crate::recorder::{FINAL_EVENTS, FIRST_EVENT};

/// The story that a request wants.
#[derive(Clone, Debug)]
pub struct StoryOf {
    job: Subject,
    /// For a request with a ticket: when its job was enqueued. It does not see another job of the same name,
    /// nor audit events.
    enqueued_at: Option<Timestamp>,
}

impl StoryOf {
    /// That of the job of a ticket.
    pub fn ticket(ticket: &TicketContent) -> Self {
        Self {
            job: Subject::Job(ticket.request.spec.unique_id.clone()),
            enqueued_at: Some(ticket.enqueued_at),
        }
    }

    /// That of the job that a request means.
    pub fn job(by: &JobReference) -> Self {
        match by {
            JobReference::Ticket(ticket) => Self::ticket(ticket),
            JobReference::Operator(unique_id) => Self {
                job: Subject::Job(unique_id.clone()),
                enqueued_at: None,
            },
        }
    }

    /// Whether all files are searched for it.
    fn is_thorough(&self) -> bool {
        self.enqueued_at.is_none()
    }

    /// What the request may see of it; empty if it is that of another job.
    fn visible(&self, mut story: Story) -> Story {
        if self.enqueued_at.is_none() {
            return story;
        }
        let is_of_ticket = |entry: &Arc<Entry>| entry.get_time("enqueued_at") == self.enqueued_at;
        if !story.entries.iter().any(is_of_ticket) {
            return Story::default();
        }
        story.entries.retain(|entry| !entry.is_audit());
        story
    }
}

/// The story of a job that is over or unknown.
///
/// # Errors
/// 503 while other requests search the journal.
pub async fn story(journal: &Journal, wanted: &StoryOf) -> Result<Story, ApiError> {
    let story = journal.story(&wanted.job, FIRST_EVENT, wanted.is_thorough());
    Ok(wanted.visible(story.await?))
}

/// The story so far of a job that is not over. Clients ask for it every few seconds, so that for a ticket
/// it is not looked for in files; and it is not worth an error.
pub async fn story_so_far(journal: &Journal, wanted: &StoryOf) -> Story {
    let recent = recent_story(journal, wanted);
    if recent.is_truncated && wanted.is_thorough() {
        story(journal, wanted).await.unwrap_or(recent)
    } else {
        recent
    }
}

/// The part of the story that is in memory.
fn recent_story(journal: &Journal, wanted: &StoryOf) -> Story {
    wanted.visible(journal.recent_story(&wanted.job, FIRST_EVENT))
}

/// The events as JSON, oldest first.
pub fn events(story: &Story) -> Vec<Value> {
    let entries = story.entries.iter();
    let values = entries.filter_map(|entry| serde_json::to_value(&**entry).ok());
    values.collect()
}

/// The last event of the job, if it is over.
fn final_event(story: &Story) -> Option<&Arc<Entry>> {
    let mut entries = story.entries.iter().rev();
    let last = entries.find(|entry| !entry.is_audit())?;
    FINAL_EVENTS.contains(&&*last.event).then_some(last)
}

/// The status of a job that the queue does not have, by what is known of it.
pub fn status(story: &Story) -> Option<JobStatus> {
    let Some(entry) = final_event(story) else {
        return status_before_restart(story);
    };
    let job = past_job(entry)?;
    let waited_seconds = job.waited().as_secs();
    Some(JobStatus {
        unique_id: job.unique_id,
        profile_key: job.profile_key,
        count: usize::try_from(job.count).unwrap_or(usize::MAX),
        state: job.outcome,
        lane: lane(entry),
        waited_seconds,
        position: None,
        ahead: None,
        estimate: None,
        no_estimate_because: None,
        why: sentence(entry),
    })
}

/// The lane of a job, by one of its events.
fn lane(entry: &Entry) -> Option<LaneName> {
    entry.get("lane")?.as_str()?.parse().ok()
}

/// The status of a job without an end: the queue was restarted since, and no client has asked for it.
fn status_before_restart(story: &Story) -> Option<JobStatus> {
    let mut entries = story.entries.iter().filter(|entry| !entry.is_audit());
    let first = entries.next()?;
    let last = entries.next_back().unwrap_or(first);
    let count = first.get("count").and_then(Value::as_u64);
    let enqueued_at = first.get_time("enqueued_at").unwrap_or(first.at);
    Some(JobStatus {
        unique_id: first.unique_id.clone()?,
        profile_key: first.profile_key.clone()?,
        count: usize::try_from(count.unwrap_or(1)).unwrap_or(usize::MAX),
        state: "unknown".to_owned(),
        lane: lane(first),
        waited_seconds: last.at.since(enqueued_at).as_secs(),
        position: None,
        ahead: None,
        estimate: None,
        no_estimate_because: None,
        why: format!(
            "the queue was restarted, no client has asked for this job since, and no server reports how it \
             ended; the last event is {} at {}",
            last.event,
            last.at.date_and_time()
        ),
    })
}

/// What became of a job, as a clause: `it finished at 2026-12-24T10:00:05Z on http://ci1:8000/`.
fn sentence(entry: &Arc<Entry>) -> String {
    let at = entry.at.date_and_time();
    let job = past_job(entry);
    let mut servers: Vec<String> = job
        .into_iter()
        .flat_map(|job| job.runners)
        .map(|runner| runner.server)
        .collect();
    servers.dedup();
    let on = match &servers[..] {
        [] => String::new(),
        servers => format!(" on {}", servers.join(" and ")),
    };
    let by = entry.get("by").and_then(Value::as_str);
    match (outcome_of(&entry.event), by) {
        ("expired", _) => format!("its runners{on} went unused until {at}"),
        ("withdrawn", Some("ticket")) => format!("it was withdrawn with its ticket at {at}"),
        ("withdrawn", Some("wait_limits")) => {
            format!(
                "it was withdrawn at {at}, because hosted runners were the better choice by the limits of its client"
            )
        }
        ("withdrawn", _) => format!("it was withdrawn with the API token at {at}"),
        ("abandoned", _) => match entry.get_time("silent_since") {
            Some(silent_since) => format!(
                "it was abandoned at {at}, because its client had sent no request since {}",
                silent_since.date_and_time()
            ),
            None => format!("it was abandoned at {at}"),
        },
        (outcome, _) => format!("it {outcome} at {at}{on}"),
    }
}

/// The response for a job that the queue does not have. `story` is what is known of it.
pub fn unknown(story: &Story) -> ApiError {
    let message = match final_event(story) {
        Some(entry) => format!("no such job: {}", sentence(entry)),
        None => "no such job: this queue has never seen it, or longer ago than it remembers; if the job is \
                 still needed, enqueue it again"
            .to_owned(),
    };
    ApiError::new(Code::UnknownJob, message)
}

/// The same for a request that may be repeated often: it looks in memory only.
pub fn unknown_recently(journal: &Journal, wanted: &StoryOf) -> ApiError {
    unknown(&recent_story(journal, wanted))
}
