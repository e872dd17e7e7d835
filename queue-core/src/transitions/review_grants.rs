//! Whether a grant has ended, according to the report of its server.

use shared::{clock::Timestamp, values::UniqueId, wire::ReservationState};

use super::release::release_grants;
use crate::{
    event::JobStep,
    state::{
        State,
        fleet::{Report, ServerId, is_of_job},
        job::{Grant, GrantEnd, JobState, Retirement},
    },
};

/// Reviews every grant of a server.
pub fn review_grants(state: &mut State, now: Timestamp, server: ServerId) {
    for unique_id in state.jobs.granted_by(server) {
        review_grant(state, now, server, &unique_id);
    }
}

/// Reviews what a server granted to one job.
pub fn review_grant(state: &mut State, now: Timestamp, server: ServerId, unique_id: &UniqueId) {
    let Some(report) = state.fleet.report(server) else {
        return;
    };
    let job = state.jobs.get_mut(unique_id);
    if job
        .as_ref()
        .is_some_and(|job| matches!(job.state, JobState::Forwarding { .. }))
    {
        // Reviewed when all its servers have answered.
        return;
    }
    let Some((grants, enqueued_at, is_delivered)) = job.and_then(|job| match &mut job.state {
        JobState::Reserved(grants) => Some((grants, job.ticket.enqueued_at, false)),
        JobState::Delivered { grants, .. } => Some((grants, job.ticket.enqueued_at, true)),
        JobState::Waiting | JobState::Forwarding { .. } => None,
    }) else {
        return state.jobs.forget_grant(server, unique_id);
    };
    let Some(grant) = grants.iter_mut().find(|grant| grant.server == server) else {
        return state.jobs.forget_grant(server, unique_id);
    };
    grant.end = end_of(grant, unique_id, enqueued_at, report);
    let ends: Vec<Option<GrantEnd>> = grants.iter().map(|grant| grant.end).collect();
    if has_started(unique_id, enqueued_at, report) {
        record_start(state, now, unique_id);
    }
    let has_finished = ends.contains(&Some(GrantEnd::Finished));
    if is_delivered {
        // The client knows its runners, which remain assigned while any of them is there.
        if ends.iter().all(Option::is_some) {
            let end = if has_finished {
                GrantEnd::Finished
            } else {
                GrantEnd::Expired
            };
            state.retire(now, unique_id, Retirement::Ended(end));
        }
    } else if has_finished {
        // Another queue had delivered it.
        state.retire(now, unique_id, Retirement::Ended(GrantEnd::Finished));
    } else if ends.contains(&Some(GrantEnd::Expired)) {
        return_to_queue(state, now, unique_id);
    }
}

/// Whether a workflow job runs on runners of the job, or has run, according to a report.
fn has_started(unique_id: &UniqueId, enqueued_at: Timestamp, report: &Report) -> bool {
    let reservations = report.reservations.as_ref();
    let reservation = reservations.and_then(|reservations| reservations.get(unique_id));
    reservation.is_some_and(|reservation| {
        reservation.state == ReservationState::Used && is_of_job(reservation, enqueued_at)
    })
}

fn record_start(state: &mut State, now: Timestamp, unique_id: &UniqueId) {
    if let Some(job) = state.jobs.get_mut(unique_id)
        && job.start(now)
    {
        let ticket = job.ticket.clone();
        state.record(now, &ticket, JobStep::Started);
    }
}

/// Runners of a job are gone before they were delivered: it waits again, at its position.
fn return_to_queue(state: &mut State, now: Timestamp, unique_id: &UniqueId) {
    let Some(job) = state.jobs.get_mut(unique_id) else {
        return;
    };
    let ticket = job.ticket.clone();
    let JobState::Reserved(grants) = std::mem::replace(&mut job.state, JobState::Waiting) else {
        return;
    };
    job.assignment = None;
    let spec = &ticket.request.spec;
    state.profile_queues.insert(&ticket);
    state.record(now, &ticket, JobStep::Returned);
    release_grants(state, now, spec, grants, false);
    state.dirty.mark_job(unique_id.clone());
    state.dirty.mark_profile(spec.profile_key.clone());
}

/// How a grant ended, if it did.
fn end_of(
    grant: &Grant,
    unique_id: &UniqueId,
    enqueued_at: Timestamp,
    report: &Report,
) -> Option<GrantEnd> {
    // What was granted after the poll was sent may be missing in its answer.
    let is_missing_for_sure = report.asked_at > grant.granted_at && !report.is_truncated;
    match &report.reservations {
        Some(reservations) => {
            let reservation = reservations
                .get(unique_id)
                .filter(|reservation| is_of_job(reservation, enqueued_at));
            match reservation.map(|reservation| reservation.state) {
                Some(ReservationState::Finished) => Some(GrantEnd::Finished),
                Some(ReservationState::Held | ReservationState::Used) => None,
                None => is_missing_for_sure.then_some(GrantEnd::Expired),
            }
        }
        // An older monitor does not report how a reservation ended. Finished is the safe guess: the
        // job is not assigned a second set of runners.
        None => {
            let mut runners = grant.runners.iter();
            let is_there = runners.any(|runner| report.runners.contains(&runner.id));
            (is_missing_for_sure && !is_there).then_some(GrantEnd::Finished)
        }
    }
}
