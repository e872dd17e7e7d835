//! The jobs that have runners and those that are over, as the events of the queue tell of them.
//!
//! The dashboard shows the jobs that wait; only events show what became of them. With a token they also
//! tell the `unique_id` behind a public id, without which nothing can be done to a job.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;
use shared::{clock::Timestamp, values::UniqueId};

use crate::{client::JournalEvent, output::printable};

/// The most jobs that are remembered after their end.
const ENDED_MAX: usize = 1000;
/// The most jobs that are remembered at all. The queue itself has a limit on them.
const JOBS_MAX: usize = 50_000;
/// The longest text of an event that is kept, in characters.
const TEXT_MAX: usize = 200;

/// A job as events tell of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownJob {
    /// Its name; only with a token.
    pub unique_id: Option<UniqueId>,
    /// The repository and the workflow run that it is for.
    pub qualified_repo: String,
    /// See `qualified_repo`.
    pub run_id: u64,
    /// Its profile.
    pub profile_key: String,
    /// How many runners it needs.
    pub count: u64,
    /// When it was enqueued.
    pub enqueued_at: Option<Timestamp>,
    /// When it got its runners, if it has any.
    pub assigned_at: Option<Timestamp>,
    /// When a workflow job was first seen on them.
    pub started_at: Option<Timestamp>,
    /// How it ended, and when.
    pub ended: Option<(String, Timestamp)>,
    /// Its runners: server and id; only with a token.
    pub runners: Vec<(String, u64)>,
}

/// All jobs that events tell of, by public id.
#[derive(Clone, Debug, Default)]
pub struct JobLog {
    jobs: BTreeMap<String, KnownJob>,
    /// The jobs that are over, in the order of their ends.
    ended: VecDeque<String>,
}

impl JobLog {
    /// Adds what an event tells. Other events than those of jobs are passed over.
    pub fn add(&mut self, event: &JournalEvent) {
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        let number = |name: &str| event.get(name).and_then(Value::as_u64);
        let time = |name: &str| number(name).map(Timestamp::from_micros);
        let Some(step) = text("event").and_then(|name| name.strip_prefix("job_")) else {
            return;
        };
        let unique_id = text("unique_id").and_then(|id| id.parse::<UniqueId>().ok());
        let public_id = match (&unique_id, text("public_id")) {
            (Some(unique_id), _) => unique_id.public_id().to_string(),
            (None, Some(public_id)) => printable(public_id, TEXT_MAX),
            (None, None) => return,
        };
        if self.jobs.len() >= JOBS_MAX && !self.jobs.contains_key(&public_id) {
            return;
        }
        let at = time("at").unwrap_or_default();
        let job = self.jobs.entry(public_id.clone()).or_default();
        job.unique_id = unique_id.or(job.unique_id.take());
        let clean = |name| text(name).map(|text| printable(text, TEXT_MAX));
        job.qualified_repo = clean("qualified_repo").unwrap_or_default();
        job.run_id = number("run_id").unwrap_or_default();
        job.profile_key = clean("profile_key").unwrap_or_default();
        job.count = number("count").unwrap_or(job.count);
        job.enqueued_at = time("enqueued_at").or(job.enqueued_at);
        match step {
            // It waits, perhaps once more.
            "enqueued" | "restored" | "returned" => {
                job.ended = None;
                job.assigned_at = None;
                job.started_at = None;
                job.runners.clear();
                self.ended.retain(|ended| *ended != public_id);
            }
            "assigned" => {
                job.assigned_at = Some(at);
                job.runners = runners(event);
            }
            "started" => job.started_at = Some(at),
            "finished" | "expired" | "withdrawn" | "abandoned" => {
                job.assigned_at = time("assigned_at").or(job.assigned_at);
                job.started_at = time("started_at").or(job.started_at);
                if job.ended.replace((step.to_owned(), at)).is_none() {
                    self.ended.push_back(public_id);
                }
                self.forget_the_oldest();
            }
            _ => {}
        }
    }

    fn forget_the_oldest(&mut self) {
        while self.ended.len() > ENDED_MAX
            && let Some(oldest) = self.ended.pop_front()
        {
            self.jobs.remove(&oldest);
        }
    }

    /// What is known of the job with this public id.
    pub fn get(&self, public_id: &str) -> Option<&KnownJob> {
        self.jobs.get(public_id)
    }

    /// The jobs that have runners, the longest first.
    pub fn running(&self) -> Vec<(&str, &KnownJob)> {
        let jobs = self.jobs.iter();
        let running = jobs.filter(|(_, job)| job.ended.is_none() && job.assigned_at.is_some());
        let mut running: Vec<_> = running.map(|(id, job)| (id.as_str(), job)).collect();
        running.sort_by_key(|(_, job)| job.assigned_at);
        running
    }

    /// The jobs that are over, the last ended first.
    pub fn ended(&self) -> impl Iterator<Item = (&str, &KnownJob)> {
        let ended = self.ended.iter().rev();
        ended.filter_map(|id| Some((id.as_str(), self.jobs.get(id)?)))
    }

    /// The job that has this runner of this server.
    pub fn on_runner(&self, server: &str, runner: u64) -> Option<&KnownJob> {
        let has = |job: &&KnownJob| {
            job.runners
                .iter()
                .any(|it| it.0 == server && it.1 == runner)
        };
        let mut jobs = self.jobs.values().filter(|job| job.ended.is_none());
        jobs.find(has)
    }
}

/// The runners that an event names: one in its own fields, or several in a list.
fn runners(event: &JournalEvent) -> Vec<(String, u64)> {
    let one = |server: Option<&Value>, runner: Option<&Value>| {
        Some((server?.as_str()?.to_owned(), runner?.as_u64()?))
    };
    match event.get("runners").and_then(Value::as_array) {
        Some(several) => several
            .iter()
            .filter_map(|it| one(it.get("server"), it.get("runner")))
            .collect(),
        None => Vec::from_iter(one(event.get("server"), event.get("runner"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn log(events: &[Value]) -> JobLog {
        let mut log = JobLog::default();
        for event in events {
            log.add(event.as_object().unwrap());
        }
        log
    }

    fn event(at: u64, name: &str, id: &str, facts: Value) -> Value {
        let mut event = json!({"at": at, "event": name, "unique_id": id, "qualified_repo": "a/b", "run_id": 7,
            "profile_key": "linux"});
        let facts = facts.as_object().unwrap().clone();
        event.as_object_mut().unwrap().extend(facts);
        event
    }

    #[test]
    fn a_job_runs_from_its_assignment_to_its_end() {
        let mut events = vec![
            event(
                1,
                "job_enqueued",
                "a",
                json!({"count": 2, "enqueued_at": 1}),
            ),
            event(
                2,
                "job_assigned",
                "a",
                json!({"runners": [{"server": "s", "runner": 1}, {"server": "s", "runner": 2}]}),
            ),
            event(3, "job_started", "a", json!({})),
        ];
        let running = log(&events);
        let [(id, job)] = running.running()[..] else {
            panic!("{running:?}");
        };
        assert_eq!(id, "a".parse::<UniqueId>().unwrap().public_id().to_string());
        assert_eq!((job.count, job.runners.len()), (2, 2));
        assert_eq!(running.on_runner("s", 2), Some(job));
        assert_eq!(running.on_runner("t", 2), None);
        events.push(event(9, "job_finished", "a", json!({})));
        let over = log(&events);
        assert!(over.running().is_empty());
        assert_eq!(over.on_runner("s", 2), None);
        let (_, job) = over.ended().next().unwrap();
        let ended = ("finished".to_owned(), Timestamp::from_micros(9));
        assert_eq!(job.ended, Some(ended));
        assert_eq!(job.started_at, Some(Timestamp::from_micros(3)));
    }

    #[test]
    fn a_job_that_waits_again_has_no_runners_and_has_not_ended() {
        let assigned = json!({"server": "s", "runner": 1});
        for last in ["job_returned", "job_restored"] {
            let log = log(&[
                event(2, "job_assigned", "a", assigned.clone()),
                event(3, "job_expired", "a", json!({})),
                event(4, last, "a", json!({})),
            ]);
            assert!(log.running().is_empty() && log.ended().next().is_none());
        }
    }

    #[test]
    fn the_jobs_that_are_remembered_after_their_end_are_limited() {
        let ends = (0..ENDED_MAX as u64 + 5)
            .map(|at| event(at, "job_withdrawn", &format!("job-{at}"), json!({})));
        let log = log(&ends.collect::<Vec<_>>());
        assert_eq!((log.jobs.len(), log.ended.len()), (ENDED_MAX, ENDED_MAX));
        let (_, newest) = log.ended().next().unwrap();
        let (_, at) = newest.ended.as_ref().unwrap();
        assert_eq!(at.as_micros(), ENDED_MAX as u64 + 4);
    }

    #[test]
    fn without_a_token_a_job_has_its_public_id_only() {
        let event = json!({"at": 1, "event": "job_enqueued", "public_id": "0123", "run_id": 7});
        let log = log(&[event, json!({"event": "problem_began"}), json!({})]);
        assert_eq!(log.get("0123").unwrap().unique_id, None);
        assert_eq!(log.jobs.len(), 1);
    }
}
