//! The jobs that are over, as the events of the queue tell of them: the dashboard has those that wait or run.

use std::collections::VecDeque;

use serde_json::Value;
use shared::{clock::Timestamp, values::UniqueId, wire::TakenFrom};

use crate::{client::JournalEvent, output::printable};

/// The most jobs that are remembered.
const ENDED_MAX: usize = 500;
/// The longest text of an event that is kept, in characters.
const TEXT_MAX: usize = 200;

/// A job that is over. Its last event has all of this.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedJob {
    /// Its public id.
    pub public_id: String,
    /// The repository and the workflow run that it was for.
    pub qualified_repo: String,
    /// See `qualified_repo`.
    pub run_id: u64,
    /// Its profile.
    pub profile_key: String,
    /// How many runners it needed.
    pub count: usize,
    /// When it was enqueued.
    pub enqueued_at: Option<Timestamp>,
    /// When it got its runners, if it got any.
    pub assigned_at: Option<Timestamp>,
    /// When a workflow job was first seen on them.
    pub started_at: Option<Timestamp>,
    /// How it ended: `finished`, `expired`, `withdrawn` or `abandoned`.
    pub outcome: String,
    /// When.
    pub ended_at: Timestamp,
    /// Its runners; only with a token.
    pub runners: Vec<TakenFrom>,
}

/// The jobs that ended last, the last first.
#[derive(Clone, Debug, Default)]
pub struct EndedJobs(VecDeque<EndedJob>);

impl EndedJobs {
    /// Adds what an event tells: that a job is over, or that it waits once more.
    pub fn add(&mut self, event: &JournalEvent) {
        let step = event.get("event").and_then(Value::as_str);
        let Some(step) = step.and_then(|name| name.strip_prefix("job_")) else {
            return;
        };
        let Some(public_id) = public_id(event) else {
            return;
        };
        match step {
            "enqueued" | "restored" => self.0.retain(|job| job.public_id != public_id),
            "finished" | "expired" | "withdrawn" | "abandoned" => {
                self.0.retain(|job| job.public_id != public_id);
                self.0.truncate(ENDED_MAX - 1);
                self.0.push_front(ended_job(public_id, step, event));
            }
            _ => {}
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &EndedJob> {
        self.0.iter()
    }

    /// The one with this public id.
    pub fn get(&self, public_id: &str) -> Option<&EndedJob> {
        self.0.iter().find(|job| job.public_id == public_id)
    }
}

/// The public id of the job that an event is about. Events with a token have its `unique_id` instead.
fn public_id(event: &JournalEvent) -> Option<String> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    match text("unique_id").map(str::parse::<UniqueId>) {
        Some(unique_id) => Some(unique_id.ok()?.public_id().to_string()),
        None => text("public_id").map(|it| printable(it, TEXT_MAX)),
    }
}

fn ended_job(public_id: String, outcome: &str, event: &JournalEvent) -> EndedJob {
    let number = |name: &str| event.get(name).and_then(Value::as_u64);
    let time = |name: &str| number(name).map(Timestamp::from_micros);
    let text = |name: &str| {
        let text = event.get(name).and_then(Value::as_str);
        printable(text.unwrap_or_default(), TEXT_MAX)
    };
    EndedJob {
        public_id,
        qualified_repo: text("qualified_repo"),
        run_id: number("run_id").unwrap_or_default(),
        profile_key: text("profile_key"),
        count: number("count")
            .and_then(|it| it.try_into().ok())
            .unwrap_or(1),
        enqueued_at: time("enqueued_at"),
        assigned_at: time("assigned_at"),
        started_at: time("started_at"),
        outcome: outcome.to_owned(),
        ended_at: time("at").unwrap_or_default(),
        runners: runners(event),
    }
}

/// The runners that an event names: one in its own fields, or several in a list.
fn runners(event: &JournalEvent) -> Vec<TakenFrom> {
    let all = event.get("runners").cloned();
    let all = all.unwrap_or_else(|| Value::Array(vec![Value::Object(event.clone())]));
    serde_json::from_value(all).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn jobs(events: &[Value]) -> EndedJobs {
        let mut jobs = EndedJobs::default();
        for event in events {
            jobs.add(event.as_object().unwrap());
        }
        jobs
    }

    fn event(at: u64, name: &str, id: &str, facts: Value) -> Value {
        let mut event = json!({"at": at, "event": name, "unique_id": id, "qualified_repo": "a/b", "run_id": 7,
            "profile_key": "linux"});
        let facts = facts.as_object().unwrap().clone();
        event.as_object_mut().unwrap().extend(facts);
        event
    }

    #[test]
    fn the_last_event_of_a_job_tells_everything_about_it() {
        let facts = json!({"count": 2, "enqueued_at": 1, "assigned_at": 2, "started_at": 3,
            "runners": [{"server": "s", "runner": 1}, {"server": "t", "runner": 2}]});
        let jobs = jobs(&[
            event(3, "job_started", "a", json!({})),
            event(9, "job_finished", "a", facts),
        ]);
        let [job] = &jobs.iter().collect::<Vec<_>>()[..] else {
            panic!("{jobs:?}");
        };
        let public_id = "a".parse::<UniqueId>().unwrap().public_id().to_string();
        assert_eq!(jobs.get(&public_id), Some(*job));
        assert_eq!((job.count, job.runners.len()), (2, 2));
        let times = [
            job.enqueued_at,
            job.assigned_at,
            job.started_at,
            Some(job.ended_at),
        ];
        assert_eq!(
            times,
            [1, 2, 3, 9].map(|at| Some(Timestamp::from_micros(at)))
        );
    }

    #[test]
    fn a_job_that_waits_again_has_not_ended() {
        let expired = event(3, "job_expired", "a", json!({"server": "s", "runner": 1}));
        let over = jobs(std::slice::from_ref(&expired));
        assert_eq!(over.iter().next().unwrap().runners[0].runner, 1);
        let jobs = jobs(&[expired, event(4, "job_restored", "a", json!({}))]);
        assert_eq!(jobs.iter().count(), 0);
    }

    #[test]
    fn the_jobs_that_are_remembered_are_limited() {
        let ends = (0..ENDED_MAX as u64 + 5)
            .map(|at| event(at, "job_withdrawn", &format!("job-{at}"), json!({})));
        let jobs = jobs(&ends.collect::<Vec<_>>());
        assert_eq!(jobs.iter().count(), ENDED_MAX);
        let newest = jobs.iter().next().unwrap();
        assert_eq!(newest.ended_at.as_micros(), ENDED_MAX as u64 + 4);
    }

    #[test]
    fn without_a_token_a_job_has_its_public_id_and_no_runners() {
        let event = json!({"at": 1, "event": "job_finished", "public_id": "0123", "run_id": 7});
        let jobs = jobs(&[event, json!({"event": "problem_began"}), json!({})]);
        assert_eq!(jobs.get("0123").unwrap().runners, []);
        assert_eq!(jobs.iter().count(), 1);
    }
}
