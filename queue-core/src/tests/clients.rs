//! What clients do in a scene, and what they hear.

use std::time::Duration;

use shared::wire::JobStatus;

use super::scene::{Scene, request, ticket};
use crate::{
    events::{Answer, CallId, Input, JobReference, Refusal, WaitingAnswer},
    job::{Claims, JobRequest},
    report::RunnerId,
};

impl Scene {
    /// A client joins, and is let in.
    #[track_caller]
    pub fn enqueue(&mut self, job: &str, profile_key: &str, count: u64) -> Claims {
        self.try_enqueue(request(job, profile_key, count)).unwrap()
    }

    /// A client asks to join.
    #[track_caller]
    pub fn try_enqueue(&mut self, request: JobRequest) -> Result<Claims, Refusal> {
        let call = self.call(|call| Input::Enqueue {
            call,
            request,
            nonce: call,
        });
        match self.answer_to(call) {
            Some(Answer::Enqueued(claims)) => Ok(claims),
            Some(Answer::Refused(refusal)) => Err(refusal),
            other => panic!("{other:?} is no answer to an enqueue"),
        }
    }

    /// A client asks for its runners and does not want to wait.
    #[track_caller]
    pub fn take(&mut self, claims: &Claims) -> Answer {
        let call = self.call(|call| Input::Take {
            call,
            claims: claims.clone(),
            hold: None,
        });
        self.answer_to(call)
            .expect("a take that does not wait is answered at once")
    }

    /// A client asks for its runners and must wait.
    #[track_caller]
    pub fn wait(&mut self, claims: &Claims) -> WaitingAnswer {
        match self.take(claims) {
            Answer::Waiting(waiting) => waiting,
            other => panic!("expected to wait, not {other:?}"),
        }
    }

    /// A client asks for its runners and gets them.
    #[track_caller]
    pub fn get(&mut self, claims: &Claims) -> Vec<RunnerId> {
        runners_in(self.take(claims))
    }

    /// A client asks for its runners and hears that there is no such job.
    #[track_caller]
    pub fn be_unknown(&mut self, claims: &Claims) {
        match self.take(claims) {
            Answer::Refused(Refusal::UnknownJob) => {}
            other => panic!("expected to be unknown, not {other:?}"),
        }
    }

    /// A client asks for its runners and is ready to wait.
    #[track_caller]
    pub fn take_held(&mut self, claims: &Claims, seconds: u64) -> CallId {
        self.call(|call| Input::Take {
            call,
            claims: claims.clone(),
            hold: Some(Duration::from_secs(seconds)),
        })
    }

    /// A held take was answered with these runners.
    #[track_caller]
    pub fn got(&mut self, call: CallId) -> Vec<RunnerId> {
        runners_in(self.answer_to(call).expect("the take is answered"))
    }

    /// A held take was answered without runners.
    #[track_caller]
    pub fn must_wait(&mut self, call: CallId) -> WaitingAnswer {
        match self.answer_to(call) {
            Some(Answer::Waiting(waiting)) => waiting,
            other => panic!("expected to wait, not {other:?}"),
        }
    }

    /// A held take was refused.
    #[track_caller]
    pub fn was_refused(&mut self, call: CallId) -> Refusal {
        match self.answer_to(call) {
            Some(Answer::Refused(refusal)) => refusal,
            other => panic!("expected a refusal, not {other:?}"),
        }
    }

    /// A client hangs up while its take is held.
    #[track_caller]
    pub fn hang_up(&mut self, call: CallId, claims: &Claims) {
        self.handle(Input::HungUp {
            call,
            unique_id: claims.request.spec.unique_id.clone(),
        });
    }

    /// The answer with a job's runners could not be handed over.
    #[track_caller]
    pub fn lose_delivery(&mut self, claims: &Claims) {
        self.handle(Input::Undelivered {
            unique_id: claims.request.spec.unique_id.clone(),
        });
    }

    /// A client gives its job up.
    #[track_caller]
    pub fn withdraw(&mut self, claims: &Claims) {
        self.try_withdraw(ticket(claims)).unwrap();
    }

    /// The same, while a take of the job is held: that one is refused.
    #[track_caller]
    pub fn withdraw_with_open_take(&mut self, claims: &Claims, open: CallId) {
        let by = ticket(claims);
        let call = self.call(|call| Input::Withdraw { call, by });
        assert_eq!(self.was_refused(open), Refusal::UnknownJob);
        assert!(matches!(self.answer_to(call), Some(Answer::Withdrawn)));
    }

    /// Somebody asks for a job to be given up.
    #[track_caller]
    pub fn try_withdraw(&mut self, by: JobReference) -> Result<(), Refusal> {
        let call = self.call(|call| Input::Withdraw { call, by });
        match self.answer_to(call) {
            Some(Answer::Withdrawn) => Ok(()),
            Some(Answer::Refused(refusal)) => Err(refusal),
            other => panic!("{other:?} is no answer to a withdrawal"),
        }
    }

    /// Somebody asks how a job stands.
    #[track_caller]
    pub fn inspect(&mut self, by: JobReference) -> Result<JobStatus, Refusal> {
        let call = self.call(|call| Input::Inspect { call, by });
        match self.answer_to(call) {
            Some(Answer::Status(status)) => Ok(status),
            Some(Answer::Refused(refusal)) => Err(refusal),
            other => panic!("{other:?} is no answer to an inspection"),
        }
    }
}

#[track_caller]
fn runners_in(answer: Answer) -> Vec<RunnerId> {
    match answer {
        Answer::Runners { runners, .. } => runners.iter().map(|runner| runner.id).collect(),
        other => panic!("expected runners, not {other:?}"),
    }
}
