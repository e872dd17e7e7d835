//! Puts the events of the core into the journal, in their order.
//!
//! Responsible for the names and facts of events. Events are collected under the core's lock, which is all
//! that happens there, and recorded after it has been released.

use std::{collections::VecDeque, sync::Arc};

use daemon::journal::{Entry, Journal, Subject};
use parking_lot::Mutex;
use queue_core::{
    Assignment, GrantEnd, JobEvent, JobStep, PastRun, Replacement, Report, Retirement, ServerId,
    ServerRunners,
};
use serde_json::{Value, json};
use shared::clock::Timestamp;

use crate::{job_metrics, past_runs, unfinished::Unfinished, waits::Waits};

/// The name of the event with which the story of a job begins.
pub const FIRST_EVENT: &str = "job_enqueued";
/// The name of the event with which a job is restored from its ticket.
pub const RESTORED: &str = "job_restored";
/// The name of the event with which a job has all its runners.
pub const ASSIGNED: &str = "job_assigned";
/// The names of the events with which a job is over; without `job_`, they are its outcomes.
pub const FINAL_EVENTS: [&str; 4] = [FINISHED, EXPIRED, "job_withdrawn", "job_abandoned"];
/// The name of the event with which the runners of a job have done it.
pub const FINISHED: &str = "job_finished";
/// The name of the event with which the runners of a job were unused for too long.
pub const EXPIRED: &str = "job_expired";
/// The name of the event with which the successor of a runner is idle.
pub const REPLACED: &str = "runner_replaced";
/// Its fact with the time since the end of the runner, in milliseconds.
pub const TOOK_MILLIS: &str = "took_milliseconds";

/// An event of the core.
pub enum Event {
    /// A step of a job.
    Job(JobEvent),
    /// A runner was replaced.
    Replaced(Replacement),
}

/// Records the events of the core. Cheap to clone.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    journal: Journal,
    /// The URLs of the servers, by `ServerId`.
    servers: Vec<String>,
    /// Events that are not recorded yet, in the order of the core.
    pending: Mutex<VecDeque<Event>>,
    /// Held while events are recorded, so that they stay in order.
    recording: Mutex<()>,
    unfinished: Unfinished,
    past_runs: Mutex<Vec<PastRun>>,
    waits: Waits,
}

impl Recorder {
    /// Records in `journal`.
    pub fn new(journal: Journal, servers: Vec<String>) -> Self {
        let recent = journal.recent();
        let unfinished = Unfinished::find(&recent);
        let past_runs = past_runs::ended(&recent).chain(unfinished.running());
        let past_runs = Mutex::new(past_runs.collect());
        let waits = Waits::find(&recent);
        Self(Arc::new(Shared {
            journal,
            servers,
            pending: Mutex::default(),
            recording: Mutex::default(),
            unfinished,
            past_runs,
            waits,
        }))
    }

    /// Removes what earlier processes recorded of how long jobs take, for `Queue::restore`.
    pub fn take_past_runs(&self) -> Vec<PastRun> {
        std::mem::take(&mut self.0.past_runs.lock())
    }

    /// How long jobs waited lately.
    pub fn waits(&self) -> Waits {
        self.0.waits.clone()
    }

    /// Adds an event. Called under the core's lock.
    pub fn add(&self, event: Event) {
        self.0.pending.lock().push_back(event);
    }

    /// Records everything that was added before. Called without the core's lock, and before clients are
    /// answered, so that they find what has happened.
    pub fn record_all(&self) {
        let _turn = self.0.recording.lock();
        loop {
            let Some(event) = self.0.pending.lock().pop_front() else {
                return;
            };
            let event = match event {
                Event::Job(event) => event,
                Event::Replaced(replacement) => {
                    self.0.journal.record(self.0.replacement(replacement));
                    continue;
                }
            };
            self.0.unfinished.remove(&event.job.unique_id);
            if !self.0.is_known_end(&event) {
                job_metrics::observe(&event, &self.0.servers);
                self.0.waits.observe(&event);
                self.0.journal.record(self.0.entry(event));
            }
        }
    }

    /// Records what the report of a server tells of jobs that the core does not know, because they had
    /// their runners before this process started.
    pub fn observe(&self, now: Timestamp, server: ServerId, report: &Report) {
        for entry in self.0.unfinished.observe(now, server, report) {
            self.0.journal.record(entry);
        }
    }
}

impl Shared {
    /// Whether the event is the end of a job that was recorded already: after a restart, the ticket of a
    /// finished job can arrive any number of times.
    fn is_known_end(&self, event: &JobEvent) -> bool {
        let JobStep::Retired {
            retirement: Retirement::Ended(GrantEnd::Finished),
            assignment,
        } = &event.step
        else {
            return false;
        };
        if assignment.assigned_at.is_some() {
            return false;
        }
        let subject = Subject::Job(event.job.unique_id.clone());
        let story = self.journal.recent_story(&subject, FIRST_EVENT);
        let last = story.entries.last();
        last.is_some_and(|last| {
            last.event == FINISHED && last.get_time("enqueued_at") == Some(event.enqueued_at)
        })
    }

    fn replacement(&self, replacement: Replacement) -> Entry {
        let took = u64::try_from(replacement.took.as_millis()).unwrap_or(u64::MAX);
        let entry = Entry {
            server: self.servers.get(replacement.server).cloned(),
            profile_key: Some(replacement.profile_key),
            runner: Some(replacement.runner),
            ..Entry::new(replacement.at, REPLACED)
        };
        entry.fact(TOOK_MILLIS, took)
    }

    fn entry(&self, event: JobEvent) -> Entry {
        let JobEvent {
            at,
            job,
            enqueued_at,
            queued_at,
            lane,
            step,
        } = event;
        let with_place = |entry: Entry| {
            let entry = entry.time("enqueued_at", enqueued_at);
            let entry = match &lane {
                Some(lane) => entry.fact("lane", lane.as_str()),
                None => entry,
            };
            match queued_at == enqueued_at {
                true => entry,
                false => entry.time("queued_at", queued_at),
            }
        };
        let about = |name| Entry {
            unique_id: Some(job.unique_id.clone()),
            qualified_repo: Some(job.qualified_repo.clone()),
            run_id: Some(job.run_id),
            profile_key: Some(job.profile_key.clone()),
            ..Entry::new(at, name)
        };
        let at_server = |name, server: ServerId| Entry {
            server: self.servers.get(server).cloned(),
            ..about(name)
        };
        match step {
            JobStep::Enqueued { by } => {
                let entry = about(FIRST_EVENT).fact("count", job.count.get());
                with_place(entry.fact("by", by.name()))
            }
            JobStep::Restored => with_place(about(RESTORED).fact("count", job.count.get())),
            JobStep::PassedOver { reason } => {
                about("job_passed_over").fact("reason", reason.name())
            }
            JobStep::Forwarded { server, count } => {
                at_server("job_forwarded", server).fact("count", count.get())
            }
            JobStep::Refused {
                server,
                reason,
                answer,
            } => {
                let entry = at_server("job_refused", server).fact("reason", reason.name());
                match answer.is_empty() {
                    true => entry,
                    false => entry.fact("answer", answer),
                }
            }
            JobStep::Assigned { runners, .. } => self.with_runners(about(ASSIGNED), &runners),
            JobStep::Delivered => about("job_delivered"),
            JobStep::NotDelivered => about("job_not_delivered"),
            JobStep::Started => about("job_started"),
            JobStep::Returned => about("job_returned"),
            JobStep::Retired {
                retirement,
                assignment,
            } => {
                let entry = ended(&retirement, about).fact("count", job.count.get());
                self.with_assignment(with_place(entry), &assignment)
            }
        }
    }

    fn with_assignment(&self, mut entry: Entry, assignment: &Assignment) -> Entry {
        if let Some(assigned_at) = assignment.assigned_at {
            entry = entry.time("assigned_at", assigned_at);
        }
        if let Some(started_at) = assignment.started_at {
            entry = entry.time("started_at", started_at);
        }
        self.with_runners(entry, &assignment.runners)
    }

    /// Adds the runners of a job: one in the fields `server` and `runner`, and all as the fact `runners`.
    fn with_runners(&self, mut entry: Entry, runners: &[ServerRunners]) -> Entry {
        let all: Vec<Value> = runners
            .iter()
            .flat_map(|of_server| {
                let server = self.servers.get(of_server.server);
                let runners = of_server.runners.iter();
                runners.map(move |runner| json!({ "server": server, "runner": runner }))
            })
            .collect();
        match (runners, &all[..]) {
            ([of_server], [_]) => {
                entry.server = self.servers.get(of_server.server).cloned();
                entry.runner = of_server.runners.first().copied();
                entry
            }
            (_, []) => entry,
            _ => entry.fact("runners", all),
        }
    }
}

/// The event with which a job is over.
fn ended(retirement: &Retirement, about: impl Fn(&'static str) -> Entry) -> Entry {
    let [finished, expired, withdrawn, abandoned] = FINAL_EVENTS;
    match retirement {
        Retirement::Ended(GrantEnd::Finished) => about(finished),
        Retirement::Ended(GrantEnd::Expired) => about(expired),
        Retirement::Withdrawn(by) => about(withdrawn).fact("by", by.name()),
        Retirement::Abandoned { silent_since } => {
            about(abandoned).time("silent_since", *silent_since)
        }
    }
}
