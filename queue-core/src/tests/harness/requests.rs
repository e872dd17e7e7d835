//! Requests of clients, and assertions about their answers.

use std::time::Duration;

use shared::{policy::RunFacts, wire::JobStatus};

use super::{TestQueue, by_ticket, request};
use crate::{
    Answer, CallId, EnqueuedBy, Input, JobReference, JobRequest, Refusal, RunnerId, TicketContent,
    WaitingAnswer,
};

/// The refusal of an enqueue while the reports of servers are missing.
pub fn not_ready(because: &str) -> Refusal {
    Refusal::NotReady {
        because: because.to_owned(),
    }
}

impl TestQueue {
    /// Enqueues a job, which must be accepted.
    #[track_caller]
    pub fn enqueue(&mut self, job: &str, profile_key: &str, count: u64) -> TicketContent {
        self.try_enqueue(request(job, profile_key, count)).unwrap()
    }

    /// Enqueues a job.
    #[track_caller]
    pub fn try_enqueue(&mut self, request: JobRequest) -> Result<TicketContent, Refusal> {
        self.try_enqueue_with(request, RunFacts::default())
    }

    /// Enqueues a job of whose run this is known.
    #[track_caller]
    pub fn try_enqueue_with(
        &mut self,
        request: JobRequest,
        facts: RunFacts,
    ) -> Result<TicketContent, Refusal> {
        let call = self.call(|call| Input::Enqueue {
            call,
            request,
            nonce: call,
            by: EnqueuedBy::ApiToken,
            facts,
        });
        match self.answer_to(call) {
            Some(Answer::Enqueued(ticket)) => Ok(ticket),
            Some(Answer::Refused(refusal)) => Err(refusal),
            other => panic!("{other:?} is no answer to an enqueue"),
        }
    }

    /// Takes without a hold.
    #[track_caller]
    pub fn take(&mut self, ticket: &TicketContent) -> Answer {
        let call = self.call(|call| Input::Take {
            call,
            ticket: ticket.clone(),
            hold: None,
        });
        self.answer_to(call)
            .expect("a take without a hold is answered at once")
    }

    /// Takes without a hold: the job must wait.
    #[track_caller]
    pub fn assert_waiting(&mut self, ticket: &TicketContent) -> WaitingAnswer {
        match self.take(ticket) {
            Answer::Waiting(waiting) => waiting,
            other => panic!("expected the job to wait, not {other:?}"),
        }
    }

    /// Takes without a hold: the job must have its runners.
    #[track_caller]
    pub fn take_runners(&mut self, ticket: &TicketContent) -> Vec<RunnerId> {
        runners_in(self.take(ticket))
    }

    /// Takes without a hold: the job must be unknown.
    #[track_caller]
    pub fn assert_unknown(&mut self, ticket: &TicketContent) {
        match self.take(ticket) {
            Answer::Refused(Refusal::UnknownJob) => {}
            other => panic!("expected the job to be unknown, not {other:?}"),
        }
    }

    /// Takes with a hold.
    #[track_caller]
    pub fn take_held(&mut self, ticket: &TicketContent, seconds: u64) -> CallId {
        self.call(|call| Input::Take {
            call,
            ticket: ticket.clone(),
            hold: Some(Duration::from_secs(seconds)),
        })
    }

    /// Removes the answer to a held take, which must contain runners.
    #[track_caller]
    pub fn expect_runners(&mut self, call: CallId) -> Vec<RunnerId> {
        runners_in(self.answer_to(call).expect("the take is answered"))
    }

    /// Removes the answer to a held take, which must be that the job waits.
    #[track_caller]
    pub fn expect_waiting(&mut self, call: CallId) -> WaitingAnswer {
        match self.answer_to(call) {
            Some(Answer::Waiting(waiting)) => waiting,
            other => panic!("expected the job to wait, not {other:?}"),
        }
    }

    /// Removes the answer to a held take, which must be a refusal.
    #[track_caller]
    pub fn expect_refusal(&mut self, call: CallId) -> Refusal {
        match self.answer_to(call) {
            Some(Answer::Refused(refusal)) => refusal,
            other => panic!("expected a refusal, not {other:?}"),
        }
    }

    /// Disconnects the client of a held take.
    #[track_caller]
    pub fn disconnect(&mut self, call: CallId, ticket: &TicketContent) {
        let unique_id = ticket.request.spec.unique_id.clone();
        self.handle(Input::Disconnected { call, unique_id });
    }

    /// An answer with the job's runners could not be sent.
    #[track_caller]
    pub fn fail_delivery(&mut self, ticket: &TicketContent) {
        let unique_id = ticket.request.spec.unique_id.clone();
        self.handle(Input::Undelivered { unique_id });
    }

    /// Withdraws a job, which must be accepted.
    #[track_caller]
    pub fn withdraw(&mut self, ticket: &TicketContent) {
        self.try_withdraw(by_ticket(ticket)).unwrap();
    }

    /// Withdraws a job while a take of it is held, which is then refused.
    #[track_caller]
    pub fn withdraw_with_held_take(&mut self, ticket: &TicketContent, held: CallId) {
        let by = by_ticket(ticket);
        let call = self.call(|call| Input::Withdraw { call, by });
        assert_eq!(self.expect_refusal(held), Refusal::UnknownJob);
        assert!(matches!(
            self.answer_to(call),
            Some(Answer::Withdrawn { .. })
        ));
    }

    /// Withdraws a job.
    #[track_caller]
    pub fn try_withdraw(&mut self, by: JobReference) -> Result<(), Refusal> {
        let call = self.call(|call| Input::Withdraw { call, by });
        match self.answer_to(call) {
            Some(Answer::Withdrawn { .. }) => Ok(()),
            Some(Answer::Refused(refusal)) => Err(refusal),
            other => panic!("{other:?} is no answer to a withdrawal"),
        }
    }

    /// Asks for the status of a job.
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
