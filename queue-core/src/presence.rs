//! Whether a job's client is still there, and what becomes of a job whose client is not.

use shared::{clock::Timestamp, values::UniqueId};

use super::{
    events::{Answer, CallId, JobReference, Refusal},
    job::{Job, Retirement, State},
    queue::Queue,
    timers::Timer,
};

impl Queue {
    /// Sets the timer that notices when the client falls silent. One is enough, however often it
    /// is heard of: when it goes off, it looks when that was and sets itself anew.
    pub(super) fn watch_for_silence(&mut self, now: Timestamp, unique_id: &UniqueId) {
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        if job.silence_checked_at.is_none() {
            let at = now + self.rules.abandon_after;
            job.silence_checked_at = Some(at);
            self.timers.set(at, Timer::Silence(unique_id.clone()));
        }
    }

    pub(super) fn check_silence(&mut self, now: Timestamp, unique_id: &UniqueId) {
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        job.silence_checked_at = None;
        // An open take is a client that is there. When it ends, this timer is set again.
        if !job.calls.is_empty() || matches!(job.state, State::Delivered { .. }) {
            return;
        }
        let abandoned_at = (job.heard_at + self.rules.abandon_after).max(self.nobody_silent_before);
        if now < abandoned_at {
            job.silence_checked_at = Some(abandoned_at);
            self.timers
                .set(abandoned_at, Timer::Silence(unique_id.clone()));
            return;
        }
        self.give_up(now, unique_id, Retirement::Abandoned);
    }

    pub(super) fn withdraw(&mut self, now: Timestamp, call: CallId, by: JobReference) {
        let unique_id = match &by {
            JobReference::Operator(unique_id) => unique_id.clone(),
            JobReference::Ticket(claims) => claims.request.spec.unique_id.clone(),
        };
        if self.referenced(&by).is_some() {
            self.give_up(now, &unique_id, Retirement::Withdrawn);
            if let JobReference::Ticket(claims) = by {
                // It need not be the ticket that this queue knows the job by.
                let expires_at = claims.enqueued_at + self.rules.ticket_lifetime;
                self.retired
                    .insert(claims.place(), Retirement::Withdrawn, expires_at);
            }
            return self.answer(call, Answer::Withdrawn);
        }
        // Not here, and not known to be over: put it back first, so that whatever servers hold
        // for it is found and given back.
        let JobReference::Ticket(claims) = by else {
            return self.refuse(call, Refusal::UnknownJob);
        };
        if self.retired.get(&claims.place()) == Some(Retirement::Withdrawn) {
            return self.answer(call, Answer::Withdrawn);
        }
        match self.rejoin(now, &claims) {
            Ok(()) => {
                self.give_up(now, &unique_id, Retirement::Withdrawn);
                self.answer(call, Answer::Withdrawn);
            }
            Err(refusal) => self.refuse(call, refusal),
        }
    }

    /// The job that is meant. Two tickets can be for one job: when the answer to an enqueue was
    /// lost, and the same enqueue then reached another queue. But the ticket of a job that is over
    /// is not the ticket of a later one that has its name.
    pub(super) fn referenced(&self, by: &JobReference) -> Option<&Job> {
        match by {
            JobReference::Operator(unique_id) => self.jobs.get(unique_id),
            JobReference::Ticket(claims) => {
                self.jobs.get(&claims.request.spec.unique_id).filter(|job| {
                    *job.request() == claims.request && self.retired.get(&claims.place()).is_none()
                })
            }
        }
    }

    /// The job leaves, and everything that is or may be held for it is given back.
    fn give_up(&mut self, now: Timestamp, unique_id: &UniqueId, retirement: Retirement) {
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        let claims = job.claims.clone();
        let profile_key = job.request().spec.profile_key.clone();
        let state = std::mem::replace(&mut job.state, State::Waiting);
        match state {
            State::Waiting => {}
            State::Forwarding { attempt, asks } => {
                self.give_back_asks(now, unique_id, attempt, asks);
            }
            State::Reserved(grants) => self.give_back_grants(now, unique_id, grants, false),
            State::Delivered { grants, .. } => self.give_back_grants(now, unique_id, grants, true),
        }
        if retirement == Retirement::Withdrawn {
            self.owe_release_of_reported(now, &claims);
        }
        self.retire(unique_id, retirement);
        self.dispatch(now, &profile_key);
    }
}
