//! Restoring jobs from their tickets.

use shared::clock::Timestamp;

use super::enqueue;
use crate::{
    effect::Refusal,
    event::{Assignment, JobStep, WithdrawnBy},
    state::{
        State,
        job::{GrantEnd, Retirement, TicketContent},
    },
};

/// Restores the job of a valid ticket at its position, unless it is over.
pub fn restore_from_ticket(
    state: &mut State,
    now: Timestamp,
    ticket: &TicketContent,
) -> Result<(), Refusal> {
    let position = ticket.position();
    if state.is_expired(ticket.enqueued_at, now) {
        return Err(Refusal::UnknownJob);
    }
    match state.jobs.retirement(&position) {
        // Its runners went unused and its client still polls, so the answer was lost.
        None | Some(Retirement::Ended(GrantEnd::Expired)) => {}
        // A repeated take: the first answer may have been lost.
        Some(Retirement::Withdrawn(WithdrawnBy::WaitLimits(reason))) => {
            return Err(Refusal::NoLongerWorthIt(reason));
        }
        Some(_) => return Err(Refusal::UnknownJob),
    }
    if state.jobs.get(&position.unique_id).is_some() {
        // A later job has this name.
        return Err(Refusal::UnknownJob);
    }
    if state
        .fleet
        .has_finished(&position.unique_id, ticket.enqueued_at)
    {
        let finished = Retirement::Ended(GrantEnd::Finished);
        let expires_at = ticket.enqueued_at.max(now) + state.config.ticket_lifetime;
        state.jobs.remember_retired(position, finished, expires_at);
        state.record_retirement(now, ticket, finished, Assignment::default());
        return Err(Refusal::UnknownJob);
    }
    enqueue::insert(state, now, ticket.clone(), JobStep::Restored);
    state.dirty.mark_job(position.unique_id);
    Ok(())
}

/// Records a ticket of a job that is known. It may be older than the one that the job is known by:
/// when the queue was restarted, and an enqueue that was long under way arrived before the ticket.
/// From then on the older ticket determines the position, whatever state the job is in: one that is
/// being forwarded can return to the queue.
pub fn add_ticket(state: &mut State, ticket: &TicketContent) {
    let Some(job) = state.jobs.get_mut(&ticket.request.spec.unique_id) else {
        return;
    };
    if ticket.enqueued_at == job.ticket.enqueued_at {
        job.add_request(&ticket.request);
        return;
    }
    let newer = job.add_ticket(ticket);
    let is_queued = job.is_queued();
    let is_waiting = job.is_waiting();
    let Some(newer) = newer else {
        return;
    };
    if is_queued {
        state.profile_queues.remove(&newer);
        state.profile_queues.insert(ticket);
        if !is_waiting {
            state.profile_queues.set_forwarding(ticket);
        }
    }
    let profile_key = ticket.request.spec.profile_key.clone();
    state.dirty.mark_profile(profile_key);
}
