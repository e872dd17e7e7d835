//! What came out of the queue, asserted one by one.

use super::scene::Scene;
use crate::events::{Answer, CallId, Forward, Output, Release};

impl Scene {
    /// The next effect that was not asserted yet must be a forward of this job to this server.
    #[track_caller]
    pub fn forwarded(&mut self, job: &str, server: &str) -> Forward {
        match self.next_effect() {
            Some(Output::Forward(forward))
                if forward.request.spec.unique_id.as_str() == job
                    && forward.server == self.server(server) =>
            {
                forward
            }
            other => panic!("expected a forward of {job} to {server}, not {other:?}"),
        }
    }

    /// The next effect that was not asserted yet must be a release of this job at this server:
    /// its runners are idle again.
    #[track_caller]
    pub fn released(&mut self, job: &str, server: &str) -> Release {
        let release = self.any_release(job, server);
        assert!(
            !release.is_delivered,
            "{job} at {server} is to be destroyed"
        );
        release
    }

    /// The same, and its runners are destroyed.
    #[track_caller]
    pub fn destroyed(&mut self, job: &str, server: &str) -> Release {
        let release = self.any_release(job, server);
        assert!(
            release.is_delivered,
            "{job} at {server} is to be released only"
        );
        release
    }

    #[track_caller]
    fn any_release(&mut self, job: &str, server: &str) -> Release {
        match self.next_effect() {
            Some(Output::Release(release))
                if release.unique_id.as_str() == job && release.server == self.server(server) =>
            {
                release
            }
            other => panic!("expected a release of {job} at {server}, not {other:?}"),
        }
    }

    fn next_effect(&mut self) -> Option<Output> {
        let is_effect = |output: &Output| !matches!(output, Output::Answer { .. });
        let index = self.outputs.iter().position(is_effect)?;
        self.outputs.remove(index)
    }

    /// Takes the answer to a call out of what was not asserted yet.
    pub fn answer_to(&mut self, call: CallId) -> Option<Answer> {
        let is_answer =
            |output: &Output| matches!(output, Output::Answer { call: of, .. } if *of == call);
        let index = self.outputs.iter().position(is_answer)?;
        match self.outputs.remove(index) {
            Some(Output::Answer { answer, .. }) => Some(answer),
            _ => None,
        }
    }

    /// Nothing came out of the queue that was not asserted.
    #[track_caller]
    pub fn assert_quiet(&self) {
        assert!(
            self.outputs.is_empty(),
            "nobody asserted {:?}",
            self.outputs
        );
    }
}
