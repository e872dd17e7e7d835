//! What `ci-runners top` shows, as a pure state machine: it takes events and returns effects.
//!
//! - `ended`: the jobs that are over
//! - `keys`: what a key does in each mode
//! - `rows`: the rows of each list
//! - `details`: everything about one row
//!
//! No I/O, and no clock: the time is part of an event.

mod details;
mod ended;
mod keys;
mod rows;

use std::{collections::BTreeMap, time::Duration};

use ratatui::crossterm::event::KeyEvent;
use shared::{
    clock::Timestamp,
    values::{ProfileKey, UniqueId},
    wire::MonitorDashboard,
};

pub use self::{
    ended::EndedJobs,
    rows::{Row, Tone, clock, estimate as estimate_of, runner_key, short_name, tone_of},
};
use crate::{
    client::{JournalEvent, QueueDashboard},
    terminal::Look,
};

/// How long a message about a change is shown.
const NOTICE_SHOWN: Duration = Duration::from_secs(8);

/// What happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// The size of the screen has changed, so that it has to be drawn again.
    Resized,
    /// Time has passed.
    Tick(Timestamp),
    /// The queue was asked for its dashboard.
    Dashboard(Timestamp, Result<Box<QueueDashboard>, String>),
    /// A server was asked for its dashboard. It is named by its URL as the queue has it.
    Server(String, Timestamp, Result<Box<MonitorDashboard>, String>),
    /// The queue has recorded an event.
    Journal(JournalEvent),
    /// Whether the stream of events is open.
    Live(bool),
    /// The story of the job or runner with this key has arrived, in lines.
    Story(String, Result<Vec<String>, String>),
    /// A change was carried out, or failed: one sentence.
    Changed(Result<String, String>),
}

/// What the state wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// End the program.
    Quit,
    /// Get the story of a job.
    GetStory(UniqueId),
    /// Get the story of a runner, and what its guest has printed.
    GetRunner {
        /// The URL of its server.
        server: String,
        /// Its id there.
        id: u64,
    },
    /// Change something.
    Change(Change),
}

/// A change that needs a confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Withdraw a job.
    Withdraw(UniqueId),
    /// Drain a server.
    Drain {
        /// Its URL.
        server: String,
        /// Why.
        note: String,
    },
    /// End the drain of a server.
    Undrain {
        /// Its URL.
        server: String,
    },
    /// Pause a profile.
    Pause {
        /// The profile.
        profile: ProfileKey,
        /// Why.
        note: String,
    },
    /// End the pause of a profile.
    Resume {
        /// The profile.
        profile: ProfileKey,
    },
    /// Order the rebuild of an image.
    Rebuild {
        /// The URL of its server.
        server: String,
        /// The profile.
        profile: ProfileKey,
        /// Why.
        note: String,
    },
    /// Cancel the order for a rebuild.
    CancelRebuild {
        /// The URL of its server.
        server: String,
        /// The profile.
        profile: ProfileKey,
    },
    /// Destroy a runner.
    DestroyRunner {
        /// The URL of its server.
        server: String,
        /// Its id there.
        id: u64,
    },
}

/// The newest value of something that is polled, and why there is no newer one.
#[derive(Clone, Debug)]
pub struct Latest<T> {
    /// The last value, and when it arrived.
    pub value: Option<(T, Timestamp)>,
    /// Since when polls fail, and why.
    pub failure: Option<(Timestamp, String)>,
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self {
            value: None,
            failure: None,
        }
    }
}

impl<T> Latest<T> {
    fn update(&mut self, at: Timestamp, result: Result<T, String>) {
        match result {
            Ok(value) => {
                self.value = Some((value, at));
                self.failure = None;
            }
            Err(cause) => {
                let since = self.failure.as_ref().map_or(at, |(since, _)| *since);
                self.failure = Some((since, cause));
            }
        }
    }

    /// The value alone.
    pub fn get(&self) -> Option<&T> {
        self.value.as_ref().map(|(value, _)| value)
    }
}

/// A list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tab {
    Waiting,
    Running,
    Finished,
    Runners,
    Servers,
    Problems,
}

impl Tab {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Running,
        Self::Finished,
        Self::Runners,
        Self::Servers,
        Self::Problems,
    ];

    /// Its name on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Running => "Running",
            Self::Finished => "Ended",
            Self::Runners => "Runners",
            Self::Servers => "Servers",
            Self::Problems => "Problems",
        }
    }
}

/// What gets a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The drain of the server with this URL.
    Drain(String),
    /// The pause of this profile.
    Pause(ProfileKey),
    /// The rebuild of the image of this profile by the server with this URL.
    Rebuild(String, ProfileKey),
}

/// What a profile is chosen for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To pause or resume it.
    Pause,
    /// To rebuild its image on the server with this URL, or to cancel that.
    Rebuild(String),
}

/// What keys act on.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// The list.
    List,
    /// The text of the filter.
    Filter,
    /// The help.
    Help,
    /// The note of a drain, pause or rebuild that is to begin.
    Note {
        /// What is to begin.
        order: Order,
        /// What has been typed.
        note: String,
    },
    /// Which profile is meant.
    Profiles {
        /// What for.
        purpose: Purpose,
        /// The key of the selected one.
        selected: String,
    },
    /// A change that was asked for: `y` carries it out.
    Confirm {
        /// The change.
        change: Change,
        /// What is asked.
        question: String,
    },
    /// Everything about one row.
    Details {
        /// The list, and the key of the row in it.
        tab: Tab,
        /// See `tab`.
        key: String,
        /// The story of the job or runner, once it has arrived.
        story: Option<Result<Vec<String>, String>>,
        /// How many lines are above the first one that is shown.
        scroll: u16,
    },
}

/// Everything that is shown.
#[derive(Clone, Debug)]
pub struct State {
    /// The URL of the queue.
    pub name: String,
    /// How it looks.
    pub look: Look,
    /// Whether there is a token for changes.
    pub can_change: bool,
    /// The current time.
    pub now: Timestamp,
    /// The dashboard of the queue.
    pub queue: Latest<QueueDashboard>,
    /// What each server says, by its URL.
    pub servers: BTreeMap<String, Latest<MonitorDashboard>>,
    /// The jobs that are over.
    pub ended: EndedJobs,
    /// Whether the stream of events is open.
    pub is_live: bool,
    /// The list that is shown.
    pub tab: Tab,
    /// The selected row of each list: its place, and its key.
    selected: BTreeMap<Tab, (usize, String)>,
    /// Only rows with this text are shown.
    pub filter: String,
    /// What keys act on.
    pub mode: Mode,
    /// What became of the last change, and since when it is shown.
    pub notice: Option<(Result<String, String>, Timestamp)>,
}

impl State {
    /// Nothing is known yet of the queue at this URL.
    pub fn new(name: String, look: Look, can_change: bool, now: Timestamp) -> Self {
        Self {
            name,
            look,
            can_change,
            now,
            queue: Latest::default(),
            servers: BTreeMap::new(),
            ended: EndedJobs::default(),
            is_live: false,
            tab: Tab::Waiting,
            selected: BTreeMap::new(),
            filter: String::new(),
            mode: Mode::List,
            notice: None,
        }
    }

    /// Handles an event. Returns what has to be done, if anything.
    pub fn handle(&mut self, event: Event) -> Option<Effect> {
        match event {
            Event::Key(key) => return self.handle_key(key),
            Event::Tick(now) => {
                self.now = now;
                let is_old = |at: Timestamp| now.since(at) >= NOTICE_SHOWN;
                self.notice.take_if(|(_, at)| is_old(*at));
            }
            Event::Dashboard(at, result) => {
                self.now = at;
                self.queue.update(at, result.map(|dashboard| *dashboard));
                self.forget_servers();
            }
            Event::Server(name, at, result) => {
                let server = self.servers.entry(name).or_default();
                server.update(at, result.map(|report| *report));
            }
            Event::Journal(event) => self.ended.add(&event),
            Event::Live(is_live) => self.is_live = is_live,
            Event::Resized => {}
            Event::Story(of, arrived) => {
                if let Mode::Details { key, story, .. } = &mut self.mode
                    && *key == of
                {
                    *story = Some(arrived);
                }
            }
            Event::Changed(result) => self.notice = Some((result, self.now)),
        }
        None
    }

    /// Whether what is shown is not what is: the queue does not answer.
    pub fn is_outdated(&self) -> bool {
        self.queue.failure.is_some()
    }

    /// The rows of the list that is shown.
    pub fn rows(&self) -> Vec<Row> {
        self.rows_of(self.tab)
    }

    /// The place of the selected row among `rows`; `None` if there are none. A row keeps its selection when it
    /// moves.
    pub fn selected(&self, rows: &[Row]) -> Option<usize> {
        let last = rows.len().checked_sub(1)?;
        let Some((place, key)) = self.selected.get(&self.tab) else {
            return Some(0);
        };
        let found = rows.iter().position(|row| row.key == *key);
        Some(found.unwrap_or(*place).min(last))
    }

    /// Forgets the servers that the queue does not have any more.
    fn forget_servers(&mut self) {
        if let Some((dashboard, _)) = &self.queue.value {
            let servers = &dashboard.servers;
            self.servers
                .retain(|name, _| servers.iter().any(|server| server.name == *name));
        }
    }

    fn say(&mut self, message: impl Into<String>) {
        self.notice = Some((Err(message.into()), self.now));
    }
}

#[cfg(test)]
pub(super) mod tests;
