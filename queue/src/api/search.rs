//! Finds waiting jobs by parts of their repository, workflow run, profile or public id.
//!
//! Responsible for what a search costs: all jobs are copied at most once a second, so that the core's lock
//! is held for a moment, and only some of those that are found are looked at further.

use std::{sync::Arc, time::Duration};

use daemon::snapshot::SnapshotCache;
use queue_core::JobView;
use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    values::{ProfileKey, PublicId, UniqueId},
};

use super::AppState;

/// The longest search text, in characters; the rest is ignored.
const TEXT_LENGTH_MAX: usize = 200;
/// The most jobs that are searched.
const JOBS_MAX: usize = 10_000;
/// The most jobs of one result.
const FOUND_MAX: usize = 100;
/// How old the copy may be that is searched.
const COPY_AGE_MAX: Duration = Duration::from_secs(1);

/// The jobs as they were a moment ago.
pub struct JobIndex {
    copy: SnapshotCache<Vec<IndexedJob>>,
}

struct IndexedJob {
    unique_id: UniqueId,
    public_id: PublicId,
    text: String,
}

/// What people look for: words, each of which a job must contain.
pub struct SearchText {
    text: String,
    words: Vec<String>,
}

/// The waiting jobs that match.
pub struct Found {
    /// How many match.
    pub total: usize,
    /// The first of them, by profile and position: position, profile, job.
    pub jobs: Vec<(u64, ProfileKey, JobView)>,
}

impl Default for JobIndex {
    fn default() -> Self {
        Self {
            copy: SnapshotCache::new(COPY_AGE_MAX),
        }
    }
}

impl SearchText {
    /// The words of this text; `None` if there are none.
    pub fn new(text: &str) -> Option<Self> {
        let text: String = text.trim().chars().take(TEXT_LENGTH_MAX).collect();
        let words = text.to_lowercase();
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        (!words.is_empty()).then_some(Self { text, words })
    }

    /// The text as it was entered.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a job contains all words.
    pub fn matches(&self, repo: &str, run_id: u64, profile_key: &str, public_id: PublicId) -> bool {
        self.is_in(&text_of(repo, run_id, profile_key, public_id))
    }

    fn is_in(&self, text: &str) -> bool {
        self.words.iter().all(|word| text.contains(word.as_str()))
    }
}

/// What is searched of a job, in lower case.
fn text_of(repo: &str, run_id: u64, profile_key: &str, public_id: PublicId) -> String {
    format!("{repo} run {run_id} {profile_key} {public_id}").to_lowercase()
}

impl JobIndex {
    /// The jobs that match, with what is known of them now.
    pub fn search(&self, state: &AppState, text: &SearchText) -> Found {
        let jobs = self.latest(state);
        let mut matching = jobs.iter().filter(|job| text.is_in(&job.text));
        let first: Vec<UniqueId> = matching
            .by_ref()
            .take(FOUND_MAX)
            .map(|job| job.unique_id.clone())
            .collect();
        let total = first.len() + matching.count();
        let jobs = state
            .event_loop
            .read(|queue, now| queue.job_views(now, &first));
        Found { total, jobs }
    }

    /// The job with this public id, if it waits.
    pub fn find(&self, state: &AppState, public_id: PublicId) -> Option<UniqueId> {
        let jobs = self.latest(state);
        let job = jobs.iter().find(|job| job.public_id == public_id);
        job.map(|job| job.unique_id.clone())
    }

    fn latest(&self, state: &AppState) -> Arc<Vec<IndexedJob>> {
        self.copy.get(state.event_loop.now(), || {
            let specs: Vec<(JobSpec, Timestamp)> = state.event_loop.read(|queue, _| {
                let queued = queue.jobs().filter(|job| job.is_queued());
                let spec = |job: &queue_core::Job| {
                    let ticket = job.ticket();
                    (ticket.request.spec.clone(), ticket.enqueued_at)
                };
                queued.take(JOBS_MAX).map(spec).collect()
            });
            index(specs)
        })
    }
}

fn index(mut specs: Vec<(JobSpec, Timestamp)>) -> Vec<IndexedJob> {
    specs.sort_by(|(spec, enqueued_at), (other, other_at)| {
        (&spec.profile_key, enqueued_at).cmp(&(&other.profile_key, other_at))
    });
    let indexed = |(spec, _): (JobSpec, Timestamp)| {
        let public_id = spec.unique_id.public_id();
        let (repo, profile) = (spec.qualified_repo.as_str(), spec.profile_key.as_str());
        IndexedJob {
            text: text_of(repo, spec.run_id.0, profile, public_id),
            unique_id: spec.unique_id,
            public_id,
        }
    };
    specs.into_iter().map(indexed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_matches_if_it_contains_every_word_in_any_case() {
        let public_id = "a".parse::<UniqueId>().unwrap().public_id();
        let matches = |text: &str| {
            let text = SearchText::new(text).unwrap();
            text.matches("servo/Servo", 4711, "linux", public_id)
        };
        for text in [
            "servo",
            "SERVO/servo 4711",
            "run 4711",
            "linux",
            &public_id.to_string(),
        ] {
            assert!(matches(text), "{text}");
        }
        for text in ["stylo", "servo 4712", "linux windows"] {
            assert!(!matches(text), "{text}");
        }
        assert!(SearchText::new("  ").is_none());
        let long = SearchText::new(&"x".repeat(1000)).unwrap();
        assert_eq!(long.as_str().len(), TEXT_LENGTH_MAX);
    }
}
