//! Scheduling releases of what a job holds, or may hold.

use std::collections::BTreeSet;

use shared::{clock::Timestamp, job_spec::JobSpec, values::FencingToken, wire::ReservationState};

use crate::{
    effect::Release,
    state::{
        State,
        fleet::{RunnerId, ServerId, is_of_job},
        job::{ForwardPart, Grant, TicketContent},
    },
};

/// Releases what was granted, or may have been, by a forward that has failed.
pub fn release_parts(
    state: &mut State,
    now: Timestamp,
    spec: &JobSpec,
    token: FencingToken,
    parts: Vec<ForwardPart>,
) {
    for part in parts {
        match part.grant {
            Some(grant) => release_grants(state, now, spec, vec![grant], false),
            None => release(state, now, spec, part.server, token, false, BTreeSet::new()),
        }
    }
}

/// Releases what was granted to this queue and has not ended. What another queue was granted under
/// the same name, and may have delivered, stays: its server keeps a reservation until every queue
/// that was granted it has released it. But with `destroy` the server ends it for all.
pub fn release_grants(
    state: &mut State,
    now: Timestamp,
    spec: &JobSpec,
    grants: Vec<Grant>,
    destroy: bool,
) {
    for grant in grants {
        if grant.end.is_none() {
            let runners = grant.runners.iter().map(|runner| runner.id).collect();
            release(
                state,
                now,
                spec,
                grant.server,
                grant.token,
                destroy,
                runners,
            );
        }
    }
}

/// Releases everything else that servers report to hold for a withdrawn job, whichever queue
/// reserved it, and has it destroyed.
pub fn release_reported(state: &mut State, now: Timestamp, ticket: &TicketContent) {
    let spec = &ticket.request.spec;
    let held: Vec<ServerId> = state
        .fleet
        .reservations(&spec.unique_id)
        .into_iter()
        .filter(|(server, reservation)| {
            reservation.state == ReservationState::Held
                && is_of_job(reservation, ticket.enqueued_at)
                && !state.pending_releases.contains(*server, &spec.unique_id)
        })
        .map(|(server, _)| server)
        .collect();
    for server in held {
        let token = state.fencing.next();
        release(state, now, spec, server, token, true, BTreeSet::new());
    }
}

fn release(
    state: &mut State,
    now: Timestamp,
    spec: &JobSpec,
    server: ServerId,
    token: FencingToken,
    destroy: bool,
    runners: BTreeSet<RunnerId>,
) {
    let release = Release {
        server,
        unique_id: spec.unique_id.clone(),
        token,
        destroy,
    };
    let profile_key = spec.profile_key.clone();
    state
        .pending_releases
        .schedule(now, release, profile_key, runners);
}
