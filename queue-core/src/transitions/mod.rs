//! What follows from each input and each timer.
//!
//! Transitions change state, answer calls and mark what the scheduling pass has to consider. They
//! never request runners themselves.

mod enqueue;
mod on_forwarded;
mod on_released;
mod on_report;
mod on_token;
mod pause;
pub mod presence;
mod release;
mod restore;
mod review_grants;
mod take;
mod withdraw;

use shared::clock::Timestamp;

use crate::{
    config::Limits,
    effect::{Answer, Refusal},
    input::{CallId, Input, JobReference},
    state::{State, profile_queues::ProfileQueues, timers::Timer},
    view,
};

/// Applies an input.
pub fn apply(state: &mut State, now: Timestamp, input: Input) {
    if is_about_servers(&input) {
        state.estimates.outdate();
    }
    match input {
        Input::Enqueue {
            call,
            request,
            nonce,
            by,
            facts,
        } => {
            let enqueue = enqueue::Enqueue { request, nonce, by };
            enqueue::enqueue(state, now, call, enqueue, &facts);
        }
        Input::Take { call, ticket, hold } => take::take(state, now, call, &ticket, hold),
        Input::Disconnected { call, unique_id } => {
            take::client_disconnected(state, now, call, &unique_id);
        }
        Input::Undelivered { unique_id } => take::answer_undelivered(state, now, &unique_id),
        Input::Withdraw { call, by } => withdraw::withdraw(state, now, call, &by),
        Input::Inspect { call, by } => inspect(state, now, call, &by),
        Input::Pause { call, order } => pause::pause(state, now, call, order),
        Input::Resume { call, profile_key } => pause::resume(state, call, profile_key),
        Input::SetLimits(limits) => set_limits(state, limits),
        Input::Reported { server, report } => on_report::reported(state, now, server, report),
        Input::Unchanged { server, asked_at } => {
            on_report::unchanged(state, now, server, asked_at);
        }
        Input::Unreachable { server, failure } => {
            on_report::unreachable(state, now, server, failure);
        }
        Input::TokenRefused { server, by_poll } => {
            on_token::refused(state, now, server, by_poll);
        }
        Input::Forwarded {
            server,
            unique_id,
            token,
            outcome,
        } => on_forwarded::forwarded(state, now, server, &unique_id, token, outcome),
        Input::Released {
            server,
            unique_id,
            token,
            is_confirmed,
        } => {
            // An unconfirmed release is sent again by the outbox.
            if is_confirmed {
                on_released::confirmed(state, server, &unique_id, token);
            }
        }
        Input::Tick => {}
    }
}

/// Whether an input can change what runners there are.
fn is_about_servers(input: &Input) -> bool {
    match input {
        Input::Reported { .. }
        | Input::Unreachable { .. }
        | Input::TokenRefused { .. }
        | Input::Forwarded { .. }
        | Input::Released { .. } => true,
        Input::Enqueue { .. }
        | Input::Take { .. }
        | Input::Disconnected { .. }
        | Input::Undelivered { .. }
        | Input::Withdraw { .. }
        | Input::Inspect { .. }
        | Input::Pause { .. }
        | Input::Resume { .. }
        | Input::SetLimits(_)
        | Input::Unchanged { .. }
        | Input::Tick => false,
    }
}

/// Applies a timer that is due.
pub fn apply_timer(state: &mut State, now: Timestamp, timer: Timer) {
    match timer {
        // What was marked since the start is still marked.
        Timer::StartupGrace => {}
        Timer::Silence(unique_id) => presence::check_silence(state, now, &unique_id),
        Timer::Hold(call, unique_id) => take::hold_ended(state, now, call, &unique_id),
        Timer::Forward(server, unique_id, token) => {
            on_forwarded::timed_out(state, now, server, &unique_id, token);
        }
        Timer::Quarantine(server, profile_key) => {
            if state.fleet.end_quarantine(server, &profile_key, now) {
                state.dirty.mark_profile(profile_key);
            }
        }
        Timer::Exclusion(unique_id) => {
            on_forwarded::exclusion_ended(state, &unique_id);
        }
        Timer::Stale(server) => on_report::check_stale(state, now, server),
        Timer::TokenRetry(server) => on_token::mark_server(state, server),
    }
}

fn set_limits(state: &mut State, limits: Limits) {
    state.held_calls.set_max(limits.held_max);
    if state.profile_queues.needs_regrouping(&limits) {
        state.profile_queues = ProfileQueues::grouped(&limits);
        for job in state.jobs.iter().filter(|job| job.is_queued()) {
            state.profile_queues.insert(job.ticket());
            if !job.is_waiting() {
                state.profile_queues.set_forwarding(job.ticket());
            }
        }
    }
    if limits.policy != state.config.limits.policy {
        state.estimates.outdate();
        // More jobs may be allowed to have runners.
        for (profile_key, _) in state.profile_queues.iter() {
            state.dirty.mark_profile(profile_key.clone());
        }
    }
    state.config.limits = limits;
}

fn inspect(state: &mut State, now: Timestamp, call: CallId, by: &JobReference) {
    let Some(unique_id) = state.jobs.find(by).map(|job| job.unique_id().clone()) else {
        return state.refuse(call, Refusal::UnknownJob);
    };
    let waiting = state.waiting_answer(now, &unique_id);
    if let Some(job) = state.jobs.get(&unique_id) {
        let status = view::status(state, now, job, waiting);
        state.answer(call, Answer::Status(status));
    }
}
