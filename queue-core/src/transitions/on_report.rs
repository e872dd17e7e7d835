//! A monitor answered a poll, or did not.

use shared::clock::Timestamp;

use super::review_grants::review_grants;
use crate::{
    effect::Effect,
    estimate::Forecasts,
    state::{
        State,
        fleet::{Health, Report, ServerFailure, ServerId},
        timers::Timer,
    },
};

/// A monitor answered with its dashboard.
pub fn reported(state: &mut State, now: Timestamp, server: ServerId, report: Report) {
    let was_fresh = is_fresh(state, now, server);
    let profiles_before = state.fleet.profiles(server);
    let confirmed_at = state.fleet.confirmed_at(server);
    if !state.fleet.record_report(server, report, now) {
        return;
    }
    observe_runners(state, now, server, confirmed_at);
    for key in profiles_before {
        state.dirty.mark_profile(key);
    }
    mark_parted(state);
    state.mark_profiles_of(server);
    confirmed(state, now, server, was_fresh);
    mark_reserved_jobs(state, server);
}

/// A monitor answered that its dashboard has not changed.
pub fn unchanged(state: &mut State, now: Timestamp, server: ServerId, asked_at: Timestamp) {
    let was_fresh = is_fresh(state, now, server);
    state.fleet.record_unchanged(server, asked_at, now);
    confirmed(state, now, server, was_fresh);
    if state.fleet.review_reached(server, now) {
        state.mark_profiles_of(server);
    }
    mark_parted(state);
    if !was_fresh {
        // Its runners, and what it holds for jobs restored meanwhile, could not be used before.
        state.mark_profiles_of(server);
        mark_reserved_jobs(state, server);
    }
}

/// A request to a monitor failed.
pub fn unreachable(state: &mut State, now: Timestamp, server: ServerId, failure: ServerFailure) {
    state.fleet.record_failure(server, failure, now);
    // Jobs that need this server no longer block those behind them.
    state.mark_profiles_of(server);
}

/// The report of a server may have become too old.
pub fn check_stale(state: &mut State, now: Timestamp, server: ServerId) {
    state.fleet.set_stale_timer(server, false);
    if is_fresh(state, now, server) {
        set_stale_timer(state, server);
    } else {
        state.mark_profiles_of(server);
    }
}

/// What follows from any answer.
fn confirmed(state: &mut State, now: Timestamp, server: ServerId, was_fresh: bool) {
    set_stale_timer(state, server);
    review_grants(state, now, server);
    if !was_fresh && is_fresh(state, now, server) {
        state.pending_releases.retry_now(now, server);
    }
}

/// Learns from a report how long jobs take, unless another URL of the same server tells.
fn observe_runners(
    state: &mut State,
    now: Timestamp,
    server: ServerId,
    confirmed_at: Option<Timestamp>,
) {
    let report = state.fleet.report(server);
    let is_duplicate = state.fleet.duplicate_of(server, now).is_some();
    if let Some(report) = report.filter(|_| !is_duplicate) {
        let Forecasts { log, history, .. } = &mut state.estimates;
        let replacements = log.observe(now, server, report, confirmed_at, history);
        let effects = replacements.into_iter().map(Effect::RecordReplacement);
        state.effects.extend(effects);
    }
}

/// A server that seemed to be another one's second URL can be used now.
fn mark_parted(state: &mut State) {
    if state.fleet.take_parting() {
        for server in state.fleet.ids() {
            state.mark_profiles_of(server);
        }
    }
}

/// The jobs of its reservations may be able to adopt them.
pub fn mark_reserved_jobs(state: &mut State, server: ServerId) {
    for unique_id in state.fleet.reserved_names(server) {
        if state.jobs.get(&unique_id).is_some() {
            state.dirty.mark_job(unique_id);
        }
    }
}

fn is_fresh(state: &State, now: Timestamp, server: ServerId) -> bool {
    state.fleet.health(server, now) == Health::Fresh
}

fn set_stale_timer(state: &mut State, server: ServerId) {
    if let Some(stale_at) = state.fleet.stale_at(server)
        && !state.fleet.set_stale_timer(server, true)
    {
        state.timers.set(stale_at, Timer::Stale(server));
    }
}
