//! Jobs of workflows: queueing, assignment in the order of queueing, and completion.
//!
//! ```text
//!  Queued ──(a runner fits)──▶ Assigned ──start──▶ Running ──complete, lost──▶ Completed
//!    ▲                            │
//!    └────(not started in time)───┘          cancel: at once, or when the runner has stopped
//! ```

use serde::Serialize;
use shared::{
    clock::Timestamp,
    values::{InvalidValue, QualifiedRepo, RunId},
};

use super::{
    JobId, Model, ModelError, Page, PageRequest, RunnerId,
    labels::check_names,
    runner::{Runner, Work},
};

/// Maximum length of a job's command, in bytes.
const COMMAND_LENGTH_MAX: usize = 64 * 1024;
/// How much of the end of a job's output is kept, in bytes.
pub(super) const OUTPUT_LENGTH_MAX: usize = 64 * 1024;

/// A job to queue.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub repo: QualifiedRepo,
    pub run_id: RunId,
    /// The labels of `runs-on`, 1 to 100. The runner must have all of them.
    pub labels: Vec<String>,
    /// A shell command.
    pub command: String,
}

/// The state of a job, as shown to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobView {
    pub id: JobId,
    pub repo: QualifiedRepo,
    pub run_id: RunId,
    pub labels: Vec<String>,
    #[serde(rename = "state")]
    pub phase: JobPhase,
    /// The registration of the runner that has started it, which may be gone by now.
    pub runner_id: Option<RunnerId>,
    /// The runner that has started it.
    pub runner_name: Option<String>,
    pub conclusion: Option<Conclusion>,
    /// The exit code of its command; none if it was killed.
    pub exit_code: Option<i32>,
    /// The end of its output.
    pub output_tail: String,
    /// In microseconds since the epoch, as all times here.
    pub queued_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
}

/// The phase of a job, as shown by GitHub. A job that is assigned but not started is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobPhase {
    Queued,
    InProgress,
    Completed,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Its command exited with code 0.
    Success,
    /// Its command failed, or its runner was lost.
    Failure,
    /// It was cancelled, or it found no runner in time.
    Cancelled,
}

/// A runner's report at the end of a job.
#[derive(Clone, Debug)]
pub struct Completion {
    /// None if the command was killed.
    pub exit_code: Option<i32>,
    /// The end of its output.
    pub output_tail: String,
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) repo: QualifiedRepo,
    pub(super) run_id: RunId,
    pub(super) labels: Vec<String>,
    pub(super) command: String,
    pub(super) queued_at: Timestamp,
    pub(super) state: JobState,
    pub(super) started: Option<(Timestamp, RunnerId, String)>,
    pub(super) is_cancel_requested: bool,
    output_tail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobState {
    Queued,
    Assigned {
        runner: RunnerId,
        at: Timestamp,
    },
    Running {
        runner: RunnerId,
    },
    Completed {
        at: Timestamp,
        conclusion: Conclusion,
        exit_code: Option<i32>,
    },
}

impl Job {
    /// Keeps the end of `output`, cut at a character boundary. Returns whether it has changed.
    pub(super) fn set_output(&mut self, mut output: String) -> bool {
        let excess = output.len().saturating_sub(OUTPUT_LENGTH_MAX);
        output.drain(..output.ceil_char_boundary(excess));
        let is_new = self.output_tail != output;
        self.output_tail = output;
        is_new
    }

    fn is_of(&self, repo: &QualifiedRepo, run_id: RunId) -> bool {
        self.run_id == run_id && self.repo.as_str().eq_ignore_ascii_case(repo.as_str())
    }

    fn view(&self, id: JobId) -> JobView {
        let (phase, ending) = match self.state {
            JobState::Queued | JobState::Assigned { .. } => (JobPhase::Queued, None),
            JobState::Running { .. } => (JobPhase::InProgress, None),
            JobState::Completed {
                at,
                conclusion,
                exit_code,
            } => (JobPhase::Completed, Some((at, conclusion, exit_code))),
        };
        JobView {
            id,
            repo: self.repo.clone(),
            run_id: self.run_id,
            labels: self.labels.clone(),
            phase,
            runner_id: self.started.as_ref().map(|&(_, id, _)| id),
            runner_name: self.started.as_ref().map(|(.., name)| name.clone()),
            conclusion: ending.map(|(_, conclusion, _)| conclusion),
            exit_code: ending.and_then(|(_, _, exit_code)| exit_code),
            output_tail: self.output_tail.clone(),
            queued_at: self.queued_at,
            started_at: self.started.as_ref().map(|&(at, ..)| at),
            completed_at: ending.map(|(at, ..)| at),
        }
    }
}

impl Model {
    /// Queues a job at the end of the queue.
    pub fn queue_job(&mut self, now: Timestamp, new: NewJob) -> Result<JobId, ModelError> {
        self.advance(now);
        check_names(&new.labels, 1)?;
        if new.command.len() > COMMAND_LENGTH_MAX {
            return Err(InvalidValue {
                field: "command",
                allowed: "at most 64 KiB",
            }
            .into());
        }
        self.drop_completed_job()?;
        let id = JobId(self.next_id());
        let job = Job {
            repo: new.repo,
            run_id: new.run_id,
            labels: new.labels,
            command: new.command,
            queued_at: now,
            state: JobState::Queued,
            started: None,
            is_cancel_requested: false,
            output_tail: String::new(),
        };
        self.jobs.insert(id, job);
        self.open_jobs.insert(id);
        self.changed();
        self.assign_jobs(now);
        Ok(id)
    }

    /// Drops the oldest completed job if there are too many jobs.
    fn drop_completed_job(&mut self) -> Result<(), ModelError> {
        if self.jobs.len() < self.settings.job_count_max {
            return Ok(());
        }
        let is_completed = |id: &&JobId| !self.open_jobs.contains(id);
        let oldest = self.jobs.keys().find(is_completed).copied();
        let dropped = oldest.ok_or(ModelError::Full { what: "jobs" })?;
        self.jobs.remove(&dropped);
        Ok(())
    }

    pub fn job(&mut self, now: Timestamp, id: JobId) -> Result<JobView, ModelError> {
        self.advance(now);
        self.jobs
            .get(&id)
            .map(|job| job.view(id))
            .ok_or(ModelError::NotFound)
    }

    /// All jobs, oldest first.
    pub fn jobs(&mut self, now: Timestamp) -> Vec<JobView> {
        self.advance(now);
        self.jobs.iter().map(|(&id, job)| job.view(id)).collect()
    }

    /// One page of a run's jobs, oldest first. An unknown run has none.
    pub fn jobs_of_run(
        &mut self,
        now: Timestamp,
        repo: &QualifiedRepo,
        run_id: RunId,
        page: PageRequest,
    ) -> Page<JobView> {
        self.advance(now);
        let of_run = self.jobs.iter().filter(|(_, job)| job.is_of(repo, run_id));
        let views: Vec<JobView> = of_run.map(|(&id, job)| job.view(id)).collect();
        page.cut(views.into_iter())
    }

    /// Cancels a job: at once if no runner has started it, otherwise when its runner has killed the
    /// command. Does not change a completed job.
    pub fn cancel_job(&mut self, now: Timestamp, id: JobId) -> Result<(), ModelError> {
        self.advance(now);
        let job = self.jobs.get_mut(&id).ok_or(ModelError::NotFound)?;
        match job.state {
            JobState::Completed { .. } => return Ok(()),
            JobState::Running { .. } => {
                job.is_cancel_requested = true;
                self.changed();
            }
            JobState::Queued | JobState::Assigned { .. } => {
                self.unassign(id);
                self.finish_job(now, id, Conclusion::Cancelled, None);
            }
        }
        self.assign_jobs(now);
        Ok(())
    }

    /// Cancels all jobs of a workflow run.
    pub fn cancel_run(
        &mut self,
        now: Timestamp,
        repo: &QualifiedRepo,
        run_id: RunId,
    ) -> Result<(), ModelError> {
        self.advance(now);
        let of_run = |job: &Job| job.is_of(repo, run_id);
        if !self.jobs.values().any(of_run) {
            return Err(ModelError::NotFound);
        }
        let open: Vec<JobId> = self
            .open_jobs
            .iter()
            .copied()
            .filter(|id| of_run(&self.jobs[id]))
            .collect();
        if open.is_empty() {
            return Err(ModelError::RunCompleted);
        }
        open.into_iter().try_for_each(|id| self.cancel_job(now, id))
    }

    /// Assigns each queued job, oldest first, to an idle runner with its labels: to the one that has
    /// missed the fewest jobs, then to the oldest.
    pub(super) fn assign_jobs(&mut self, now: Timestamp) {
        if self.is_assignment_blocked {
            return;
        }
        for &id in &self.open_jobs {
            let job = self.jobs.get_mut(&id).expect("an open job is a job");
            if job.state != JobState::Queued {
                continue;
            }
            let fits = |runner: &&mut Runner| {
                runner.is_online()
                    && runner.work == Work::Idle
                    && runner.scope.serves(&job.repo)
                    && runner.labels.has_all(&job.labels)
            };
            let candidates = self.runners.values_mut().filter(fits);
            if let Some(runner) = candidates.min_by_key(|runner| (runner.missed_count, runner.id)) {
                runner.work = Work::Assigned(id);
                job.state = JobState::Assigned {
                    runner: runner.id,
                    at: now,
                };
                self.change_count += 1;
            }
        }
    }

    /// Queues an assigned job again; returns its runner.
    pub(super) fn unassign(&mut self, id: JobId) -> Option<&mut Runner> {
        let job = self.jobs.get_mut(&id)?;
        let JobState::Assigned { runner, .. } = job.state else {
            return None;
        };
        job.state = JobState::Queued;
        self.changed();
        let runner = self
            .runners
            .get_mut(&runner)
            .expect("an assigned job has a runner");
        runner.work = Work::Idle;
        Some(runner)
    }

    /// Completes a job that no runner has.
    pub(super) fn finish_job(
        &mut self,
        now: Timestamp,
        id: JobId,
        conclusion: Conclusion,
        exit_code: Option<i32>,
    ) {
        let job = self
            .jobs
            .get_mut(&id)
            .expect("only an existing job can be finished");
        job.state = JobState::Completed {
            at: now,
            conclusion,
            exit_code,
        };
        self.open_jobs.remove(&id);
        self.changed();
    }

    /// Removes a registration. Its assigned job is queued again, its running job fails.
    pub(super) fn remove_runner(&mut self, now: Timestamp, id: RunnerId) {
        let work = self
            .runners
            .get(&id)
            .map_or(Work::Idle, |runner| runner.work);
        match work {
            Work::Idle => {}
            Work::Assigned(job) => {
                self.unassign(job);
            }
            Work::Running(job) => {
                let is_cancelled = self.jobs[&job].is_cancel_requested;
                let conclusion = if is_cancelled {
                    Conclusion::Cancelled
                } else {
                    Conclusion::Failure
                };
                self.finish_job(now, job, conclusion, None);
            }
        }
        self.runners.remove(&id);
        self.runners_changed();
    }
}

#[cfg(test)]
mod tests;
