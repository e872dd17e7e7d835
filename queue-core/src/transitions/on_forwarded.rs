//! A forward ended: granted by all servers that were asked, or undone at all of them.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use shared::{
    clock::Timestamp,
    text::printable,
    values::{FencingToken, UniqueId},
    wire::TakenRunner,
};

use super::{on_token, release::release_parts, review_grants::review_grant, take::deliver};
use crate::{
    event::{ForwardFailure, JobStep},
    input::ForwardOutcome,
    state::{
        State,
        fleet::{RunnerId, ServerFailure, ServerId},
        job::{ForwardPart, Grant, JobState},
        timers::Timer,
    },
};

/// How long a server that refused a job is not asked for it again. Other jobs get its runners
/// meanwhile, so that a job which no server accepts does not block them.
const EXCLUSION: Duration = Duration::from_secs(30);
/// The same for a server that holds runners for the job already, and whose answer was lost.
const EXCLUSION_AFTER_LOST_ANSWER: Duration = Duration::from_secs(1);

/// What the label of a reservation begins with; its job's `unique_id` follows.
const RESERVED_FOR: &str = "reserved-for:";
/// The longest label, in characters.
const LABEL_LENGTH_MAX: usize = 256;

pub fn forwarded(
    state: &mut State,
    now: Timestamp,
    server: ServerId,
    unique_id: &UniqueId,
    token: FencingToken,
    outcome: ForwardOutcome,
) {
    end_forward(state, server, unique_id, token);
    let is_response = state.fleet.failure(server).is_none();
    match outcome {
        ForwardOutcome::TokenRefused => on_token::refused(state, now, server, false),
        ForwardOutcome::Ambiguous => {}
        _ if is_response => on_token::accepted(state, server),
        // The server was not reached.
        _ => {}
    }
    let Some(count) = open_part(state, server, unique_id, token).map(|part| part.count) else {
        // Too late: a release is pending already, or the job is retired.
        return;
    };
    match outcome {
        ForwardOutcome::Granted(runners)
            if runners.len() == count.get()
                && !has_foreign_runners(state, server, unique_id, &runners) =>
        {
            if !has_valid_labels(state, unique_id, &runners) {
                state.fleet.record_invalid_grant(server, now);
                return failed(state, now, server, unique_id, &ForwardOutcome::Ambiguous);
            }
            granted(state, now, server, unique_id, token, runners);
        }
        // A wrong number of runners, or those of another job, are as good as no answer.
        ForwardOutcome::Granted(_) => {
            failed(state, now, server, unique_id, &ForwardOutcome::Ambiguous);
        }
        outcome => failed(state, now, server, unique_id, &outcome),
    }
}

/// A server did not answer a forward in time.
pub fn timed_out(
    state: &mut State,
    now: Timestamp,
    server: ServerId,
    unique_id: &UniqueId,
    token: FencingToken,
) {
    end_forward(state, server, unique_id, token);
    if open_part(state, server, unique_id, token).is_some() {
        failed(state, now, server, unique_id, &ForwardOutcome::Ambiguous);
    }
}

/// A server that refused a job may be asked for it again.
pub fn exclusion_ended(state: &mut State, unique_id: &UniqueId) {
    if let Some(job) = state.jobs.get(unique_id) {
        let profile_key = job.request().spec.profile_key.clone();
        state.dirty.mark_job(unique_id.clone());
        state.dirty.mark_profile(profile_key);
    }
}

/// What the server was asked for no longer counts against its idle runners.
fn end_forward(state: &mut State, server: ServerId, unique_id: &UniqueId, token: FencingToken) {
    if let Some(profile_key) = state.fleet.end_forward(server, unique_id, token) {
        state.dirty.mark_profile(profile_key);
    }
}

fn open_part<'a>(
    state: &'a State,
    server: ServerId,
    unique_id: &UniqueId,
    token: FencingToken,
) -> Option<&'a ForwardPart> {
    state.jobs.get(unique_id)?.open_part(server, token)
}

/// Whether any of these runners was given to another job already, or is listed twice. Older monitors
/// do that when GitHub's list of runners lags.
fn has_foreign_runners(
    state: &State,
    server: ServerId,
    unique_id: &UniqueId,
    runners: &[TakenRunner],
) -> bool {
    let ids: BTreeSet<RunnerId> = runners.iter().map(|runner| runner.id).collect();
    let of_others = state.jobs.runners_of_others(server, unique_id);
    ids.len() < runners.len() || !of_others.is_disjoint(&ids)
}

/// Whether the labels of granted runners can be theirs: a workflow can name them, and they are not those
/// of another job. Otherwise two jobs could run on one runner, or each on that of the other.
fn has_valid_labels(state: &State, unique_id: &UniqueId, runners: &[TakenRunner]) -> bool {
    // GitHub ignores upper and lower case.
    let reserved_for = RESERVED_FOR.to_owned() + &unique_id.as_str().to_lowercase();
    let mut labels = BTreeSet::new();
    for label in runners.iter().filter_map(|runner| runner.label.as_deref()) {
        let is_writable = (1..=LABEL_LENGTH_MAX).contains(&label.chars().count())
            && label.trim() == label
            && !label.contains(',')
            && matches!(printable(label), Cow::Borrowed(_));
        let label = label.to_lowercase();
        // All runners of a job may have this one.
        if is_writable && label == reserved_for {
            continue;
        }
        if !is_writable || label.starts_with(RESERVED_FOR) || !labels.insert(label) {
            return false;
        }
    }
    !state.jobs.have_others_label(unique_id, &labels)
}

/// One server granted its part. When it is the last one, the job has its runners.
fn granted(
    state: &mut State,
    now: Timestamp,
    server: ServerId,
    unique_id: &UniqueId,
    token: FencingToken,
    runners: Vec<TakenRunner>,
) {
    let Some(job) = state.jobs.get_mut(unique_id) else {
        return;
    };
    let ticket = job.ticket.clone();
    let JobState::Forwarding { parts, .. } = &mut job.state else {
        return;
    };
    let ids = runners.iter().map(|runner| runner.id);
    let profile_key = &ticket.request.spec.profile_key;
    let repo = &ticket.request.spec.qualified_repo;
    let log = &mut state.estimates.log;
    log.grant(now, server, profile_key, repo, ids.clone());
    state.fleet.record_grant(server, profile_key, ids, now);
    if let Some(part) = parts.iter_mut().find(|part| part.server == server) {
        part.grant = Some(Grant {
            server,
            token,
            granted_at: now,
            runners,
            end: None,
        });
    }
    if parts.iter().all(|part| part.grant.is_some()) {
        let grants = std::mem::take(parts).into_iter();
        let grants: Vec<Grant> = grants.filter_map(|part| part.grant).collect();
        let servers: Vec<ServerId> = grants.iter().map(|grant| grant.server).collect();
        let estimated = job.estimated;
        let runners = job.assign(now, grants);
        state.jobs.record_grant(server, unique_id.clone());
        state.profile_queues.remove(&ticket);
        let step = JobStep::Assigned { runners, estimated };
        state.record(now, &ticket, step);
        // What the first server granted may be gone by the time the last one answers.
        for server in servers {
            review_grant(state, now, server, unique_id);
        }
        deliver(state, now, unique_id);
    } else {
        state.jobs.record_grant(server, unique_id.clone());
    }
}

/// One server did not grant its part: what the others granted, or may grant, is released, and the
/// job waits again at its position.
fn failed(
    state: &mut State,
    now: Timestamp,
    server: ServerId,
    unique_id: &UniqueId,
    outcome: &ForwardOutcome,
) {
    let Some(job) = state.jobs.get_mut(unique_id) else {
        return;
    };
    let ticket = job.ticket.clone();
    let (spec, enqueued_at) = (&ticket.request.spec, ticket.enqueued_at);
    let JobState::Forwarding { token, mut parts } =
        std::mem::replace(&mut job.state, JobState::Waiting)
    else {
        return;
    };
    let answer = match outcome {
        ForwardOutcome::Refused(answer) => answer.as_str(),
        _ => "",
    };
    let reason = match outcome {
        ForwardOutcome::RefusedThisJob => ForwardFailure::RefusedThisJob,
        ForwardOutcome::TokenRefused => ForwardFailure::TokenRefused,
        ForwardOutcome::Ambiguous => ForwardFailure::Ambiguous,
        ForwardOutcome::Granted(_) | ForwardOutcome::Refused(_) => ForwardFailure::Refused,
    };
    let is_ambiguous = reason == ForwardFailure::Ambiguous;
    // Whether a server assigns what it holds for this job is no sign of what is idle there.
    let is_held_there = state.fleet.is_held(server, unique_id, enqueued_at);
    if matches!(outcome, ForwardOutcome::TokenRefused) {
        // No job is forwarded to it for a while.
    } else if is_held_there || matches!(outcome, ForwardOutcome::RefusedThisJob) {
        let until = now
            + if is_ambiguous {
                EXCLUSION_AFTER_LOST_ANSWER
            } else {
                EXCLUSION
            };
        job.exclude(server, until);
        let timer = Timer::Exclusion(unique_id.clone());
        state.timers.set(until, timer);
    } else {
        let said = if is_ambiguous {
            "it gave no usable answer"
        } else {
            answer
        };
        let until = state.fleet.quarantine(server, &spec.profile_key, said, now);
        let timer = Timer::Quarantine(server, spec.profile_key.clone());
        state.timers.set(until, timer);
    }
    if is_ambiguous {
        let failure = ServerFailure::NoResponse("a take got no usable answer".to_owned());
        state.fleet.record_failure(server, failure, now);
        // Jobs that need this server no longer block those behind them.
        state.mark_profiles_of(server);
    } else {
        parts.retain(|part| part.server != server);
    }
    // That a job has finished stays true, and a server that refuses the token states nothing about it.
    let is_about_job = !matches!(outcome, ForwardOutcome::TokenRefused);
    if is_about_job && !state.fleet.has_finished(unique_id, enqueued_at) {
        state.fleet.forget_reservation(server, unique_id);
    }
    release_parts(state, now, spec, token, parts);
    let step = JobStep::Refused {
        server,
        reason,
        answer: answer.to_owned(),
    };
    state.record(now, &ticket, step);
    state.profile_queues.set_waiting(&ticket);
    state.dirty.mark_job(unique_id.clone());
    state.dirty.mark_profile(spec.profile_key.clone());
}
