//! What happens when time passes: all timeouts of the model.
//!
//! [`Model::deadlines`] is the only list of them. It determines both the next wake-up and what is
//! done then.

use shared::clock::Timestamp;

use super::{Conclusion, JobId, Model, RunnerId, jobs::JobState};

/// A timeout that can still be prevented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deadline {
    /// A session is silent: its runner goes offline.
    SessionSilent(RunnerId),
    /// An assigned job is not started: it is queued again at its old position.
    AssignmentMissed(JobId),
    /// The runner of a running job stays offline: the job fails.
    RunnerLost(RunnerId),
    /// A runner stays offline: its registration is removed.
    RegistrationStale(RunnerId),
    /// A job stays queued: it is cancelled.
    JobUnclaimed(JobId),
}

impl Model {
    /// Applies all deadlines until `now` in their order. All other methods do this first.
    pub fn advance(&mut self, now: Timestamp) {
        // This terminates because applying a deadline removes it.
        while let Some((at, deadline)) = self.deadlines().min().filter(|&(at, _)| at <= now) {
            self.apply(at, deadline);
        }
    }

    /// The time of the next deadline.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines().map(|(at, _)| at).min()
    }

    fn deadlines(&self) -> impl Iterator<Item = (Timestamp, Deadline)> {
        let settings = &self.settings;
        let of_runners = self
            .runners
            .values()
            .map(move |runner| match &runner.session {
                Some(session) if session.is_online => (
                    session.last_request_at + settings.silence_timeout,
                    Deadline::SessionSilent(runner.id),
                ),
                _ if runner.is_busy() => (
                    runner.offline_since + settings.lost_timeout,
                    Deadline::RunnerLost(runner.id),
                ),
                _ => {
                    let removed_at = runner.offline_since + settings.offline_timeout;
                    (removed_at, Deadline::RegistrationStale(runner.id))
                }
            });
        let of_jobs = self.open_jobs.iter().filter_map(move |id| {
            let job = self.jobs.get(id).expect("an open job is a job");
            match job.state {
                JobState::Queued => Some((
                    job.queued_at + settings.queue_timeout,
                    Deadline::JobUnclaimed(*id),
                )),
                JobState::Assigned { at, .. } => Some((
                    at + settings.pickup_timeout,
                    Deadline::AssignmentMissed(*id),
                )),
                JobState::Running { .. } | JobState::Completed { .. } => None,
            }
        });
        of_runners.chain(of_jobs)
    }

    fn apply(&mut self, at: Timestamp, deadline: Deadline) {
        match deadline {
            Deadline::SessionSilent(id) => self.go_offline(at, id),
            Deadline::AssignmentMissed(id) => {
                if let Some(runner) = self.unassign(id) {
                    runner.missed_count += 1;
                }
            }
            Deadline::RunnerLost(id) | Deadline::RegistrationStale(id) => {
                self.remove_runner(at, id);
            }
            Deadline::JobUnclaimed(id) => self.finish_job(at, id, Conclusion::Cancelled, None),
        }
        self.assign_jobs(at);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{JobPhase, RunnerStatus, testing::TestModel};

    #[test]
    fn a_job_that_is_not_started_in_time_keeps_its_position() {
        let mut github = TestModel::new();
        let slow = github.online_runner("slow", &["x"]);
        let first = github.queue(&["x"]);
        let second = github.queue(&["x"]);
        // This runner polls all the time, but does not start the offered job.
        github.pass_listening(Duration::from_secs(60), &[slow]);
        assert_eq!(github.poll(slow).unwrap().job_id, first);
        let other = github.online_runner("other", &["x"]);
        assert_eq!(github.poll(other).unwrap().job_id, second);
    }

    #[test]
    fn a_job_goes_to_another_runner_when_the_first_does_not_start_it() {
        let mut github = TestModel::new();
        let slow = github.online_runner("slow", &["x"]);
        let job = github.queue(&["x"]);
        let other = github.online_runner("other", &["x"]);
        let both = [slow, other];
        github.pass_listening(Duration::from_secs(59), &both);
        assert_eq!(github.poll(slow).unwrap().job_id, job);
        assert!(github.poll(other).is_none());
        github.pass_listening(Duration::from_secs(1), &both);
        assert!(github.poll(slow).is_none());
        assert_eq!(github.poll(other).unwrap().job_id, job);
        assert!(github.try_start(slow, job).is_err());
    }

    #[test]
    fn a_silent_session_is_offline_until_its_next_request() {
        let mut github = TestModel::new();
        let runner = github.online_runner("a", &["x"]);
        github.pass(Duration::from_micros(4_999_999));
        assert_eq!(github.runner("a").unwrap().status, RunnerStatus::Online);
        github.pass(Duration::from_micros(1));
        assert_eq!(github.runner("a").unwrap().status, RunnerStatus::Offline);
        let job = github.queue(&["x"]);
        assert_eq!(github.phase(job), JobPhase::Queued);
        assert_eq!(github.poll(runner).unwrap().job_id, job);
        assert_eq!(github.runner("a").unwrap().status, RunnerStatus::Online);
    }

    #[test]
    fn a_job_fails_when_its_runner_stays_offline() {
        let mut github = TestModel::new();
        let runner = github.online_runner("a", &["x"]);
        let job = github.queue(&["x"]);
        github.start(runner, job);
        github.pass(Duration::from_secs(5 + 599));
        let view = github.runner("a").unwrap();
        assert_eq!((view.status, view.busy), (RunnerStatus::Offline, true));
        assert_eq!(github.phase(job), JobPhase::InProgress);
        github.pass(Duration::from_secs(1));
        assert!(github.runner("a").is_none());
        assert_eq!(github.conclusion(job), Some(Conclusion::Failure));
    }

    #[test]
    fn an_offline_runner_is_removed_after_a_day() {
        let mut github = TestModel::new();
        github.register("a", &["x"]);
        github.pass(Duration::from_hours(24) - Duration::from_micros(1));
        assert!(github.runner("a").is_some());
        github.pass(Duration::from_micros(1));
        assert!(github.runner("a").is_none());
    }

    #[test]
    fn a_job_without_a_runner_is_cancelled_after_a_day() {
        let mut github = TestModel::new();
        let job = github.queue(&["x"]);
        github.pass(Duration::from_hours(24) - Duration::from_micros(1));
        assert_eq!(github.phase(job), JobPhase::Queued);
        github.pass(Duration::from_micros(1));
        assert_eq!(github.conclusion(job), Some(Conclusion::Cancelled));
        assert_eq!(github.model.next_deadline(), None);
    }

    #[test]
    fn the_next_deadline_is_the_earliest_one() {
        let mut github = TestModel::new();
        assert_eq!(github.model.next_deadline(), None);
        github.register("a", &["x"]);
        assert_eq!(
            github.model.next_deadline(),
            Some(github.now + Duration::from_hours(24))
        );
        let _ = github.online_runner("b", &["x"]);
        assert_eq!(
            github.model.next_deadline(),
            Some(github.now + Duration::from_secs(5))
        );
    }

    #[test]
    fn a_large_step_of_time_applies_all_deadlines_in_order() {
        let mut github = TestModel::new();
        let runner = github.online_runner("a", &["x"]);
        let job = github.queue(&["x"]);
        assert_eq!(github.poll(runner).unwrap().job_id, job);
        // The runner is offline after 5 s, the job queued again after 60 s and cancelled a day after it
        // was queued, the runner removed a day after it went offline.
        github.pass(Duration::from_hours(48));
        assert_eq!(github.conclusion(job), Some(Conclusion::Cancelled));
        assert!(github.runner("a").is_none());
    }
}
