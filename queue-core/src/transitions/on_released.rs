//! A server confirmed a release.

use shared::values::{FencingToken, UniqueId};

use crate::state::{State, fleet::ServerId};

pub fn confirmed(state: &mut State, server: ServerId, unique_id: &UniqueId, token: FencingToken) {
    let Some(release) = state.pending_releases.confirm(server, unique_id, token) else {
        return;
    };
    state.fleet.forget_reservation(server, unique_id);
    if !release.destroy {
        // A confirmation can be late: some of the runners may have been granted again meanwhile.
        let of_others = state.jobs.runners_of_others(server, unique_id);
        let idle = release.runners.difference(&of_others).copied();
        state
            .fleet
            .record_release(server, &release.profile_key, idle);
    }
    // Its server may be asked for the job again, and has more idle runners.
    state.dirty.mark_profile(release.profile_key);
}
