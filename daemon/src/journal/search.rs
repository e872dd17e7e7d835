//! Finds events: in memory, then in files, newest first.
//!
//! Files are read by one search at a time, on a thread where waiting for the disk harms no request, and a
//! limited number of bytes for each page.

use std::{path::Path, sync::Arc, time::Duration};

use actix_web::rt::task::spawn_blocking;
use shared::{
    clock::Timestamp,
    values::{ProfileKey, PublicId, QualifiedRepo, RunId, UniqueId},
};

use super::{Journal, entry::Entry, reading};
use crate::error::{ApiError, Code};

/// The most events of one page.
pub const LIMIT_MAX: usize = 1000;
/// The most bytes of files that are read for one page.
const PAGE_BYTES_MAX: usize = 32 << 20;
/// `Retry-After` when another search takes too long, in seconds.
const BUSY_RETRY_SECONDS: u64 = 2;
/// Time between two searches of clients without the API token, over all of them.
const LIGHT_SEARCH_INTERVAL: Duration = Duration::from_secs(1);
/// How many of them may follow each other without a pause.
const LIGHT_SEARCH_BURST: u32 = 10;
/// How long a search waits for the one before it.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Which events are wanted; those that meet all conditions.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this job.
    pub unique_id: Option<UniqueId>,
    /// Only of jobs of this repository.
    pub qualified_repo: Option<QualifiedRepo>,
    /// Only of jobs of this workflow run.
    pub run_id: Option<RunId>,
    /// Only of this profile.
    pub profile_key: Option<ProfileKey>,
    /// Only of this runner.
    pub runner: Option<u64>,
    /// Only with one of these names; all if it is empty.
    pub events: Vec<&'static str>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
}

/// Some of the events that were found.
#[derive(Debug, Default)]
pub struct Page {
    /// Newest first.
    pub entries: Vec<Arc<Entry>>,
    /// Where the next page begins: before the event with this id. `None` if there are no more. A page may
    /// have fewer events than its limit, even none, and yet have a next one.
    pub next: Option<u64>,
}

/// What a story is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A job.
    Job(UniqueId),
    /// A runner.
    Runner(u64),
}

/// Everything that is known of a job or a runner.
#[derive(Debug, Default)]
pub struct Story {
    /// Oldest first.
    pub entries: Vec<Arc<Entry>>,
    /// Whether its beginning is missing: too long ago, lost, or not looked for.
    pub is_truncated: bool,
}

impl Story {
    /// The events from the last one with this name on; the newest ones, if there is none.
    fn of(mut entries: Vec<Arc<Entry>>, first_event: &str) -> Self {
        let begin = begin_of(&entries, first_event);
        let least = entries.len().saturating_sub(LIMIT_MAX);
        entries.drain(..begin.unwrap_or(least).max(least));
        Self {
            is_truncated: begin.is_none_or(|begin| begin < least),
            entries,
        }
    }
}

fn begin_of(entries: &[Arc<Entry>], first_event: &str) -> Option<usize> {
    entries.iter().rposition(|entry| entry.event == first_event)
}

/// Other searches take too long.
#[derive(Debug, PartialEq, Eq)]
pub struct Busy;

impl From<Busy> for ApiError {
    fn from(_: Busy) -> Self {
        Self::new(
            Code::NotReady,
            "other requests search the history; try again",
        )
        .retry_after(BUSY_RETRY_SECONDS)
    }
}

impl Filter {
    /// All events of a subject.
    fn of(subject: &Subject) -> Self {
        match subject {
            Subject::Job(unique_id) => Self {
                unique_id: Some(unique_id.clone()),
                ..Self::default()
            },
            Subject::Runner(runner) => Self {
                runner: Some(*runner),
                ..Self::default()
            },
        }
    }

    /// Whether an event meets all conditions.
    pub fn matches(&self, entry: &Entry) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        is(self.unique_id.as_ref(), entry.unique_id.as_ref())
            && is(self.qualified_repo.as_ref(), entry.qualified_repo.as_ref())
            && is(self.run_id.as_ref(), entry.run_id.as_ref())
            && is(self.profile_key.as_ref(), entry.profile_key.as_ref())
            && is(self.runner.as_ref(), entry.runner.as_ref())
            && (self.events.is_empty() || self.events.contains(&&*entry.event))
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at <= until)
    }

    /// Whether a line of a file can be such an event, so that it is worth parsing.
    fn may_match(&self, line: &str) -> bool {
        let named = self.unique_id.as_ref();
        named.is_none_or(|unique_id| line.contains(&format!("\"unique_id\":\"{unique_id}\"")))
            && (self.events.is_empty() || self.events.iter().any(|event| line.contains(event)))
    }
}

impl Journal {
    /// A page of the events that match, newest first: at most `limit`, and at most [`LIMIT_MAX`], of those
    /// before the event with the id `before`.
    ///
    /// # Errors
    /// When other searches take too long.
    pub async fn search(
        &self,
        filter: Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page, Busy> {
        let filter = self.without_removed(filter);
        let limit = limit.clamp(1, LIMIT_MAX);
        let before = before.unwrap_or(u64::MAX);
        let (in_memory, first_id) = {
            let state = self.0.state.lock();
            (state.memory.before(before), state.memory.first_id())
        };
        let matching = in_memory.iter().rev().filter(|entry| filter.matches(entry));
        let entries: Vec<_> = matching.take(limit).cloned().collect();
        if entries.len() == limit {
            let next = entries.last().map(|entry| entry.id);
            return Ok(Page { entries, next });
        }
        let before = before.min(first_id.unwrap_or(u64::MAX));
        let found = self.search_files(filter, before, limit - entries.len());
        let mut page = found.await?;
        page.entries.splice(0..0, entries);
        Ok(page)
    }

    /// The newest events in memory that match, newest first. Never waits.
    pub fn newest(&self, filter: Filter, limit: usize) -> Vec<Arc<Entry>> {
        let filter = self.without_removed(filter);
        let state = self.0.state.lock();
        state.memory.newest(limit, |entry| filter.matches(entry))
    }

    /// The job with this public id, if it has events in memory.
    pub fn job(&self, public_id: PublicId) -> Option<UniqueId> {
        self.0.state.lock().memory.job(public_id).cloned()
    }

    /// The story of `subject` as far as memory has it. Never waits.
    pub fn recent_story(&self, subject: &Subject, first_event: &'static str) -> Story {
        let (entries, _) = self.in_memory(subject);
        Story::of(entries, first_event)
    }

    /// The events of `subject` in memory, oldest first, and the lowest id in memory.
    fn in_memory(&self, subject: &Subject) -> (Vec<Arc<Entry>>, Option<u64>) {
        let oldest = self.without_removed(Filter::default());
        let state = self.0.state.lock();
        let mut entries = match subject {
            Subject::Job(unique_id) => state.memory.of_job(unique_id),
            Subject::Runner(runner) => state.memory.of_runner(*runner),
        };
        entries.retain(|entry| oldest.matches(entry));
        (entries, state.memory.first_id())
    }

    /// What is known of `subject`, since its last event with the name `first_event`, which begins its story.
    /// In files it is looked for until it is found, or, unless `is_thorough`, in the newest ones.
    ///
    /// # Errors
    /// When other searches take too long.
    pub async fn story(
        &self,
        subject: &Subject,
        first_event: &'static str,
        is_thorough: bool,
    ) -> Result<Story, Busy> {
        let (mut entries, first_id) = self.in_memory(subject);
        let mut before = first_id.or(Some(u64::MAX));
        if begin_of(&entries, first_event).is_none() && !is_thorough {
            self.pay_for_light_search(self.0.clock.now())?;
        }
        while begin_of(&entries, first_event).is_none()
            && entries.len() < LIMIT_MAX
            && let Some(id) = before
        {
            let filter = self.without_removed(Filter::of(subject));
            let page = self.search_files(filter, id, LIMIT_MAX).await?;
            before = page.next.filter(|_| is_thorough);
            entries.splice(0..0, page.entries.into_iter().rev());
        }
        Ok(Story::of(entries, first_event))
    }

    /// Limits searches in files that are not thorough, because every client with a ticket can cause them.
    pub(super) fn pay_for_light_search(&self, now: Timestamp) -> Result<(), Busy> {
        let mut paid_at = self.0.light_searches_paid_at.lock();
        let next = (*paid_at).max(now) + LIGHT_SEARCH_INTERVAL;
        if next.since(now) > LIGHT_SEARCH_INTERVAL * LIGHT_SEARCH_BURST {
            return Err(Busy);
        }
        *paid_at = next;
        Ok(())
    }

    /// Events that are too old are not shown, even if they are still in memory.
    fn without_removed(&self, filter: Filter) -> Filter {
        let oldest = self.0.clock.now() - self.0.config.limits.age_max;
        Filter {
            since: Some(filter.since.map_or(oldest, |since| since.max(oldest))),
            ..filter
        }
    }

    pub(super) async fn search_files(
        &self,
        filter: Filter,
        before: u64,
        limit: usize,
    ) -> Result<Page, Busy> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.0.search.acquire());
        let _turn = turn.await.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let folder = self.0.config.folder.clone();
        let now = self.0.clock.now();
        let search = move || search_folder(&folder, &filter, now, before, limit, PAGE_BYTES_MAX);
        Ok(spawn_blocking(search).await.unwrap_or_default())
    }
}

/// A page of files that can be read; the others have no events.
pub(super) fn search_folder(
    folder: &Path,
    filter: &Filter,
    now: Timestamp,
    mut before: u64,
    limit: usize,
    bytes_max: usize,
) -> Page {
    let mut page = Page::default();
    let mut read = 0;
    let files = reading::list(folder, now).unwrap_or_default().files;
    for file in files.into_iter().rev() {
        // No event has a lower id than its time. It can have a higher one, if the clock was ahead before, so
        // that `until` excludes no file.
        if filter
            .since
            .is_some_and(|since| before <= since.as_micros())
        {
            return page;
        }
        if file.first_id >= before {
            continue;
        }
        if read >= bytes_max {
            page.next = Some(before);
            return page;
        }
        let text = file.read().unwrap_or_default();
        read += text.len();
        let (entries, _) =
            reading::parse_backwards(&text, &file.ids(now), |line| filter.may_match(line));
        for entry in entries {
            // An event can have been written twice.
            if entry.id < before && filter.matches(&entry) {
                before = entry.id;
                page.entries.push(Arc::new(entry));
                if page.entries.len() == limit {
                    page.next = Some(before);
                    return page;
                }
            }
        }
        before = file.first_id;
    }
    page
}
