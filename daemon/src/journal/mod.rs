//! The journal of a daemon: what has happened, as events in memory, in files, in the log and as a stream.
//!
//! Responsible for the ids of events, for the bounds of everything that keeps them, and for never making
//! the caller wait: files are written by a thread of its own. Correctness never depends on it: a full disk
//! or a damaged file costs history and nothing else. Not responsible for what is an event.
//!
//! | module | contents |
//! | --- | --- |
//! | `entry` | one event, its forms as JSON and as a line of the log, and what strangers may see of it |
//! | `memory` | the latest events, with an index by job and by runner |
//! | `outbox` | the events that are still to be written |
//! | `writer` | the thread that writes them |
//! | `files` | writes the files: rotation by size and day, removal |
//! | `reading` | reads the files: their names, what of them is believed, their events |
//! | `search` | finds events in memory and in files |
//! | `stream` | sends events to clients as they happen |
//!
//! ```text
//!              ┌─▶ log
//!   record ────┼─▶ memory ◀───────── search, story
//!              ├─▶ streams              │
//!              └─▶ outbox ─▶ writer ─▶ files
//! ```

mod entry;
mod files;
mod memory;
mod outbox;
mod reading;
mod search;
mod stream;
#[cfg(test)]
mod tests;
mod writer;

use std::{path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use shared::{
    clock::{Clock, Timestamp},
    format,
    problem::catalogue::{JOURNAL_NOT_CLEANED, JOURNAL_NOT_WRITTEN},
    settings::{JournalSettings, LogFormat, Settings},
};
use tokio::sync::{Semaphore, broadcast};

use crate::{drops::Drops, problems::ProblemBoard};
pub use entry::Entry;
pub(crate) use entry::LOG_TARGET;
use files::Files;
use memory::Memory;
use outbox::Outbox;
use reading::Former;
pub use search::{Busy, Filter, LIMIT_MAX, Page, Story, Subject};
use stream::Message;
pub use stream::{EventStream, LastEventId, StreamPlaces};

/// How many events a stream may be behind before it is ended.
const STREAM_LAG_MAX: usize = 4096;
/// Pause between two attempts to write after one has failed.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// Pause between two comparisons of the state of the files with what the problems say.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// The subject of the problems of the files.
const SUBJECT: &str = "journal";

/// Where a journal is kept, for how long, and how its events are logged.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// The folder of its files; created if it does not exist.
    pub folder: PathBuf,
    /// Limits of its files.
    pub limits: JournalSettings,
    /// The form of its lines in the log.
    pub log_format: LogFormat,
}

impl JournalConfig {
    /// The configuration of the daemon with this name.
    pub fn of(settings: &Settings, daemon: &str) -> Self {
        Self {
            folder: settings.data_path.join(daemon).join("journal"),
            limits: settings.journal.clone(),
            log_format: settings.log_format,
        }
    }
}

/// The journal of a process. Cheap to clone; all clones share it.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: JournalConfig,
    clock: Clock,
    state: Mutex<State>,
    outbox: Arc<Outbox>,
    subscribers: broadcast::Sender<Arc<Message>>,
    /// When what searches without the API token have cost so far is paid for.
    light_searches_paid_at: Mutex<Timestamp>,
    /// Held by the one search that reads files.
    search: Semaphore,
}

#[derive(Debug)]
struct State {
    last_id: u64,
    memory: Memory,
}

/// What a new stream starts with.
#[derive(Debug)]
struct Subscription {
    /// Events that happened since the one that the client knows, oldest first.
    backlog: Vec<Arc<Entry>>,
    /// Whether events before the backlog may be missing.
    has_gap: bool,
    receiver: broadcast::Receiver<Arc<Message>>,
}

/// Whether events reach the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalStatus {
    /// How many events have not been written, and will not be, since the start of the process.
    pub dropped_count: u64,
    /// Why nothing can be written at the moment.
    pub trouble: Option<String>,
    /// Why old files could not be removed the last time.
    pub cleaning_trouble: Option<String>,
}

impl Journal {
    /// Reads the newest files, as far as memory has room, and starts the thread that writes. Never fails:
    /// without files the history starts now.
    pub fn open(config: JournalConfig, clock: Clock) -> Self {
        Self::with_pause(config, clock, RETRY_PAUSE)
    }

    fn with_pause(config: JournalConfig, clock: Clock, retry_pause: Duration) -> Self {
        let files = Files::new(config.folder.clone(), config.limits.clone(), retry_pause);
        let mut memory = Memory::default();
        let former = reading::read_newest(&config.folder, clock.now(), memory::ENTRIES_MAX);
        let former = former.unwrap_or_else(|error| {
            log::warn!(
                "failed to read the journal in {}: {error}; the history starts now",
                config.folder.display()
            );
            Former::default()
        });
        for warning in former.warnings(&config.folder) {
            log::warn!("{warning}");
        }
        let last_id = former.last_id;
        for entry in former.entries {
            memory.push(Arc::new(entry));
        }
        let outbox = Arc::new(Outbox::default());
        writer::spawn(Arc::clone(&outbox), files, clock, retry_pause);
        Self(Arc::new(Shared {
            config,
            clock,
            state: Mutex::new(State { last_id, memory }),
            outbox,
            subscribers: broadcast::Sender::new(STREAM_LAG_MAX),
            light_searches_paid_at: Mutex::default(),
            search: Semaphore::new(1),
        }))
    }

    /// Records an event: gives it its id, logs it, and keeps it in memory and, a moment later, on disk.
    /// Never waits for the disk and never fails.
    pub fn record(&self, entry: Entry) {
        let entry = self.keep(entry);
        entry.log(self.0.config.log_format);
    }

    /// The same without a line in the log, for an event that is logged where it is noticed.
    pub fn record_without_log(&self, entry: Entry) {
        self.keep(entry);
    }

    fn keep(&self, mut entry: Entry) -> Arc<Entry> {
        let mut state = self.0.state.lock();
        entry.id = entry.at.as_micros().max(state.last_id.saturating_add(1));
        state.last_id = entry.id;
        let entry = Arc::new(entry);
        state.memory.push(Arc::clone(&entry));
        // Under the lock, so that files and streams have the same order. Both are bounded, and neither
        // waits.
        self.0.outbox.push(Arc::clone(&entry));
        if self.0.subscribers.receiver_count() > 0 {
            // The last stream may have ended meanwhile.
            let message = Message::new(Arc::clone(&entry));
            let _ = self.0.subscribers.send(Arc::new(message));
        }
        entry
    }

    /// A stream of events from now on, after those that have happened since the event with the id
    /// `last_id`, as far as memory has them, and at most `backlog_max`.
    fn subscribe(&self, last_id: Option<u64>, backlog_max: usize) -> Subscription {
        let state = self.0.state.lock();
        let receiver = self.0.subscribers.subscribe();
        let Some(last_id) = last_id else {
            return Subscription {
                backlog: Vec::new(),
                has_gap: false,
                receiver,
            };
        };
        let (backlog, is_cut) = state.memory.newest_after(last_id, backlog_max);
        let is_known = last_id >= state.last_id || state.memory.contains(last_id);
        Subscription {
            backlog,
            has_gap: is_cut || !is_known,
            receiver,
        }
    }

    /// All events in memory, oldest first.
    pub fn recent(&self) -> Vec<Arc<Entry>> {
        self.0.state.lock().memory.after(0)
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Whether events reach the files.
    pub fn status(&self) -> JournalStatus {
        self.0.outbox.status()
    }

    /// Waits until all events so far are written, but at most for `timeout`. For the end of the process.
    pub fn flush(&self, timeout: Duration) {
        self.0.outbox.flush(timeout);
    }

    /// Keeps the problems up to date that events are not written, and that old files are not removed. Never
    /// returns.
    pub async fn report_problems(self, problem_board: ProblemBoard) {
        let mut drops = Drops::default();
        loop {
            let status = self.status();
            let folder = self.0.config.folder.display();
            let report = |code, cause: Option<String>, remedy| match cause {
                Some(cause) => problem_board.report(code, SUBJECT, cause, remedy),
                None => problem_board.resolve(code, SUBJECT),
            };
            let remedy = format!(
                "free some space for {folder}, or make it writable; the daemon works all the same, but its \
                 history lacks these events"
            );
            let cause = cause_of(&status, &mut drops, self.0.clock.now());
            report(&JOURNAL_NOT_WRITTEN, cause, remedy);
            let remedy = format!(
                "remove it, or let the user of this daemon remove files in {folder}; it is tried again all the time"
            );
            report(&JOURNAL_NOT_CLEANED, status.cleaning_trouble, remedy);
            tokio::time::sleep(REPORT_INTERVAL).await;
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

/// What is wrong, if anything is: nothing can be written, or events were dropped a short time ago.
fn cause_of(status: &JournalStatus, drops: &mut Drops, now: Timestamp) -> Option<String> {
    let is_recent = drops.are_recent(status.dropped_count, now);
    let count = usize::try_from(status.dropped_count).unwrap_or(usize::MAX);
    let missing = format::count(count, "event is", "events are") + " missing in its files";
    match &status.trouble {
        Some(error) if count > 0 => Some(format!("{error}; {missing}")),
        Some(error) => Some(error.clone()),
        None => is_recent.then_some(missing),
    }
}
