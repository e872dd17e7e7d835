//! An operator pauses a profile, or resumes it.
//!
//! While a profile is paused its jobs are enqueued, restored and abandoned as ever, but the scheduling pass
//! chooses none of them. What was decided before goes on: forwards that are under way, and the adoption of
//! runners that servers hold for a job.

use shared::{clock::Timestamp, operator::Intervention, values::ProfileKey};

use crate::{
    effect::{Answer, Refusal},
    input::{CallId, PauseOrder},
    state::{State, pauses::PAUSES_MAX},
    view::profile_keys,
};

pub fn pause(state: &mut State, now: Timestamp, call: CallId, order: PauseOrder) {
    let PauseOrder { profile_key, order } = order;
    if let Some(refusal) = refusal(state, now, &profile_key) {
        return state.refuse(call, refusal);
    }
    let in_force = state.pauses.get(&profile_key);
    let pause = Intervention::order(in_force, order, now);
    state.pauses.insert(profile_key, pause.clone());
    state.answer(call, Answer::Paused(pause));
}

/// Why a profile may not be paused. As long as a server has not reported, it may have the profile.
fn refusal(state: &State, now: Timestamp, profile_key: &ProfileKey) -> Option<Refusal> {
    if !state.pauses.has_room_for(profile_key) {
        return Some(Refusal::TooManyPauses {
            pauses_max: PAUSES_MAX,
        });
    }
    let is_known =
        state.fleet.uncertain(now).next().is_some() || profile_keys(state).contains(profile_key);
    (!is_known).then_some(Refusal::UnknownProfile)
}

pub fn resume(state: &mut State, call: CallId, profile_key: ProfileKey) {
    let ended = state.pauses.remove(&profile_key);
    // Runners have become idle meanwhile.
    state.dirty.mark_profile(profile_key);
    state.answer(call, Answer::Resumed(ended));
}
