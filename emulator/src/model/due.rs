//! What happens by itself when time passes.
//!
//! Owns every deadline of the model. Each stands in one place, [`Model::dues`], which both says
//! when to wake next and what to do then, so that the two cannot disagree.

use shared::clock::Timestamp;

use super::{Conclusion, JobId, Model, RunnerId, jobs::JobState};

/// Something that happens at a known moment unless something else happens before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A session was silent for too long: its runner is offline.
    SessionSilent(RunnerId),
    /// An assigned job was not started: it is queued again, at its old place.
    AssignmentMissed(JobId),
    /// A runner went away in the middle of a job: the job has failed.
    RunnerLost(RunnerId),
    /// A runner was offline for too long: its registration is removed.
    RegistrationStale(RunnerId),
    /// A job found no runner: it is cancelled.
    JobUnclaimed(JobId),
}

impl Model {
    /// Lets happen what was due until `now`, in order of time. Every other method does this first.
    pub fn advance(&mut self, now: Timestamp) {
        // It ends because whatever comes due is, once it has happened, no longer among the dues.
        while let Some((at, due)) = self.dues().min().filter(|&(at, _)| at <= now) {
            self.happen(at, due);
        }
    }

    /// When something next happens by itself.
    pub fn next_due_at(&self) -> Option<Timestamp> {
        self.dues().map(|(at, _)| at).min()
    }

    fn dues(&self) -> impl Iterator<Item = (Timestamp, Due)> {
        let settings = &self.settings;
        let of_runners = self
            .runners
            .values()
            .map(move |runner| match &runner.session {
                Some(session) if session.is_online => (
                    session.heard_at + settings.silence_timeout,
                    Due::SessionSilent(runner.id),
                ),
                _ if runner.is_busy() => (
                    runner.offline_since + settings.lost_timeout,
                    Due::RunnerLost(runner.id),
                ),
                _ => {
                    let removed_at = runner.offline_since + settings.offline_timeout;
                    (removed_at, Due::RegistrationStale(runner.id))
                }
            });
        let of_jobs = self.open_jobs.iter().filter_map(move |id| {
            let job = self.jobs.get(id).expect("an open job is a job");
            match job.state {
                JobState::Queued => Some((
                    job.queued_at + settings.queue_timeout,
                    Due::JobUnclaimed(*id),
                )),
                JobState::Assigned { at, .. } => {
                    Some((at + settings.pickup_timeout, Due::AssignmentMissed(*id)))
                }
                JobState::Running { .. } | JobState::Completed { .. } => None,
            }
        });
        of_runners.chain(of_jobs)
    }

    fn happen(&mut self, at: Timestamp, due: Due) {
        match due {
            Due::SessionSilent(id) => self.go_offline(at, id),
            Due::AssignmentMissed(id) => {
                if let Some(runner) = self.unassign(id) {
                    runner.missed_count += 1;
                }
            }
            Due::RunnerLost(id) | Due::RegistrationStale(id) => self.remove_runner(at, id),
            Due::JobUnclaimed(id) => self.finish_job(at, id, Conclusion::Cancelled, None),
        }
        self.assign_jobs(at);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{JobPhase, RunnerStatus, invariants::World};

    #[test]
    fn a_job_not_started_in_time_keeps_its_old_place() {
        let mut world = World::new();
        let slow = world.online_runner("slow", &["x"]);
        let first = world.queue(&["x"]);
        let second = world.queue(&["x"]);
        // It listens all the time, but does not start what it is offered.
        world.pass_listening(Duration::from_secs(60), &[slow]);
        assert_eq!(world.poll(slow).unwrap().job_id, first);
        let other = world.online_runner("other", &["x"]);
        assert_eq!(world.poll(other).unwrap().job_id, second);
    }

    #[test]
    fn a_job_goes_to_another_runner_when_the_first_does_not_start_it() {
        let mut world = World::new();
        let slow = world.online_runner("slow", &["x"]);
        let job = world.queue(&["x"]);
        let other = world.online_runner("other", &["x"]);
        let both = [slow, other];
        world.pass_listening(Duration::from_secs(59), &both);
        assert_eq!(world.poll(slow).unwrap().job_id, job);
        assert!(world.poll(other).is_none());
        world.pass_listening(Duration::from_secs(1), &both);
        assert!(world.poll(slow).is_none());
        assert_eq!(world.poll(other).unwrap().job_id, job);
        assert!(world.try_start(slow, job).is_err());
    }

    #[test]
    fn a_silent_session_is_offline_until_it_speaks_again() {
        let mut world = World::new();
        let runner = world.online_runner("a", &["x"]);
        world.pass(Duration::from_micros(4_999_999));
        assert_eq!(world.runner("a").unwrap().status, RunnerStatus::Online);
        world.pass(Duration::from_micros(1));
        assert_eq!(world.runner("a").unwrap().status, RunnerStatus::Offline);
        let job = world.queue(&["x"]);
        assert_eq!(world.phase(job), JobPhase::Queued);
        assert_eq!(world.poll(runner).unwrap().job_id, job);
        assert_eq!(world.runner("a").unwrap().status, RunnerStatus::Online);
    }

    #[test]
    fn a_job_whose_runner_is_lost_has_failed() {
        let mut world = World::new();
        let runner = world.online_runner("a", &["x"]);
        let job = world.queue(&["x"]);
        world.start(runner, job);
        world.pass(Duration::from_secs(5 + 599));
        let view = world.runner("a").unwrap();
        assert_eq!((view.status, view.busy), (RunnerStatus::Offline, true));
        assert_eq!(world.phase(job), JobPhase::InProgress);
        world.pass(Duration::from_secs(1));
        assert!(world.runner("a").is_none());
        assert_eq!(world.conclusion(job), Some(Conclusion::Failure));
    }

    #[test]
    fn an_offline_runner_is_removed_after_a_day() {
        let mut world = World::new();
        world.register("a", &["x"]);
        world.pass(Duration::from_hours(24) - Duration::from_micros(1));
        assert!(world.runner("a").is_some());
        world.pass(Duration::from_micros(1));
        assert!(world.runner("a").is_none());
    }

    #[test]
    fn a_job_without_a_runner_is_cancelled_after_a_day() {
        let mut world = World::new();
        let job = world.queue(&["x"]);
        world.pass(Duration::from_hours(24) - Duration::from_micros(1));
        assert_eq!(world.phase(job), JobPhase::Queued);
        world.pass(Duration::from_micros(1));
        assert_eq!(world.conclusion(job), Some(Conclusion::Cancelled));
        assert_eq!(world.model.next_due_at(), None);
    }

    #[test]
    fn what_is_due_next_is_known() {
        let mut world = World::new();
        assert_eq!(world.model.next_due_at(), None);
        world.register("a", &["x"]);
        assert_eq!(
            world.model.next_due_at(),
            Some(world.now + Duration::from_hours(24))
        );
        let _ = world.online_runner("b", &["x"]);
        assert_eq!(
            world.model.next_due_at(),
            Some(world.now + Duration::from_secs(5))
        );
    }

    #[test]
    fn a_long_pause_plays_out_in_order_of_time() {
        let mut world = World::new();
        let runner = world.online_runner("a", &["x"]);
        let job = world.queue(&["x"]);
        assert_eq!(world.poll(runner).unwrap().job_id, job);
        // Silent after 5 s, the job back in the queue after 60 s, cancelled a day after it was
        // queued, the runner gone a day after it fell silent.
        world.pass(Duration::from_hours(48));
        assert_eq!(world.conclusion(job), Some(Conclusion::Cancelled));
        assert!(world.runner("a").is_none());
    }
}
