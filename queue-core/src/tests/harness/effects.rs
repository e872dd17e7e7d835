//! Assertions about effects. Forwards are expected in their order, and so are releases; a forward
//! and a release are in no particular order.

use super::TestQueue;
use crate::{Answer, CallId, Effect, Forward, JobStep, Release};

impl TestQueue {
    /// Removes the next forward, which must be one of this job to this server.
    #[track_caller]
    pub fn expect_forward(&mut self, job: &str, server: &str) -> Forward {
        let server_id = self.server(server);
        match self.remove_first(|effect| matches!(effect, Effect::Forward(_))) {
            Some(Effect::Forward(forward))
                if forward.request.spec.unique_id.as_str() == job
                    && forward.server == server_id =>
            {
                forward
            }
            other => panic!("expected a forward of {job} to {server}, not {other:?}"),
        }
    }

    /// Removes the next release, which must be one of this job at this server, after which its
    /// runners are idle again.
    #[track_caller]
    pub fn expect_release(&mut self, job: &str, server: &str) -> Release {
        let release = self.expect_any_release(job, server);
        assert!(!release.destroy, "{job} at {server} is to be destroyed");
        release
    }

    /// Removes the next release, which must be one of this job at this server that destroys its
    /// runners.
    #[track_caller]
    pub fn expect_destruction(&mut self, job: &str, server: &str) -> Release {
        let release = self.expect_any_release(job, server);
        assert!(release.destroy, "{job} at {server} is not to be destroyed");
        release
    }

    #[track_caller]
    fn expect_any_release(&mut self, job: &str, server: &str) -> Release {
        let server_id = self.server(server);
        match self.remove_first(|effect| matches!(effect, Effect::Release(_))) {
            Some(Effect::Release(release))
                if release.unique_id.as_str() == job && release.server == server_id =>
            {
                release
            }
            other => panic!("expected a release of {job} at {server}, not {other:?}"),
        }
    }

    /// Removes the answer to a call, if there is one.
    pub fn answer_to(&mut self, call: CallId) -> Option<Answer> {
        let is_answer =
            |effect: &Effect| matches!(effect, Effect::Answer { call: of, .. } if *of == call);
        match self.remove_first(is_answer) {
            Some(Effect::Answer { answer, .. }) => Some(answer),
            _ => None,
        }
    }

    fn remove_first(&mut self, is_meant: impl FnMut(&Effect) -> bool) -> Option<Effect> {
        let index = self.effects.iter().position(is_meant)?;
        self.effects.remove(index)
    }

    /// Removes all events so far, as the name of their job and the step.
    pub fn take_events(&mut self) -> Vec<(String, JobStep)> {
        let events = std::mem::take(&mut self.events).into_iter();
        let named = events.map(|event| (event.job.unique_id.to_string(), event.step));
        named.collect()
    }

    /// Removes all events so far, which must be these steps of this job.
    #[track_caller]
    pub fn expect_steps(&mut self, job: &str, steps: &[JobStep]) {
        let expected = steps.iter().map(|step| (job.to_owned(), step.clone()));
        assert_eq!(self.take_events(), expected.collect::<Vec<_>>());
    }

    /// Every effect was asserted.
    #[track_caller]
    pub fn assert_no_effects(&self) {
        assert!(
            self.effects.is_empty(),
            "effects that were not asserted: {:?}",
            self.effects
        );
    }
}
