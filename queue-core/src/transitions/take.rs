//! A client asks for its runners, which it gets at once or when there are some.

use std::{sync::Arc, time::Duration};

use shared::{clock::Timestamp, values::UniqueId, wait_limits::WaitLimits, wire::TakenRunner};

use super::{
    presence::set_silence_timer,
    restore::{add_ticket, restore_from_ticket},
    withdraw::give_up,
};
use crate::{
    effect::{Answer, Refusal},
    event::{JobStep, WithdrawnBy},
    input::CallId,
    state::{
        State,
        job::{Grant, Job, Retirement, TicketContent},
        timers::Timer,
    },
    worth_waiting::not_worth_it,
};

pub fn take(
    state: &mut State,
    now: Timestamp,
    call: CallId,
    ticket: &TicketContent,
    hold: Option<Duration>,
) {
    if state.jobs.find_by_ticket(ticket).is_none()
        && let Err(refusal) = restore_from_ticket(state, now, ticket)
    {
        return state.refuse(call, refusal);
    }
    add_ticket(state, ticket);
    let unique_id = &ticket.request.spec.unique_id;
    let Some(job) = state.jobs.get_mut(unique_id) else {
        return state.refuse(call, Refusal::UnknownJob);
    };
    job.last_seen_at = now;
    let is_queued = job.is_queued();
    set_silence_timer(state, now, unique_id);
    if !is_queued {
        state.held_calls.hold(unique_id.clone(), call);
        return deliver(state, now, unique_id);
    }
    match hold {
        _ if give_up_if_not_worth_it(state, now, call, unique_id) => {}
        Some(hold) if !hold.is_zero() && state.held_calls.has_room(unique_id) => {
            state.held_calls.hold(unique_id.clone(), call);
            let timer = Timer::Hold(call, unique_id.clone());
            state.timers.set(now + hold, timer);
        }
        _ => answer_waiting(state, now, call, unique_id),
    }
}

/// Answers every held take of a job that has its runners.
pub fn deliver(state: &mut State, now: Timestamp, unique_id: &UniqueId) {
    let Some(job) = state.jobs.get_mut(unique_id).filter(|job| !job.is_queued()) else {
        return;
    };
    let calls = state.held_calls.remove_all(unique_id);
    let (is_array, was_delivered) = (job.request().is_array, job.is_delivered());
    let Some(grants) = job.deliver(calls.len()) else {
        return;
    };
    let runners = runners_of(grants);
    if !was_delivered {
        let ticket = job.ticket.clone();
        state.record(now, &ticket, JobStep::Delivered);
    }
    for call in calls {
        let answer = Answer::Runners {
            unique_id: unique_id.clone(),
            runners: runners.clone(),
            is_array,
        };
        state.answer(call, answer);
    }
}

/// A client disconnected while its take was held.
pub fn client_disconnected(state: &mut State, now: Timestamp, call: CallId, unique_id: &UniqueId) {
    end_hold(state, now, call, unique_id);
}

/// An answer with runners was never sent, so that the client cannot know them.
pub fn answer_undelivered(state: &mut State, now: Timestamp, unique_id: &UniqueId) {
    let Some(job) = state.jobs.get_mut(unique_id) else {
        return;
    };
    if job.undo_delivery() {
        job.last_seen_at = now;
        let ticket = job.ticket.clone();
        state.record(now, &ticket, JobStep::NotDelivered);
        set_silence_timer(state, now, unique_id);
    }
}

/// A take was held for as long as its client allowed.
pub fn hold_ended(state: &mut State, now: Timestamp, call: CallId, unique_id: &UniqueId) {
    if end_hold(state, now, call, unique_id)
        && !give_up_if_not_worth_it(state, now, call, unique_id)
    {
        answer_waiting(state, now, call, unique_id);
    }
}

/// Forgets a held take, which was a sign of its client until now; `false` if it is not held.
fn end_hold(state: &mut State, now: Timestamp, call: CallId, unique_id: &UniqueId) -> bool {
    if !state.held_calls.remove(unique_id, call) {
        return false;
    }
    if let Some(job) = state.jobs.get_mut(unique_id) {
        job.last_seen_at = now;
    }
    set_silence_timer(state, now, unique_id);
    true
}

/// Withdraws a job that is no longer worth waiting for, and answers its takes so; `false` if it is.
fn give_up_if_not_worth_it(
    state: &mut State,
    now: Timestamp,
    call: CallId,
    unique_id: &UniqueId,
) -> bool {
    let has_limits = |job: &&Job| job.is_waiting() && job.request().limits != WaitLimits::default();
    let Some(ticket) = state
        .jobs
        .get(unique_id)
        .filter(has_limits)
        .map(|job| job.ticket.clone())
    else {
        return false;
    };
    let waiting = state.waiting_answer(now, unique_id);
    let reason = waiting.and_then(|waiting| not_worth_it(state, now, &ticket, &waiting.prospect));
    let Some(reason) = reason else { return false };
    let calls = state.held_calls.remove_all(unique_id);
    let withdrawn = Retirement::Withdrawn(WithdrawnBy::WaitLimits(reason));
    give_up(state, now, unique_id, withdrawn);
    for call in calls.into_iter().chain([call]) {
        state.refuse(call, Refusal::NoLongerWorthIt(reason));
    }
    true
}

fn answer_waiting(state: &mut State, now: Timestamp, call: CallId, unique_id: &UniqueId) {
    if let Some(waiting) = state.waiting_answer(now, unique_id) {
        state.answer(call, Answer::Waiting(waiting));
    }
}

fn runners_of(grants: &[Grant]) -> Arc<[TakenRunner]> {
    grants
        .iter()
        .flat_map(|grant| grant.runners.iter().cloned())
        .collect()
}
