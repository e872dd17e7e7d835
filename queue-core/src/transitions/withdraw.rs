//! A client or an operator withdraws a job.

use shared::{clock::Timestamp, values::UniqueId};

use super::{
    release::{release_grants, release_parts, release_reported},
    restore::{add_ticket, restore_from_ticket},
};
use crate::{
    effect::{Answer, Refusal},
    input::{CallId, JobReference},
    state::{
        State,
        job::{JobState, Retirement},
    },
};

pub fn withdraw(state: &mut State, now: Timestamp, call: CallId, by: &JobReference) {
    let outcome = match by {
        JobReference::Operator(_) if state.jobs.find(by).is_some() => Ok(()),
        JobReference::Operator(_) => Err(Refusal::UnknownJob),
        JobReference::Ticket(ticket) if state.jobs.find(by).is_some() => {
            add_ticket(state, ticket);
            Ok(())
        }
        JobReference::Ticket(ticket) => {
            // A repeated withdrawal: the first answer may have been lost.
            let retirement = state.jobs.retirement(&ticket.position());
            if let Some(Retirement::Withdrawn(_)) = retirement {
                return state.answer(call, Answer::Withdrawn { is_repeated: true });
            }
            // Restored first, so that what servers hold for the job is found and released.
            restore_from_ticket(state, now, ticket)
        }
    };
    match outcome {
        Ok(()) => {
            let retirement = Retirement::Withdrawn(by.withdrawn_by());
            give_up(state, now, by.unique_id(), retirement);
            state.answer(call, Answer::Withdrawn { is_repeated: false });
        }
        Err(refusal) => state.refuse(call, refusal),
    }
}

/// Retires a job, and releases everything that is or may be reserved for it.
pub fn give_up(state: &mut State, now: Timestamp, unique_id: &UniqueId, retirement: Retirement) {
    let Some(job) = state.jobs.get_mut(unique_id) else {
        return;
    };
    let ticket = job.ticket.clone();
    let job_state = std::mem::replace(&mut job.state, JobState::Waiting);
    let spec = &ticket.request.spec;
    match job_state {
        JobState::Waiting => {}
        JobState::Forwarding { token, parts } => release_parts(state, now, spec, token, parts),
        JobState::Reserved(grants) => release_grants(state, now, spec, grants, false),
        JobState::Delivered { grants, .. } => release_grants(state, now, spec, grants, true),
    }
    if let Retirement::Withdrawn(_) = retirement {
        release_reported(state, now, &ticket);
    }
    state.retire(now, unique_id, retirement);
}
