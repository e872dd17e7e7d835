//! A client asks for its runners: now, or held until there are some.

use std::{sync::Arc, time::Duration};

use shared::{clock::Timestamp, values::UniqueId, wire::TakenRunner};

use super::{
    events::{Answer, CallId, JobReference, Refusal, WaitingAnswer},
    job::{Claims, Grant, Job, State},
    queue::Queue,
    timers::Timer,
};

/// The longest `Retry-After`. No longer than the default time to settle, so that after a restart
/// everybody is back in line before the first runner goes.
const RETRY_AFTER_SECONDS_MAX: u64 = 5;
/// One more second of `Retry-After` for so many jobs ahead: those far back need not ask often.
const JOBS_AHEAD_PER_SECOND: u64 = 100;

impl Queue {
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        call: CallId,
        claims: &Claims,
        hold: Option<Duration>,
    ) {
        let unique_id = &claims.request.spec.unique_id;
        if self
            .referenced(&JobReference::Ticket(claims.clone()))
            .is_none()
            && let Err(refusal) = self.readopt(now, claims)
        {
            return self.refuse(call, refusal);
        }
        self.take_older_place(now, claims);
        let held_max = self.rules.held_max;
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return self.refuse(call, Refusal::UnknownJob);
        };
        job.heard_at = now;
        self.watch_for_silence(now, unique_id);
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        if !job.is_in_line() {
            job.calls.push(call);
            self.held_count += 1;
            return self.deliver(unique_id);
        }
        let may_hold = self.held_count < held_max;
        let Some(hold) = hold.filter(|hold| may_hold && !hold.is_zero()) else {
            let waiting = self.waiting_answer(now, unique_id);
            return self.answer(call, Answer::Waiting(waiting));
        };
        job.calls.push(call);
        self.held_count += 1;
        self.timers
            .set(now + hold, Timer::Hold(call, unique_id.clone()));
    }

    /// Answers every held take of a job that has its runners.
    pub(super) fn deliver(&mut self, unique_id: &UniqueId) {
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        if job.calls.is_empty() {
            return;
        }
        let calls = std::mem::take(&mut job.calls);
        let (grants, answers) = match std::mem::replace(&mut job.state, State::Waiting) {
            State::Reserved(grants) => (grants, 0),
            State::Delivered { grants, answers } => (grants, answers),
            state @ (State::Waiting | State::Forwarding { .. }) => {
                // Not there yet: nothing changes.
                job.state = state;
                job.calls = calls;
                return;
            }
        };
        let runners = runners_of(&grants);
        let is_array = job.request().is_array;
        job.state = State::Delivered {
            grants,
            answers: answers + calls.len(),
        };
        self.held_count -= calls.len();
        for call in calls {
            let answer = Answer::Runners {
                unique_id: unique_id.clone(),
                runners: runners.clone(),
                is_array,
            };
            self.answer(call, answer);
        }
    }

    pub(super) fn hung_up(&mut self, now: Timestamp, call: CallId, unique_id: &UniqueId) {
        if self.end_call(now, call, unique_id) {
            self.watch_for_silence(now, unique_id);
        }
    }

    /// The answer never left this process, so its client cannot know the runners.
    pub(super) fn undelivered(&mut self, now: Timestamp, unique_id: &UniqueId) {
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return;
        };
        if let State::Delivered { grants, answers } = &mut job.state {
            *answers -= 1;
            if *answers == 0 {
                job.state = State::Reserved(std::mem::take(grants));
                job.heard_at = now;
                self.watch_for_silence(now, unique_id);
            }
        }
    }

    pub(super) fn end_hold(&mut self, now: Timestamp, call: CallId, unique_id: &UniqueId) {
        if self.end_call(now, call, unique_id) {
            self.watch_for_silence(now, unique_id);
            let waiting = self.waiting_answer(now, unique_id);
            self.answer(call, Answer::Waiting(waiting));
        }
    }

    pub(super) fn waiting_answer(&self, now: Timestamp, unique_id: &UniqueId) -> WaitingAnswer {
        let ahead = self.jobs.get(unique_id).map_or(0, |job| self.ahead_of(job));
        let estimate = self.jobs.get(unique_id).and_then(|job| {
            let rhythm = self.rhythms.get(&job.request().spec.profile_key)?;
            rhythm.estimate(now, ahead + job.request().spec.count.get())
        });
        let retry_after_seconds =
            (1 + ahead as u64 / JOBS_AHEAD_PER_SECOND).min(RETRY_AFTER_SECONDS_MAX);
        WaitingAnswer {
            ahead,
            estimate,
            retry_after_seconds,
        }
    }

    pub(super) fn ahead_of(&self, job: &Job) -> usize {
        let line = self.lines.get(&job.request().spec.profile_key);
        line.map_or(0, |line| line.ahead_of(&job.claims.place()))
    }

    /// Forgets a held take: `false` if it is not held any more.
    fn end_call(&mut self, now: Timestamp, call: CallId, unique_id: &UniqueId) -> bool {
        let Some(job) = self.jobs.get_mut(unique_id) else {
            return false;
        };
        let Some(index) = job.calls.iter().position(|held| *held == call) else {
            return false;
        };
        job.calls.swap_remove(index);
        job.heard_at = now;
        self.held_count -= 1;
        true
    }
}

fn runners_of(grants: &[Grant]) -> Arc<[TakenRunner]> {
    grants
        .iter()
        .flat_map(|grant| grant.runners.iter().cloned())
        .collect()
}
