//! `GET /history.json`: the jobs that are over, newest first. `GET /events`: everything as it happens.

use std::sync::Arc;

use actix_web::{HttpResponse, web::Data};
use daemon::{
    auth::NotWrongToken,
    error::ApiError,
    journal::{Entry, EventStream, Filter, LIMIT_MAX, LastEventId},
    web::{Query, from_optional_text},
};
use serde::{Deserialize, de::IgnoredAny};
use shared::{
    clock::Moment,
    values::{InvalidValue, ProfileKey, QualifiedRepo, RunId},
    wire::{History, PastJob, TakenFrom},
};

use queue_core::TicketContent;

use super::{
    AppState,
    extract::HistoryAccess,
    story::{StoryOf, story},
};
use crate::recorder::FINAL_EVENTS;

/// The number of jobs in a response, if the client does not ask for another.
const LIMIT: usize = 100;

/// Which jobs are wanted; those that meet all conditions. A misspelt condition is refused: it would mean all jobs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    #[serde(default, deserialize_with = "from_optional_text")]
    repo: Option<QualifiedRepo>,
    #[serde(default, deserialize_with = "from_optional_text")]
    run_id: Option<RunId>,
    #[serde(default, deserialize_with = "from_optional_text")]
    profile: Option<ProfileKey>,
    #[serde(default, deserialize_with = "from_optional_text")]
    outcome: Option<Outcome>,
    #[serde(default, deserialize_with = "from_optional_text")]
    since: Option<Moment>,
    #[serde(default, deserialize_with = "from_optional_text")]
    until: Option<Moment>,
    #[serde(default, deserialize_with = "from_optional_text")]
    before: Option<Before>,
    #[serde(default, deserialize_with = "from_optional_text")]
    limit: Option<Limit>,
    /// The ticket, which [`HistoryAccess`] reads.
    #[serde(default, rename = "token")]
    _ticket: IgnoredAny,
}

/// The name of the event with which the jobs are over.
struct Outcome(&'static str);

/// Where a page begins: before the event with this id.
struct Before(u64);

/// How many jobs a page has at most.
struct Limit(usize);

impl std::str::FromStr for Before {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        text.parse().map(Self).map_err(|_| InvalidValue {
            field: "before",
            allowed: "the number in `next` of an earlier response",
        })
    }
}

impl std::str::FromStr for Limit {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let limit = text.parse().ok();
        let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.map(Self).ok_or(InvalidValue {
            field: "limit",
            allowed: "a number from 1 to 1000",
        })
    }
}

impl std::str::FromStr for Outcome {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let mut names = FINAL_EVENTS.into_iter();
        let name = names.find(|name| outcome_of(name) == text);
        name.map(Self).ok_or(InvalidValue {
            field: "outcome",
            allowed: "finished, expired, withdrawn or abandoned",
        })
    }
}

/// The outcome that an event tells.
pub fn outcome_of(event: &str) -> &str {
    event.strip_prefix("job_").unwrap_or(event)
}

/// `GET /history.json`
pub async fn history(
    state: Data<AppState>,
    access: HistoryAccess,
    Query(conditions): Query<Conditions>,
) -> Result<HttpResponse, ApiError> {
    let time = |moment: Option<Moment>| moment.map(|Moment(time)| time);
    let filter = Filter {
        qualified_repo: conditions.repo,
        run_id: conditions.run_id,
        profile_key: conditions.profile,
        events: match conditions.outcome {
            Some(Outcome(event)) => vec![event],
            None => FINAL_EVENTS.to_vec(),
        },
        since: time(conditions.since),
        until: time(conditions.until),
        ..Filter::default()
    };
    let before = conditions.before.map(|Before(id)| id);
    let history = match access {
        HistoryAccess::Own(ticket) => own_history(&state, &ticket, &filter, before).await?,
        HistoryAccess::All => {
            let limit = conditions.limit.map_or(LIMIT, |Limit(limit)| limit);
            let page = state.journal.search(filter, before, limit).await?;
            History {
                jobs: page.entries.iter().filter_map(past_job).collect(),
                next: page.next,
            }
        }
    };
    Ok(HttpResponse::Ok().json(history))
}

/// The history that the holder of a ticket sees: its own job, if that is over and meets the conditions.
async fn own_history(
    state: &AppState,
    ticket: &TicketContent,
    filter: &Filter,
    before: Option<u64>,
) -> Result<History, ApiError> {
    let story = story(&state.journal, &StoryOf::ticket(ticket)).await?;
    let is_wanted = |entry: &&Arc<Entry>| {
        filter.matches(entry) && before.is_none_or(|before| entry.id < before)
    };
    let end = story.entries.iter().rev().find(is_wanted);
    Ok(History {
        jobs: end.and_then(past_job).into_iter().collect(),
        next: None,
    })
}

/// A job that is over, as its last event tells it.
pub fn past_job(entry: &Arc<Entry>) -> Option<PastJob> {
    let count = entry.get("count").and_then(serde_json::Value::as_u64);
    Some(PastJob {
        unique_id: entry.unique_id.clone()?,
        qualified_repo: entry.qualified_repo.clone()?,
        run_id: entry.run_id?,
        profile_key: entry.profile_key.clone()?,
        count: count.unwrap_or(1),
        outcome: outcome_of(&entry.event).to_owned(),
        enqueued_at: entry.get_time("enqueued_at")?,
        assigned_at: entry.get_time("assigned_at"),
        started_at: entry.get_time("started_at"),
        ended_at: entry.at,
        runners: runners_of(entry),
    })
}

/// The runners in an event.
pub fn runners_of(entry: &Entry) -> Vec<TakenFrom> {
    if let (Some(server), Some(runner)) = (entry.server.clone(), entry.runner) {
        return vec![TakenFrom { server, runner }];
    }
    let several = entry.get("runners").cloned();
    let several = several.and_then(|runners| serde_json::from_value(runners).ok());
    several.unwrap_or_default()
}

/// `GET /events`
pub async fn events(
    state: Data<AppState>,
    token: NotWrongToken,
    LastEventId(last_event_id): LastEventId,
) -> Result<HttpResponse, ApiError> {
    let stream = EventStream {
        journal: state.journal.clone(),
        places: state.stream_places.clone(),
        draining: state.draining.clone(),
        is_authorised: token.is_authorised(),
        last_event_id,
    };
    stream.respond()
}
