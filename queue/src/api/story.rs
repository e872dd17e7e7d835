//! What has happened to one job, from its events.

use std::sync::Arc;

use daemon::{
    error::{ApiError, Code},
    journal::{Entry, Journal, Story, Subject},
};
use queue_core::JobReference;
use serde_json::Value;
use shared::{values::UniqueId, wire::JobStatus};

use super::history::{outcome_of, past_job};
use crate::recorder::{FINAL_EVENTS, FIRST_EVENT};

/// The job that a request means.
pub fn unique_id_of(by: &JobReference) -> &UniqueId {
    match by {
        JobReference::Ticket(ticket) => &ticket.request.spec.unique_id,
        JobReference::Operator(unique_id) => unique_id,
    }
}

/// The story of a job that is over or unknown, without what only operators see if the request has a ticket.
/// It is empty if it is that of another job with the same name. An operator's is looked for in all files.
///
/// # Errors
/// 503 while other requests search the journal.
pub async fn story(journal: &Journal, by: &JobReference) -> Result<Story, ApiError> {
    let subject = Subject::Job(unique_id_of(by).clone());
    let is_thorough = matches!(by, JobReference::Operator(_));
    let story = journal.story(&subject, FIRST_EVENT, is_thorough).await?;
    Ok(restricted(story, by))
}

/// The story so far of a job that is not over. Clients ask for it every few seconds, so that for a ticket
/// it is not looked for in files; and it is not worth an error.
pub async fn story_so_far(journal: &Journal, by: &JobReference) -> Story {
    let recent = recent_story(journal, by);
    if recent.is_truncated && matches!(by, JobReference::Operator(_)) {
        story(journal, by).await.unwrap_or(recent)
    } else {
        recent
    }
}

/// The part of the story that is in memory.
fn recent_story(journal: &Journal, by: &JobReference) -> Story {
    let subject = Subject::Job(unique_id_of(by).clone());
    restricted(journal.recent_story(&subject, FIRST_EVENT), by)
}

fn restricted(mut story: Story, by: &JobReference) -> Story {
    if let JobReference::Ticket(ticket) = by {
        let is_of_ticket = |entry: &Arc<Entry>| {
            let enqueued_at = entry.get_time("enqueued_at");
            enqueued_at == Some(ticket.enqueued_at)
        };
        if !story.entries.iter().any(is_of_ticket) {
            return Story::default();
        }
        story.entries.retain(|entry| entry.event != "audit");
    }
    story
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
    let last = entries.find(|entry| entry.event != "audit")?;
    FINAL_EVENTS.contains(&&*last.event).then_some(last)
}

/// The status of a job that the queue does not have, by what is known of it.
pub fn status(story: &Story) -> Option<JobStatus> {
    let Some(entry) = final_event(story) else {
        return status_before_restart(story);
    };
    let job = past_job(entry)?;
    let waited_until = job.assigned_at.unwrap_or(job.ended_at);
    Some(JobStatus {
        unique_id: job.unique_id,
        profile_key: job.profile_key,
        count: usize::try_from(job.count).unwrap_or(usize::MAX),
        state: job.outcome,
        waited_seconds: waited_until.since(job.enqueued_at).as_secs(),
        position: None,
        ahead: None,
        estimate: None,
        why: sentence(entry),
    })
}

/// The status of a job without an end: the queue was restarted since, and no client has asked for it.
fn status_before_restart(story: &Story) -> Option<JobStatus> {
    let mut entries = story.entries.iter().filter(|entry| entry.event != "audit");
    let first = entries.next()?;
    let last = entries.next_back().unwrap_or(first);
    let count = first.get("count").and_then(Value::as_u64);
    let enqueued_at = first.get_time("enqueued_at").unwrap_or(first.at);
    Some(JobStatus {
        unique_id: first.unique_id.clone()?,
        profile_key: first.profile_key.clone()?,
        count: usize::try_from(count.unwrap_or(1)).unwrap_or(usize::MAX),
        state: "unknown".to_owned(),
        waited_seconds: last.at.since(enqueued_at).as_secs(),
        position: None,
        ahead: None,
        estimate: None,
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
pub fn unknown_recently(journal: &Journal, by: &JobReference) -> ApiError {
    unknown(&recent_story(journal, by))
}
