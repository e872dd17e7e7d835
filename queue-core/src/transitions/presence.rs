//! Whether the client of a job is still present.

use std::time::Duration;

use shared::{clock::Timestamp, values::UniqueId};

use super::withdraw::give_up;
use crate::state::{State, job::Retirement, timers::Timer};

/// Without any input for this long, the process itself was stopped, swapped out or suspended.
const OWN_PAUSE: Duration = Duration::from_secs(5);

/// If this process did not run for a while, clients could not reach it: their silence starts anew.
pub fn observe_own_pause(state: &mut State, last_handled_at: Timestamp, now: Timestamp) {
    if now.since(last_handled_at) > OWN_PAUSE {
        state.silence_counts_from = now + state.config.limits.abandon_after;
    }
}

/// Sets the timer that notices the silence of a client. One is enough, however often the client
/// sends requests: when it goes off, it checks when the last one was and is set again.
pub fn set_silence_timer(state: &mut State, now: Timestamp, unique_id: &UniqueId) {
    let Some(job) = state.jobs.get_mut(unique_id) else {
        return;
    };
    if !job.has_silence_timer {
        job.has_silence_timer = true;
        let at = now + state.config.limits.abandon_after;
        state.timers.set(at, Timer::Silence(unique_id.clone()));
    }
}

/// Abandons a job whose client has been silent for too long.
pub fn check_silence(state: &mut State, now: Timestamp, unique_id: &UniqueId) {
    let Some(job) = state.jobs.get_mut(unique_id) else {
        return;
    };
    job.has_silence_timer = false;
    // The client of a held take is present. The timer is set again when the hold ends.
    if state.held_calls.has_any(unique_id) || job.is_delivered() {
        return;
    }
    let silent_at = job.last_seen_at + state.config.limits.abandon_after;
    let abandoned_at = silent_at.max(state.silence_counts_from);
    if now < abandoned_at {
        job.has_silence_timer = true;
        let timer = Timer::Silence(unique_id.clone());
        state.timers.set(abandoned_at, timer);
    } else {
        let silent_since = job.last_seen_at;
        let abandoned = Retirement::Abandoned { silent_since };
        give_up(state, now, unique_id, abandoned);
    }
}
