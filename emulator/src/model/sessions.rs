//! The requests of runners: open a session, poll for a job, start, renew and complete it.
//!
//! All of them are idempotent: an offer is repeated until the job is started, and starting a job
//! again is not an error. [`Model::complete_job`] removes the registration, so that a repeated report
//! gets `NotFound`.

use shared::{
    clock::Timestamp,
    values::{QualifiedRepo, RunId},
};

use super::{
    Completion, Conclusion, JobId, Model, ModelError, RunnerId, SessionId,
    jobs::JobState,
    runner::{Runner, Session, Work},
};

/// A job for a runner to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub job_id: JobId,
    pub repo: QualifiedRepo,
    pub run_id: RunId,
    /// A shell command.
    pub command: String,
}

/// The response to a runner that renews its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSignal {
    Continue,
    /// The runner must kill the command and report its end.
    Cancel,
}

impl Model {
    /// Checks the secret of a runner.
    pub fn check_secret(&self, id: RunnerId, secret: &str) -> Result<(), ModelError> {
        let runner = self.runners.get(&id).ok_or(ModelError::NotFound)?;
        runner
            .secret
            .matches(secret)
            .then_some(())
            .ok_or(ModelError::InvalidSecret)
    }

    /// Opens a session; the runner is online from now on. There is no second session while the first
    /// is online. A JIT configuration must be used first within an hour.
    pub fn open_session(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        secret: &str,
    ) -> Result<SessionId, ModelError> {
        self.advance(now);
        self.check_secret(id, secret)?;
        let jit_config_timeout = self.settings.jit_config_timeout;
        let runner = &self.runners[&id];
        match &runner.session {
            Some(session) if session.is_online => return Err(ModelError::SessionExists),
            _ if runner.version.is_some() => {}
            _ if now >= runner.registered_at + jit_config_timeout => {
                return Err(ModelError::InvalidSecret);
            }
            _ => {}
        }
        let session_id = SessionId(self.next_id());
        let runner = self.runners.get_mut(&id).expect("its secret was checked");
        runner.session = Some(Session {
            id: session_id,
            last_request_at: now,
            is_online: true,
        });
        runner.version = Some(self.software.current().to_owned());
        self.runners_changed();
        self.assign_jobs(now);
        Ok(session_id)
    }

    /// Closes a session. An assigned job that is not started is queued again after its timeout.
    pub fn close_session(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session: SessionId,
    ) -> Result<(), ModelError> {
        // Removed rather than offline, so that a poll that is still held cannot revive it.
        self.record_request(now, id, session)?.session = None;
        self.go_offline(now, id);
        Ok(())
    }

    /// The job that is assigned to this runner, if any.
    pub fn poll_job(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session: SessionId,
    ) -> Result<Option<Offer>, ModelError> {
        let Work::Assigned(job_id) = self.record_request(now, id, session)?.work else {
            return Ok(None);
        };
        let job = &self.jobs[&job_id];
        Ok(Some(Offer {
            job_id,
            repo: job.repo.clone(),
            run_id: job.run_id,
            command: job.command.clone(),
        }))
    }

    /// Starts the assigned job; the runner is busy from now on.
    pub fn start_job(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session: SessionId,
        job_id: JobId,
    ) -> Result<(), ModelError> {
        let runner = self.record_request(now, id, session)?;
        if runner.work == Work::Running(job_id) {
            return Ok(());
        }
        if runner.work != Work::Assigned(job_id) {
            return Err(ModelError::JobNotAssigned);
        }
        runner.work = Work::Running(job_id);
        let name = runner.name.clone();
        let job = self
            .jobs
            .get_mut(&job_id)
            .expect("an assigned job is a job");
        job.state = JobState::Running { runner: id };
        job.started = Some((now, id, name));
        self.runners_changed();
        Ok(())
    }

    /// Keeps a running job alive, and records its output so far.
    pub fn renew_job(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session: SessionId,
        job_id: JobId,
        output_tail: String,
    ) -> Result<JobSignal, ModelError> {
        if self.record_request(now, id, session)?.work != Work::Running(job_id) {
            return Err(ModelError::JobNotAssigned);
        }
        let job = self.jobs.get_mut(&job_id).expect("a running job is a job");
        let is_new = job.set_output(output_tail);
        let signal = match job.is_cancel_requested {
            true => JobSignal::Cancel,
            false => JobSignal::Continue,
        };
        if is_new {
            self.changed();
        }
        Ok(signal)
    }

    /// Completes the job and removes the registration.
    pub fn complete_job(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session: SessionId,
        job_id: JobId,
        completion: Completion,
    ) -> Result<(), ModelError> {
        let runner = self.record_request(now, id, session)?;
        if runner.work != Work::Running(job_id) {
            return Err(ModelError::JobNotAssigned);
        }
        // Set first, because removing a runner with a job fails the job.
        runner.work = Work::Idle;
        let job = self.jobs.get_mut(&job_id).expect("a running job is a job");
        job.set_output(completion.output_tail);
        let conclusion = match completion.exit_code {
            _ if job.is_cancel_requested => Conclusion::Cancelled,
            Some(0) => Conclusion::Success,
            _ => Conclusion::Failure,
        };
        self.finish_job(now, job_id, conclusion, completion.exit_code);
        self.remove_runner(now, id);
        Ok(())
    }

    pub(super) fn go_offline(&mut self, now: Timestamp, id: RunnerId) {
        let runner = self
            .runners
            .get_mut(&id)
            .expect("only a runner can go offline");
        if let Some(session) = &mut runner.session {
            session.is_online = false;
        }
        runner.offline_since = now;
        self.runners_changed();
    }

    /// Records a request, which keeps the runner online or brings it back online.
    fn record_request(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session_id: SessionId,
    ) -> Result<&mut Runner, ModelError> {
        self.advance(now);
        let session = self
            .runners
            .get_mut(&id)
            .and_then(|runner| runner.session.as_mut())
            .filter(|it| it.id == session_id)
            .ok_or(ModelError::NotFound)?;
        session.last_request_at = now;
        if !session.is_online {
            session.is_online = true;
            self.runners_changed();
            self.assign_jobs(now);
        }
        Ok(self.runners.get_mut(&id).expect("it was there above"))
    }
}

#[cfg(test)]
mod tests;
