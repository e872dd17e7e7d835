//! Jobs that had their runners before this process started.
//!
//! Their clients have no reason to ask again, so that the core never knows them. Their monitors report what
//! becomes of them, by which their stories are continued. Not responsible for jobs that the core knows.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use daemon::journal::Entry;
use parking_lot::Mutex;
use queue_core::{PastRun, Report, ServerId};
use shared::{
    clock::Timestamp,
    values::UniqueId,
    wire::{ReservationReport, ReservationState},
};

use crate::recorder::{ASSIGNED, EXPIRED, FINAL_EVENTS, FINISHED, FIRST_EVENT, RESTORED};

/// A job that was assigned within this time did not wait for a runner.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The unfinished jobs, by name.
#[derive(Debug, Default)]
pub struct Unfinished(Mutex<BTreeMap<UniqueId, Job>>);

/// What is known of one.
#[derive(Debug)]
struct Job {
    enqueued_at: Timestamp,
    /// The event with its runners, once it has them.
    assigned: Option<Arc<Entry>>,
    started_at: Option<Timestamp>,
    /// The server that this process has seen hold its runners.
    held_by: Option<ServerId>,
    /// Its first event, which has its facts.
    first: Arc<Entry>,
}

impl Unfinished {
    /// Finds them in the events of an earlier process, oldest first.
    pub fn find(events: &[Arc<Entry>]) -> Self {
        let mut jobs = BTreeMap::new();
        for entry in events {
            if let Some(unique_id) = &entry.unique_id {
                continue_story(&mut jobs, unique_id, entry);
            }
        }
        jobs.retain(|_, job: &mut Job| job.assigned.is_some());
        Self(Mutex::new(jobs))
    }

    /// The unfinished jobs as the core learns of them.
    pub fn running(&self) -> Vec<PastRun> {
        let jobs = self.0.lock();
        let running = jobs.iter().filter_map(|(unique_id, job)| {
            Some(PastRun::Running {
                unique_id: unique_id.clone(),
                qualified_repo: job.first.qualified_repo.clone()?,
                assigned_at: job.assigned.as_ref()?.at,
                has_waited: job.assigned.as_ref()?.at.since(job.enqueued_at) > AT_ONCE,
            })
        });
        running.collect()
    }

    /// The core knows the job, and continues its story.
    pub fn remove(&self, unique_id: &UniqueId) {
        let mut jobs = self.0.lock();
        if !jobs.is_empty() {
            jobs.remove(unique_id);
        }
    }

    /// The events that follow from the report of a server.
    pub fn observe(&self, now: Timestamp, server: ServerId, report: &Report) -> Vec<Entry> {
        let mut events = Vec::new();
        let Some(reservations) = &report.reservations else {
            return events;
        };
        self.0.lock().retain(|unique_id, job| {
            let is_of_server = report.proven.get(unique_id) == Some(&server);
            match reservations.get(unique_id) {
                Some(reservation) if is_of_server => {
                    job.held_by = Some(server);
                    job.observe(now, reservation, &mut events)
                }
                // A monitor remembers for a day that a job has finished; one that has not expires.
                None if job.held_by == Some(server) && !report.is_truncated => {
                    events.push(job.ended(now, EXPIRED));
                    false
                }
                _ => true,
            }
        });
        events
    }
}

fn continue_story(jobs: &mut BTreeMap<UniqueId, Job>, unique_id: &UniqueId, entry: &Arc<Entry>) {
    let name = &*entry.event;
    if FINAL_EVENTS.contains(&name) {
        jobs.remove(unique_id);
    } else if name == FIRST_EVENT || name == RESTORED {
        let job = Job {
            enqueued_at: entry.get_time("enqueued_at").unwrap_or(entry.at),
            assigned: None,
            started_at: None,
            held_by: None,
            first: Arc::clone(entry),
        };
        jobs.insert(unique_id.clone(), job);
    } else if let Some(job) = jobs.get_mut(unique_id) {
        match name {
            ASSIGNED => job.assigned = Some(Arc::clone(entry)),
            "job_started" => job.started_at = Some(entry.at),
            "job_returned" => job.assigned = None,
            _ => {}
        }
    }
}

impl Job {
    /// Adds the events that follow from the reservation; `false` if the job is over.
    fn observe(
        &mut self,
        now: Timestamp,
        reservation: &ReservationReport,
        events: &mut Vec<Entry>,
    ) -> bool {
        if (reservation.enqueued_at).is_some_and(|reserved| reserved < self.enqueued_at) {
            return true;
        }
        match reservation.state {
            ReservationState::Held => true,
            ReservationState::Used => {
                if self.started_at.is_none() {
                    self.started_at = Some(now);
                    events.push(self.event(now, "job_started"));
                }
                true
            }
            ReservationState::Finished => {
                events.push(self.ended(now, FINISHED));
                false
            }
        }
    }

    fn event(&self, at: Timestamp, name: &'static str) -> Entry {
        let of_job = (*self.first).clone();
        Entry {
            server: None,
            runner: None,
            facts: Vec::new(),
            at,
            event: name.into(),
            ..of_job
        }
    }

    /// The last event of its story.
    fn ended(&self, now: Timestamp, name: &'static str) -> Entry {
        let count = self.first.get("count").cloned().unwrap_or(1.into());
        let mut entry = self
            .event(now, name)
            .fact("count", count)
            .time("enqueued_at", self.enqueued_at);
        if let Some(lane) = self.first.get("lane") {
            entry = entry.fact("lane", lane.clone());
        }
        if let Some(assigned) = &self.assigned {
            entry = entry.time("assigned_at", assigned.at);
            entry.server.clone_from(&assigned.server);
            entry.runner = assigned.runner;
        }
        if let Some(started_at) = self.started_at {
            entry = entry.time("started_at", started_at);
        }
        let runners = self.assigned.as_ref().and_then(|it| it.get("runners"));
        match runners {
            Some(runners) => entry.fact("runners", runners.clone()),
            None => entry,
        }
    }
}
