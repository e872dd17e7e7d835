//! Adopting reservations that servers report for a waiting job: made by another queue, or by this
//! one before it was restarted.

use shared::{
    clock::Timestamp,
    values::{Count, UniqueId},
    wire::ReservationState,
};

use super::forward::begin_forward;
use crate::state::{
    State,
    fleet::{ServerId, is_of_job},
    job::{GrantEnd, Job, Retirement},
};

/// Retires a waiting job that has finished according to a server, or asks for the runners that
/// servers hold for it, if that is all it needs. They are requested again under the job's name,
/// because this queue delivers only what it was itself granted. Returns whether the job no longer
/// waits.
pub fn adopt_reservations(state: &mut State, now: Timestamp, unique_id: &UniqueId) -> bool {
    let Some(job) = state.jobs.get(unique_id).filter(|job| job.is_waiting()) else {
        return false;
    };
    if state.fleet.has_finished(unique_id, job.ticket.enqueued_at) {
        state.retire(now, unique_id, Retirement::Ended(GrantEnd::Finished));
        return true;
    }
    let Some(servers) = adoptable(state, now, job) else {
        return false;
    };
    let profile_key = job.request().spec.profile_key.clone();
    begin_forward(state, now, unique_id, servers);
    // The job may have blocked those behind it, whether or not these servers have its profile.
    state.dirty.mark_profile(profile_key);
    true
}

/// Servers whose reservations for the job add up to all it needs. If several queues had reserved
/// runners, there can be more; the rest is left to its deadline.
fn adoptable(state: &State, now: Timestamp, job: &Job) -> Option<Vec<(ServerId, Count)>> {
    let mut missing = job.request().spec.count.get();
    let reserved = state.fleet.reservations(job.unique_id()).into_iter();
    let servers = reserved
        .filter(|(server, reservation)| {
            reservation.state != ReservationState::Finished
                && is_of_job(reservation, job.ticket.enqueued_at)
                && state.fleet.is_usable(*server, now)
                && !job.is_excluded(*server, now)
        })
        .filter_map(|(server, reservation)| {
            Some((server, Count::new(reservation.runners.len() as u64).ok()?))
        })
        .filter(|(_, count)| {
            let fits = count.get() <= missing;
            missing -= if fits { count.get() } else { 0 };
            fits
        })
        .collect();
    (missing == 0).then_some(servers)
}
