//! What GitHub reports of workflow jobs: by webhooks, and by the jobs of a run.
//!
//! Responsible for the evidence that the job of a runner has ended. Guests do not end with their job, and
//! neither a list without a registration nor a response 404 proves that its job has ended. And for the
//! evidence that a runner had a job at all: one that ends between two lists was never seen busy.

use std::time::Duration;

use shared::{
    backoff::Backoff,
    clock::Timestamp,
    values::{QualifiedRepo, RunId},
};

use crate::{
    Monitor, RunnerId,
    state::{
        observed::Presence,
        reservation::Reservation,
        runner::{RunnerRecord, WorkflowRun},
        runner_event::RunnerStep,
    },
};

/// The pauses between queries about the jobs of a run.
const QUERY_BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(5),
    max: Duration::from_secs(300),
    jitter_percent: 50,
};
/// Maximum number of queries that are in flight at a time.
const QUERIES_MAX: usize = 4;

/// A webhook about a workflow job that has started or completed on a runner. Its signature is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowJobEvent {
    /// The name under which the runner is registered.
    pub runner_name: String,
    /// GitHub's id of the registration, if the webhook contains it.
    pub registration_id: Option<u64>,
    /// The run of the job, if the webhook contains it.
    pub workflow_run: Option<WorkflowRun>,
    /// Whether the job has completed; if not, it has started.
    pub has_completed: bool,
}

/// A query to GitHub about the jobs of a run: whether the one on a runner has completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobQuery {
    pub id: RunnerId,
    pub qualified_repo: QualifiedRepo,
    pub run_id: RunId,
    /// GitHub's id of the runner's registration.
    pub registration_id: Option<u64>,
    /// The name under which the runner was registered.
    pub runner_name: String,
}

/// What the jobs of a run show about the one on a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobProgress {
    /// No job of the run has been on that runner.
    Unknown,
    Running,
    Completed,
}

impl Monitor {
    /// A webhook reports that a job has started or completed on a runner.
    pub fn handle_webhook(&mut self, event: &WorkflowJobEvent, now: Timestamp) {
        if self.policy.parse_runner_name(&event.runner_name).is_some() {
            self.registration_schedule.request_soon();
        }
        let records = self.durable.runners.iter();
        // A runner whose registration is not known yet has no guest that could have a job: one of the same name
        // is another server's, whose suffix is the same.
        let mut named = records.filter(|(id, record)| {
            self.is_named(**id, record, &event.runner_name)
                && (event.registration_id.is_none()
                    || event.registration_id == record.registration_id)
        });
        let Some(id) = named.next().map(|(id, _)| *id) else {
            return;
        };
        self.registration_schedule.request_soon();
        let Some(record) = self.durable.runners.get_mut(&id) else {
            return;
        };
        record.workflow_run = event.workflow_run.clone().or(record.workflow_run.take());
        self.note_job_seen(id, now);
        let Some(record) = self.durable.runners.get_mut(&id) else {
            return;
        };
        if event.has_completed {
            self.note_job_completed(id);
        } else if !record.job_completed {
            // As recent as a refused deletion: older lists do not show it.
            record.found_busy_at = Some(now);
            record.not_busy_since = None;
        }
        self.note_used_reservations(now);
        self.mark_dirty();
    }

    /// The queries about jobs that are to be sent now: about runners that may have had a job, and that GitHub
    /// no longer lists or whose guest has ended. The caller passes each answer to
    /// [`handle_job_progress`](Self::handle_job_progress).
    pub fn start_job_queries(&mut self, now: Timestamp) -> Vec<JobQuery> {
        let records = self.durable.runners.iter();
        let in_flight = records.filter(|(_, record)| record.is_job_query_in_flight);
        let free = QUERIES_MAX.saturating_sub(in_flight.count());
        let records = self.durable.runners.iter();
        let due = records.filter(|(id, record)| self.needs_job_query(**id, record, now));
        let queries = due.filter_map(|(id, record)| self.job_query(*id, record));
        let queries: Vec<JobQuery> = queries.take(free).collect();
        for query in &queries {
            if let Some(record) = self.durable.runners.get_mut(&query.id) {
                record.is_job_query_in_flight = true;
            }
        }
        queries
    }

    fn needs_job_query(&self, id: RunnerId, record: &RunnerRecord, now: Timestamp) -> bool {
        if record.in_flight.is_some() || record.is_job_query_in_flight {
            return false;
        }
        let is_job_over = self.may_have_job(id, record)
            && record.unregistered.is_none()
            && record.unlisted_since.is_some()
            && record.was_listed
            && !record.has_evidence()
            && record.job_queries.retry_at() <= now
            && self.observed.guest(id, record) != Presence::Absent;
        is_job_over || self.may_have_had_unseen_job(id, record)
    }

    /// Whether a runner was reserved for a job, its guest has ended by itself, and it is unknown whether that
    /// was after a job: GitHub was not asked since. Until then the runner is not destroyed, so that the
    /// reservation does not end as unused.
    pub(crate) fn may_have_had_unseen_job(&self, id: RunnerId, record: &RunnerRecord) -> bool {
        record.guest_end.is_some()
            && !record.job_was_seen
            && !record.was_queried_after_end
            && record.must_destroy.is_none()
            && self.reserved_runners().contains_key(&id)
    }

    /// Whether a job may run on a runner: it was seen busy, or a workflow may know a label of it.
    pub(crate) fn may_have_job(&self, id: RunnerId, record: &RunnerRecord) -> bool {
        record.was_busy
            || record.workflow_run.is_some()
            || self.reserved_runners().contains_key(&id)
    }

    /// The query about a runner; none if the run of its job is unknown.
    fn job_query(&self, id: RunnerId, record: &RunnerRecord) -> Option<JobQuery> {
        let reserved = self.reserved_runners();
        let reservation = reserved
            .get(&id)
            .and_then(|unique_id| self.durable.reservations.get(*unique_id));
        let of_reservation = reservation.map(Reservation::workflow_run);
        let workflow_run = record.workflow_run.clone().or(of_reservation)?;
        Some(JobQuery {
            id,
            qualified_repo: workflow_run.qualified_repo,
            run_id: workflow_run.run_id,
            registration_id: record.registration_id,
            runner_name: self.runner_name(id, record),
        })
    }

    /// GitHub has answered a query about the job of a runner, or the query has failed; then `Err(Some(_))`
    /// is the pause that GitHub asked for.
    pub fn handle_job_progress(
        &mut self,
        id: RunnerId,
        answer: Result<JobProgress, Option<Duration>>,
        now: Timestamp,
    ) {
        let Some(record) = self.durable.runners.get_mut(&id) else {
            return;
        };
        record.is_job_query_in_flight = false;
        record.was_queried_after_end = record.guest_end.is_some();
        match answer {
            Ok(JobProgress::Completed) => {
                self.note_job_seen(id, now);
                self.note_job_completed(id);
                self.note_used_reservations(now);
            }
            Ok(progress) => {
                record
                    .job_queries
                    .record(now, QUERY_BACKOFF, Duration::ZERO);
                if progress == JobProgress::Running {
                    self.note_job_seen(id, now);
                }
                self.note_used_reservations(now);
            }
            Err(retry_after) => {
                let at_least = retry_after.unwrap_or_default();
                record.job_queries.record(now, QUERY_BACKOFF, at_least);
            }
        }
        self.mark_dirty();
    }

    /// GitHub shows at `now` that a job runs, or ran, on a runner.
    pub(super) fn note_job_seen(&mut self, id: RunnerId, now: Timestamp) {
        let Some(record) = self.durable.runners.get_mut(&id) else {
            return;
        };
        record.was_busy = true;
        record.busy_since.get_or_insert(now);
        if !std::mem::replace(&mut record.job_was_seen, true) {
            self.record_step(id, RunnerStep::Busy);
        }
    }

    fn note_job_completed(&mut self, id: RunnerId) {
        if let Some(record) = self.durable.runners.get_mut(&id)
            && !record.job_completed
        {
            record.job_completed = true;
            // Whatever was refused before may be possible now.
            if record.in_flight.is_none() {
                record.destroy_failures.reset();
            }
        }
    }
}

#[cfg(test)]
mod tests;
