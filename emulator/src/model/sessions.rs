//! A runner's side: it listens, starts the job it is offered, keeps it alive, and reports its end.
//!
//! Every call may be repeated after its answer was lost: an offer is made again until the job is
//! started, and starting a job that this runner has started is no error. After
//! [`Model::complete_job`] the registration is gone, so that a repeated report finds nothing.

use shared::{
    clock::Timestamp,
    values::{QualifiedRepo, RunId},
};

use super::{
    Completion, Conclusion, JobId, Model, Refusal, RunnerId, SessionId,
    jobs::JobState,
    runner::{Runner, Session, Work},
};

/// The job a runner is to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The job.
    pub job_id: JobId,
    /// The repository whose workflow it belongs to.
    pub repo: QualifiedRepo,
    /// The workflow run it belongs to.
    pub run_id: RunId,
    /// What to do, as shell text.
    pub command: String,
}

/// What a runner learns when it reports that it still works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSignal {
    /// Go on.
    Continue,
    /// Stop the command and report the end.
    Cancel,
}

impl Model {
    /// Whether `secret` is the one that this runner was registered with.
    pub fn check_secret(&self, id: RunnerId, secret: &str) -> Result<(), Refusal> {
        let runner = self.runners.get(&id).ok_or(Refusal::NotFound)?;
        runner
            .secret
            .matches(secret)
            .then_some(())
            .ok_or(Refusal::BadCredential)
    }

    /// Starts to listen for a job; the runner is online from now on. While a session is heard of
    /// there is no second one. A JIT configuration that was never used is good for an hour.
    pub fn open_session(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        secret: &str,
    ) -> Result<SessionId, Refusal> {
        self.advance(now);
        self.check_secret(id, secret)?;
        let credential_timeout = self.settings.credential_timeout;
        let runner = &self.runners[&id];
        match &runner.session {
            Some(session) if session.is_online => return Err(Refusal::SessionExists),
            _ if runner.version.is_some() => {}
            _ if now >= runner.registered_at + credential_timeout => {
                return Err(Refusal::BadCredential);
            }
            _ => {}
        }
        let session_id = SessionId(self.next_id());
        let runner = self.runners.get_mut(&id).expect("its secret was checked");
        runner.session = Some(Session {
            id: session_id,
            heard_at: now,
            is_online: true,
        });
        runner.version = Some(self.software.current().to_owned());
        self.runners_changed();
        self.assign_jobs(now);
        Ok(session_id)
    }

    /// Stops to listen. A job that was assigned but not started waits out its time.
    pub fn close_session(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session: SessionId,
    ) -> Result<(), Refusal> {
        // Forgotten rather than silent, so that a poll still held cannot revive it.
        self.touch(now, id, session)?.session = None;
        self.go_offline(now, id);
        Ok(())
    }

    /// The job this runner is to start, if there is one. Counts as a sign of life.
    pub fn poll_job(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session: SessionId,
    ) -> Result<Option<Offer>, Refusal> {
        let Work::Assigned(job_id) = self.touch(now, id, session)?.work else {
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

    /// The runner has started the job it was offered: it is busy.
    pub fn start_job(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session: SessionId,
        job_id: JobId,
    ) -> Result<(), Refusal> {
        let runner = self.touch(now, id, session)?;
        if runner.work == Work::Running(job_id) {
            return Ok(());
        }
        if runner.work != Work::Assigned(job_id) {
            return Err(Refusal::JobNotYours);
        }
        runner.work = Work::Running(job_id);
        let name = runner.name.clone();
        let job = self
            .jobs
            .get_mut(&job_id)
            .expect("an assigned job is a job");
        job.state = JobState::Running { runner: id };
        job.started = Some((now, name));
        self.runners_changed();
        Ok(())
    }

    /// The runner still works on the job, and shows the output so far. Counts as a sign of life.
    pub fn renew_job(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session: SessionId,
        job_id: JobId,
        output_tail: String,
    ) -> Result<JobSignal, Refusal> {
        if self.touch(now, id, session)?.work != Work::Running(job_id) {
            return Err(Refusal::JobNotYours);
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

    /// The runner has done its one job: the job is completed, the registration is removed.
    pub fn complete_job(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session: SessionId,
        job_id: JobId,
        completion: Completion,
    ) -> Result<(), Refusal> {
        let runner = self.touch(now, id, session)?;
        if runner.work != Work::Running(job_id) {
            return Err(Refusal::JobNotYours);
        }
        // Before the runner is removed, because a runner that goes with its job fails it.
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

    /// Notes a sign of life. A runner that was silent and speaks again is online again.
    fn touch(
        &mut self,
        now: Timestamp,
        id: RunnerId,
        session: SessionId,
    ) -> Result<&mut Runner, Refusal> {
        self.advance(now);
        let heard = self
            .runners
            .get_mut(&id)
            .and_then(|runner| runner.session.as_mut())
            .filter(|heard| heard.id == session)
            .ok_or(Refusal::NotFound)?;
        heard.heard_at = now;
        if !heard.is_online {
            heard.is_online = true;
            self.runners_changed();
            self.assign_jobs(now);
        }
        Ok(self.runners.get_mut(&id).expect("it was there above"))
    }
}

#[cfg(test)]
mod tests;
